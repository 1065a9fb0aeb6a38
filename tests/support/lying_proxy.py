"""A proxy on loopback between the archive's S3 adapter and a real store, that breaks off, delays, refuses and lies.

What is not struck passes byte for byte, the Host header included, so that signatures of the real store hold. A fault strikes
requests that its ``when`` names, ``times`` times (None: until it is taken away). The faults, and what the store has done by
the time the caller meets them:

``refuse``            nothing: 503, with or without Retry-After
``hang_up``           nothing: the connection is closed when the request's head has come
``cut_upload``        nothing: half of the body is passed on, then both sides are closed
``drop_put``          nothing: 200 without an ETag, as something that is no S3 store answers
``drop_put_forged``   nothing: 200 with the right ETag, as a store answers that loses what it took
``keep``              nothing: a deletion is answered with success
``late``              everything, ``seconds`` later
``cut_answer``        everything; the answer breaks off in its middle
``short_answer``      everything; the answer is a whole one with half of the body

Left to others: TLS, HTTP/2, chunked requests (the client never sends them).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from xml.etree import ElementTree

BEFORE = frozenset({"refuse", "hang_up", "cut_upload", "drop_put", "drop_put_forged", "keep"})
AFTER = frozenset({"late", "cut_answer", "short_answer"})

_HEAD_LIMIT = 64 * 1024
_PIECE = 256 * 1024
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"


class _CutOff(Exception):
    """Both sides are to be closed now."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request's line and headers; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and bool(re.search(r"[?&](versions|uploads|list-type)", self.target))

    @property
    def is_content(self) -> bool:
        """Whether an object's bytes are asked for."""
        return self.method == "GET" and "/" in self.target.partition("?")[0].strip("/") and not self.is_listing

    @property
    def is_put(self) -> bool:
        """Whether an object or a part of one comes."""
        return self.method == "PUT"

    @property
    def is_deletion(self) -> bool:
        """Whether versions of objects are to go (aborting an upload is another thing)."""
        if self.method == "POST":
            return "?delete" in self.target
        return self.method == "DELETE" and "uploadId" not in self.target


def anything(request: Request) -> bool:
    return True


@dataclass(kw_only=True)
class Fault:
    """See the module; ``when`` looks at a request, ``seconds`` is for ``late`` and ``retry_after`` for ``refuse``."""

    kind: str
    when: Callable[[Request], bool] = anything
    times: int | None = None
    seconds: float = 0.0
    retry_after: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in BEFORE | AFTER, self.kind


@dataclass
class LyingProxy:
    """A running proxy. ``struck`` counts faults by kind, ``seen`` requests by method."""

    target: str
    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    choose: Callable[[Request], Fault | None] | None = None
    struck: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def with_fault(self, kind: str, when: Callable[[Request], bool] = anything, **more: Any) -> Iterator[Fault]:
        """Under a fault for as long as the block runs."""
        fault = Fault(kind=kind, when=when, **more)
        with self._lock:
            self.faults.append(fault)
        try:
            yield fault
        finally:
            with self._lock:
                self.faults.remove(fault)

    def pick(self, request: Request) -> Fault | None:
        """The fault that strikes this request, counted."""
        with self._lock:
            self.seen[request.method] += 1
            found = next((f for f in self.faults if f.times != 0 and f.when(request)), None)
            if found is not None and found.times is not None:
                found.times -= 1
            if found is None and self.choose is not None:
                found = self.choose(request)
            if found is not None:
                self.struck[found.kind] += 1
            return found


@contextmanager
def lying_proxy(target: str, *, port: int = 0) -> Iterator[LyingProxy]:
    """A proxy before ``target`` (host:port) on a free loopback port, in a thread of its own."""
    proxy = LyingProxy(target)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_Connection(proxy, reader, writer).serve())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", port, limit=_HEAD_LIMIT)
        proxy.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        async with server:
            await stop.wait()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=_run, args=(loop, run()), name="lying-proxy", daemon=True)
    thread.start()
    try:
        assert ready.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None]) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


