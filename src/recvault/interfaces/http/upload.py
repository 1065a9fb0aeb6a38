"""Receiving an upload as it streams in: two wire forms, one bounded way into the ingest journey.

Forms: ``multipart/form-data`` with part ``metadata`` first, then part ``content`` (RFC 7578); and the edge envelope of the
hook, ``application/vnd.recvault.sealed`` (docs/FORMAT.md). Keeps rule 9's neighbour: no plaintext on disk, no framework
upload object. A body of up to ``buffer_bytes`` is collected and handed over whole; a longer one flows through a bounded
queue to a worker thread that seals and stores while more arrives. An upload that is cut raises in the worker too, so that
nothing becomes visible. When the journey fails early the rest of the body is read and dropped, so that the sender gets
the answer.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from recvault.domain.communication import Receipt
from recvault.domain.errors import ContentMismatch, InvalidInput, KeyNotFound, RecvaultError, Tampered, TooLarge
from recvault.sealing.edge import EdgeOpener

SEALED = "application/vnd.recvault.sealed"
BLOCK = 1024 * 1024
"""Bytes handed to the worker at a time."""

CUT = "the upload ended before its end; nothing was stored: send it again"


class Submission(Protocol):
    """A push parser of one wire form."""

    @property
    def metadata(self) -> bytes | None:
        """The metadata part, once it is whole."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Takes body bytes, gives content bytes; sets ``metadata`` before the first of them."""

    def close(self) -> bytes:
        """The body is over: the last content bytes; ContentMismatch when it was cut."""


class MultipartSubmission:
    """Parts ``metadata`` then ``content``, pushed through python-multipart's low-level parser."""

    def __init__(self, boundary: bytes, *, metadata_limit: int) -> None:
        self.metadata: bytes | None = None
        self._limit = metadata_limit
        self._gathered = bytearray()
        self._content: list[bytes] = []
        self._part: str | None = None
        self._seen: list[str] = []
        self._field = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header,
                "on_headers_finished": self._headers,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, data: bytes) -> Iterable[bytes]:
        """See :class:`Submission`; InvalidInput and TooLarge for a wrong form."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidInput("the body is not multipart/form-data as its boundary says; send it again") from error
        content, self._content = self._content, []
        return content

    def close(self) -> bytes:
        """See :class:`Submission`."""
        if "metadata" not in self._seen:
            raise InvalidInput("the part 'metadata' (JSON) is missing; send it before the part 'content'")
        if not self._over or self._seen != ["metadata", "content"]:
            raise ContentMismatch(
                CUT if "content" in self._seen else "the part 'content' is missing; send it after 'metadata'"
            )
        return b""

    def _begin(self) -> None:
        self._part = None
        self._disposition = b""

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in ("metadata", "content"):
            raise InvalidInput("the body has a part other than 'metadata' and 'content'; leave it out")
        if name in self._seen:
            raise InvalidInput(f"the part '{name}' comes twice; send one communication a request")
        if name == "content" and self.metadata is None:
            raise InvalidInput("the part 'content' comes before 'metadata'; send 'metadata' first")
        self._seen.append(name)
        self._part = name

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "content":
            self._content.append(data[start:end])
            return
        self._gathered += data[start:end]
        if len(self._gathered) > self._limit:
            raise TooLarge(f"the part 'metadata' is longer than {self._limit} bytes; move bulk into the content")

    def _end(self) -> None:
        if self._part == "metadata":
            self.metadata = bytes(self._gathered)

    def _finish(self) -> None:
        self._over = True


class SealedSubmission:
    """The edge envelope: metadata and content sealed to the archive by the telephony host."""

    def __init__(self, open_key: Callable[[str, bytes], bytes]) -> None:
        self._opener = EdgeOpener(open_key=open_key)

    @property
    def metadata(self) -> bytes | None:
        """Set as soon as the metadata is authenticated."""
        return self._opener.metadata

    def feed(self, data: bytes) -> Iterable[bytes]:
        """See :class:`Submission`."""
        with _envelope_faults():
            piece = self._opener.feed(data)
        return (piece,) if piece else ()

    def close(self) -> bytes:
        """See :class:`Submission`."""
        with _envelope_faults():
            return self._opener.close()


@contextmanager
def _envelope_faults() -> Iterator[None]:
    """An envelope that does not open is the sender's to mend, not a fault of the archive."""
    try:
        yield
    except Tampered as fault:
        raise ContentMismatch(
            "the sealed envelope was cut or altered on its way; send it again from its spool"
        ) from fault
    except KeyNotFound as fault:
        raise InvalidInput("the envelope is sealed to a key of another archive; enrol the hook here again") from fault


