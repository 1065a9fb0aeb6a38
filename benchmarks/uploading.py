"""Ingest over real HTTP, by one client and by several at once, against bare puts by as many threads; and the memory of the
server while a long recording goes in.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from uuid import uuid4

from benchmarks.grounds import Ground, serving
from benchmarks.results import Goal, Result, compare, judged

MB = 1_000_000
BOUNDARY = "recvault-bench-boundary"
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()

GOALS = {
    ("PostgreSQL + Ceph", 64, 1): Goal(least=0.8),
    ("PostgreSQL + Ceph", 64, 4): Goal(least=0.7),
    ("PostgreSQL + Ceph", 1, 1): Goal(least=0.6),
    ("PostgreSQL + Ceph", 1, 8): Goal(least=0.6),
    ("SQLite + folder", 1, 1): Goal(least=0.3),
}
MEMORY_GOAL = Goal(most_value=150)


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """``size`` in MB; each of ``clients`` sends ``each`` recordings a turn, as often as ``turns`` and
    ``seconds`` allow."""

    size: int
    clients: int
    each: int
    turns: int
    seconds: float


def loads(*, quick: bool) -> list[Load]:
    """1 MB and 64 MB, by 1, 4 and 8 clients; the quick form leaves out the load without a goal that takes longest."""
    turns, seconds = (4, 6.0) if quick else (12, 90.0)
    return [
        Load(size=size, clients=clients, each=max(4, 16 // clients) if size == 1 else 1, turns=turns, seconds=seconds)
        for size in (1, 64)
        for clients in (1, 4, 8)
        if not (quick and size == 64 and clients == 8)
    ]


class Sender:
    """One client with one connection to the archive."""

    def __init__(self, ground: Ground) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", ground.port, timeout=300)
        self._connection.connect()
        self._token = ground.source_token

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()

    def send(self, pieces: Iterable[bytes], length: int) -> str:
        """Uploads one recording; its id. RuntimeError unless it was stored."""
        metadata = json.dumps({"source_id": f"bench-{uuid4()}", "channel": "call", "media_type": "audio/x-alaw-basic"})
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{metadata}\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"\r\n\r\n'
        ).encode()
        self._connection.putrequest("POST", "/v1/communications", skip_accept_encoding=True)
        self._connection.putheader("Authorization", f"Bearer {self._token}")
        self._connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        self._connection.putheader("Content-Length", str(len(head) + length + len(TAIL)))
        self._connection.endheaders(head)
        for piece in pieces:
            self._connection.send(piece)
        self._connection.send(TAIL)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 201:
            raise RuntimeError(f"the archive answered {answer.status}: {body[:500]!r}")
        return str(json.loads(body)["id"])


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """Every load in turn; the server must be running."""
    for load in loads(quick=quick):
        yield _ingest(ground, load)


def _ingest(ground: Ground, load: Load) -> Result:
    data = os.urandom(load.size * MB)

    def ours() -> float:
        senders = [Sender(ground) for _ in range(load.clients)]  # the server closes connections that rest
        rate = _rate(load, lambda client: senders[client].send([data], len(data)))
        for sender in senders:
            sender.close()
        return rate

    return compare(
        f"ingest {load.size} MB, {load.clients} client{'s' * (load.clients > 1)}, {ground.name}",
        unit="MB/s",
        ours=ours,
        reference=ground.bare.put_name,
        bare=lambda: _rate(load, lambda _: ground.bare.put(f"{uuid4()}/original.1", data)),
        turns=load.turns,
        seconds=load.seconds,
        warm=load.clients == 1,  # the rows of one client come first
        goal=GOALS.get((ground.name, load.size, load.clients)),
    )


def _rate(load: Load, act: Callable[[int], object]) -> float:
    """MB/s of all clients together, from a common start to the end of the last."""

    def work(client: int) -> None:
        for _ in range(load.each):
            act(client)

    with ThreadPoolExecutor(load.clients) as threads:
        started = time.perf_counter()
        for done in [threads.submit(work, client) for client in range(load.clients)]:
            done.result()
        return load.clients * load.each * load.size / (time.perf_counter() - started)


# --- memory


def memory(ground: Ground) -> Result:
    """Peak of a fresh server above what it held when idle, while one recording of 1 GB goes in."""
    block = os.urandom(MB)
    with serving(ground) as pid:
        sender = Sender(ground)
        sender.send([block], MB)  # what every process loads once
        idle = _kib(pid, "VmRSS") / 1024
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # forget the peak (proc(5))
        sender.send(repeat(block, 1000), 1000 * MB)
        peak = _kib(pid, "VmHWM") / 1024
    return judged(
        f"server memory above idle, 1 GB upload, {ground.name}",
        unit="MiB",
        reference="idle",
        pairs=[(peak - idle, idle)],
        goal=MEMORY_GOAL,
    )


def _kib(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))