class _Connection:
    """One client's connection and, from the first request that passes on, one to the store."""

    def __init__(self, proxy: LyingProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._up_reader: asyncio.StreamReader | None = None
        self._up_writer: asyncio.StreamWriter | None = None

    async def serve(self) -> None:
        try:
            while await self._one():
                pass
        except (_CutOff, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._writer.close()
            if self._up_writer is not None:
                self._up_writer.close()

    async def _one(self) -> bool:
        """One request and its answer; False when the client has gone."""
        head = await _read_head(self._reader)
        if head is None:
            return False
        request = _parse_request(head)
        fault = self._proxy.pick(request)
        if fault is None:
            await self._pass_on(head, request)
            await self._answer(request, None)
        elif fault.kind in BEFORE:
            await self._instead(head, request, fault)
        else:
            await self._pass_on(head, request)
            await self._answer(request, fault)
        return True

    async def _pass_on(self, head: bytes, request: Request, upto: int | None = None) -> None:
        up = await self._upstream()
        up.write(head)
        left = request.length if upto is None else upto
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise _CutOff
            left -= len(piece)
            up.write(piece)
            await up.drain()
        await up.drain()

    async def _upstream(self) -> asyncio.StreamWriter:
        if self._up_writer is None or self._up_reader is None or self._up_reader.at_eof():
            host, _, port = self._proxy.target.rpartition(":")
            self._up_reader, self._up_writer = await asyncio.open_connection(host, int(port), limit=_HEAD_LIMIT)
        return self._up_writer

    # --- instead of the store

    async def _instead(self, head: bytes, request: Request, fault: Fault) -> None:
        if fault.kind == "hang_up":
            raise _CutOff
        if fault.kind == "cut_upload":
            await self._pass_on(head, request, request.length // 2)
            raise _CutOff
        body = await self._reader.readexactly(request.length)
        if fault.kind == "refuse":
            more = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            await self._say(503, _SLOW_DOWN, {"Content-Type": "application/xml"} | more)
        elif fault.kind == "keep":
            await self._say(*_confirmed(request, body))
        elif fault.kind == "drop_put_forged":
            await self._say(200, b"", {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})
        else:
            await self._say(200, b"", {})

    async def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        headers = {"Date": formatdate(usegmt=True), "Content-Length": str(len(body))} | headers
        lines = [f"HTTP/1.1 {status} said", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self._writer.drain()

    # --- the store's answer

    async def _answer(self, request: Request, fault: Fault | None) -> None:
        assert self._up_reader is not None and self._up_writer is not None
        _acknowledge_at_once(self._up_writer)
        head = await _read_head(self._up_reader)
        while head is not None and head.startswith(b"HTTP/1.1 100"):
            self._writer.write(head)
            head = await _read_head(self._up_reader)
        if head is None:
            raise _CutOff
        if fault is not None and fault.kind == "late":
            await asyncio.sleep(fault.seconds)
        status = int(head.split(b" ", 2)[1])
        pieces = _body_of(self._up_reader, head, request, status)
        if fault is None or fault.kind == "late":
            self._writer.write(head)
            async for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()
            await self._writer.drain()
        else:
            body = b"".join([piece async for piece in pieces])
            await self._half(head, body, cut=fault.kind == "cut_answer")

    async def _half(self, head: bytes, body: bytes, *, cut: bool) -> None:
        half = body[: len(body) // 2]
        if cut:
            self._writer.write(head + half if body else head[: len(head) // 2])
            await self._writer.drain()
            raise _CutOff
        length = f"Content-Length: {len(half)}".encode()
        self._writer.write(re.sub(rb"(?i)content-length: *\d+", length, head) + half)
        await self._writer.drain()


def _acknowledge_at_once(writer: asyncio.StreamWriter) -> None:
    """Ceph RGW leaves Nagle's algorithm on: a late acknowledgement would cost 40 ms an answer."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _confirmed(request: Request, body: bytes) -> tuple[int, bytes, dict[str, str]]:
    """What a store says that has deleted what was asked."""
    if request.method == "DELETE":
        return 204, b"", {}
    result = ElementTree.Element("DeleteResult", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for wanted in ElementTree.fromstring(body).iterfind("Object"):
        deleted = ElementTree.SubElement(result, "Deleted")
        for name in ("Key", "VersionId"):
            ElementTree.SubElement(deleted, name).text = wanted.findtext(name)
    return 200, ElementTree.tostring(result), {"Content-Type": "application/xml"}


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


def _parse_request(head: bytes) -> Request:
    line, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    return Request(method=method, target=target, headers=_headers(rest))


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body_of(reader: asyncio.StreamReader, head: bytes, request: Request, status: int) -> Any:
    """The raw bytes of an answer's body, its chunk lines included."""
    if request.method == "HEAD" or status in (204, 304):
        return
    headers = _headers(head.decode("latin-1").split("\r\n")[1:])
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
            if size == 0:
                return
    left = int(headers.get("content-length", "0"))
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise _CutOff
        left -= len(piece)
        yield piece