def submission_for(request: Request, *, metadata_limit: int, open_key: Callable[[str, bytes], bytes]) -> Submission:
    """The parser for the request's Content-Type; InvalidInput when it is neither form."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        try:
            return MultipartSubmission(options[b"boundary"], metadata_limit=metadata_limit)
        except FormParserError as error:
            raise InvalidInput("the multipart boundary is not usable; use one of at most 70 characters") from error
    if kind == SEALED.encode():
        return SealedSubmission(open_key)
    raise InvalidInput(f"the body must be multipart/form-data with a boundary, or {SEALED}")


Accept = Callable[[bytes, Iterable[bytes]], Receipt]
"""The ingest journey: metadata and content to a receipt; runs in a worker thread."""


async def receive(
    request: Request,
    submission: Submission,
    accept: Accept,
    *,
    executor: Executor,
    buffer_bytes: int,
    content_limit: int,
    queue_blocks: int,
) -> Receipt:
    """Feeds the request's body through ``submission`` into ``accept`` and returns its receipt."""
    intake = _Intake(accept, executor=executor, buffer_bytes=buffer_bytes, limit=content_limit, blocks=queue_blocks)
    stream = request.stream()
    try:
        async for data in stream:
            for piece in submission.feed(data):
                await intake.add(submission.metadata, piece)
        if last := submission.close():
            await intake.add(submission.metadata, last)
        if submission.metadata is None:
            raise InvalidInput("the metadata is missing; send it before the content")
        return await intake.finish(submission.metadata)
    except ClientDisconnect as error:
        intake.cut()
        raise ContentMismatch(CUT) from error
    except RecvaultError:
        intake.cut()
        try:
            async for _ in stream:
                pass
        except (ClientDisconnect, RuntimeError):
            pass
        raise


class _Intake:
    """Collects small bodies, and hands longer ones block by block to a worker thread."""

    def __init__(self, accept: Accept, *, executor: Executor, buffer_bytes: int, limit: int, blocks: int) -> None:
        self._accept = accept
        self._executor = executor
        self._buffer = buffer_bytes
        self._limit = limit
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._total = 0
        self._queue: queue.Queue[bytes | RecvaultError | None] = queue.Queue(maxsize=blocks)
        self._work: Future[Receipt] | None = None

    async def add(self, metadata: bytes | None, piece: bytes) -> None:
        """Takes content; starts the worker when the buffer is passed."""
        self._total += len(piece)
        if self._total > self._limit:
            raise TooLarge(
                f"the content is longer than {self._limit} bytes; the operator may raise ingest.content_max_gib"
            )
        self._pending.append(piece)
        self._pending_size += len(piece)
        if self._work is None and self._pending_size > self._buffer:
            assert metadata is not None
            self._work = self._executor.submit(self._accept, metadata, self._blocks())
        if self._work is not None and self._pending_size >= BLOCK:
            await self._hand_over(self._take())

    async def finish(self, metadata: bytes) -> Receipt:
        """Everything has come: the receipt, or the journey's error."""
        if self._work is None:
            whole = self._pending
            return await asyncio.wrap_future(self._executor.submit(self._accept, metadata, _release(whole)))
        if self._pending:
            await self._hand_over(self._take())
        await self._hand_over(None)
        return await asyncio.wrap_future(self._work)

    def cut(self) -> None:
        """The upload failed: the worker's iterator raises, whatever it waits for."""
        if self._work is None:
            return
        while True:
            try:
                self._queue.put_nowait(ContentMismatch(CUT))
                return
            except queue.Full:
                try:
                    self._queue.get_nowait()
                except queue.Empty:
                    continue

    def _take(self) -> bytes:
        block = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        return block

    async def _hand_over(self, block: bytes | None) -> None:
        assert self._work is not None
        while not self._work.done():  # a journey that failed takes nothing any more; its error comes with finish()
            try:
                self._queue.put_nowait(block)
                return
            except queue.Full:
                await asyncio.sleep(0.002)

    def _blocks(self) -> Iterator[bytes]:
        while (block := self._queue.get()) is not None:
            if isinstance(block, RecvaultError):
                raise block
            yield block


def _release(chunks: list[bytes]) -> Iterator[bytes]:
    """Yields blocks and lets go, so that a buffered body is not held twice. Blocks, because each piece that is sealed costs
    a hand-over to the thread that hashes beside it."""
    chunks.reverse()
    while chunks:
        block: list[bytes] = []
        size = 0
        while chunks and size < BLOCK:
            block.append(chunks.pop())
            size += len(block[-1])
        yield b"".join(block)
