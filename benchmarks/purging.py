"""Destruction of a dense night's work, from the claim to the certificates, against a bare bulk delete of as many objects.

What is purged arrived overdue (contacts of ten years ago), so that nothing waits; both sides delete objects of 16 KiB.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

from benchmarks.grounds import Ground
from benchmarks.results import Goal, Result, compare
from recvault import bootstrap
from recvault.bootstrap import Archive
from recvault.domain.communication import Channel, Direction, Draft

SIZE = 16 * 1024
THREADS = 6
AGE = timedelta(days=3650)
GOALS = {"PostgreSQL + Ceph": Goal(least=0.5)}


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """Runs the purge in this process, as ``recvault purge run`` does."""
    count, turns = (1000, 2) if quick else (5000, 3)
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        yield compare(
            f"purge of {count}, {ground.name}",
            unit="objects/s",
            ours=lambda: _purge(archive, ground, count),
            reference=ground.bare.delete_name,
            bare=lambda: _delete(ground, count),
            turns=turns,
            seconds=20 if quick else 600,
            goal=GOALS.get(ground.name),
            warm=False,
        )


def _purge(archive: Archive, ground: Ground, count: int) -> float:
    content, ended = os.urandom(SIZE), archive.clock.now() - AGE

    def store(_: int) -> None:
        draft = Draft(
            source_ref=f"bench-{uuid4()}", channel=Channel.CALL, direction=Direction.INBOUND, started_at=ended
        )
        archive.ingest.accept(ground.source, draft, [content])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(store, range(count)))
    started = time.perf_counter()
    report = archive.purge.run("bench")
    elapsed = time.perf_counter() - started
    if len(report.destroyed) != count:
        raise RuntimeError(f"{len(report.destroyed)} of {count} were destroyed: {report.stopped_because}")
    return count / elapsed


def _delete(ground: Ground, count: int) -> float:
    content = os.urandom(SIZE)
    names = sorted(f"{uuid4()}/original.1" for _ in range(count))
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda name: ground.bare.put(name, content), names))
    started = time.perf_counter()
    ground.bare.delete(names)
    return count / (time.perf_counter() - started)
