"""Listening: the first byte of 64 KiB somewhere in a call of an hour, against a bare ranged get of the same length."""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Iterator

from benchmarks.grounds import Ground
from benchmarks.results import Goal, Result, compare
from benchmarks.uploading import Sender

HOUR = 3600 * 8000
"""Bytes of an hour of telephony (A-law, 8000 samples of a byte a second)."""

RANGE = 64 * 1024
PAUSE = 0.05
"""Seconds between two jumps of a listener."""

GOALS = {"PostgreSQL + Ceph": Goal(most=2.5)}


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """One listener who jumps about; the server must be running."""
    data = os.urandom(HOUR)
    communication_id = Sender(ground).send([data], HOUR)
    ground.bare.put("hour", data)
    player = _Player(ground, communication_id)
    places = random.Random(7)

    def ours() -> float:
        time.sleep(PAUSE)  # what the listener hears meanwhile; the archive writes its 'closed' entry
        return player.first_byte(places.randrange(HOUR - RANGE))

    def bare() -> float:
        started = time.perf_counter()
        pieces = ground.bare.stream_range("hour", places.randrange(HOUR - RANGE), RANGE)
        next(pieces)
        first = time.perf_counter() - started
        for _ in pieces:
            pass
        return first * 1000

    yield compare(
        f"first byte of 64 KiB in 1 h, p50, {ground.name}",
        unit="ms",
        ours=ours,
        reference=ground.bare.range_name,
        bare=bare,
        turns=60 if quick else 300,
        seconds=10 if quick else 60,
        goal=GOALS.get(ground.name),
    )


class _Player:
    """A signed-in person who has opened one recording."""

    def __init__(self, ground: Ground, communication_id: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", ground.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {ground.listener_token}"}
        form = json.dumps({"purpose": "verification", "case_ref": "BENCH-1"})
        kind = {"Content-Type": "application/json"}
        self._connection.request("POST", f"/v1/communications/{communication_id}/open", form, self._headers | kind)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"opening was answered {answer.status}: {body[:500]!r}")
        self._path = json.loads(body)["playback"]

    def first_byte(self, offset: int) -> float:
        """Milliseconds from asking to the first byte of content."""
        wanted = {"Range": f"bytes={offset}-{offset + RANGE - 1}"}
        started = time.perf_counter()
        self._connection.request("GET", self._path, headers=self._headers | wanted)
        answer = self._connection.getresponse()
        first = answer.read(1)
        elapsed = time.perf_counter() - started
        if answer.status != 206 or len(first) + len(answer.read()) != RANGE:
            raise RuntimeError(f"the range was answered {answer.status}")
        return elapsed * 1000
