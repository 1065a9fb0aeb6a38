"""One run that destroys 100,000 communications: its rate, and the memory of the process that does it.

Uploading as many would take longer than all other measures together, so rows are made of one that was uploaded: each with an
id, an object of its own in the store, a data key wrapped under the key of its day, and authentic facts. All that the purge
reads, changes and deletes is there; only content and sealed fields would not open.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import insert

from benchmarks.grounds import Ground
from benchmarks.purging import AGE, SIZE, THREADS, bare_delete, rows_of
from benchmarks.results import Goal, Result, judged
from recvault import bootstrap
from recvault.adapters.database.communication_rows import additions
from recvault.bootstrap import Archive
from recvault.domain.communication import Channel, Communication, Direction, Draft
from recvault.domain.ids import uuid7
from recvault.services.fact_digests import FactDigests

FEW, MANY = 5000, int(os.environ.get("MANY", "100000"))
CHUNK = 500
MEMORY_MB = 100.0
"""How much more the process may hold at the end of a long run than after a short one before it."""


def measure(ground: Ground) -> Iterator[Result]:
    """The short run first, then the long one, in this process, as ``recvault purge run`` does."""
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        _purge(archive, ground, FEW)
        before = _peak_mb()
        rate = _purge(archive, ground, MANY)
        peak = _peak_mb()
    yield judged(
        f"purge of {MANY:,} in one run, {ground.name}",
        unit="objects/s",
        reference=f"{ground.bare.delete_name} of {FEW}",
        pairs=[(rate, bare_delete(ground, FEW))],
    )
    yield judged(
        f"memory of a purge of {MANY:,}, {ground.name}",
        unit="MB more",
        reference=f"peak of a purge of {FEW}, MB",
        pairs=[(peak - before, before)],
        goal=Goal(most_value=MEMORY_MB),
    )


def _purge(archive: Archive, ground: Ground, count: int) -> float:
    _store(archive, ground, count)
    archive.forecast.confirm(ground.listener)
    started = time.perf_counter()
    report = archive.purge.run("bench")
    elapsed = time.perf_counter() - started
    if len(report.destroyed) != count:
        raise RuntimeError(f"{len(report.destroyed)} of {count} were destroyed: {report.stopped_because}")
    return count / elapsed


def _store(archive: Archive, ground: Ground, count: int) -> None:
    content = os.urandom(SIZE)
    now = archive.clock.now()
    draft = Draft(
        source_ref=f"bench-{uuid7(now, os.urandom(10))}",
        channel=Channel.CALL,
        direction=Direction.INBOUND,
        started_at=now - AGE,
    )
    first = archive.ingest.accept(ground.source, draft, [content]).id
    with archive.database.read() as unit:
        model = unit.communications.get(first)
    with ThreadPoolExecutor(THREADS) as threads:
        for done in range(1, count, CHUNK):
            rows = [_like(archive, model) for _ in range(min(CHUNK, count - done))]
            for _ in threads.map(lambda row: archive.store.put(row.streams[0].object_name, [content]), rows):
                pass
            _insert(archive, rows)


def _like(archive: Archive, model: Communication) -> Communication:
    one = uuid7(archive.clock.now(), os.urandom(10))
    row = replace(
        model,
        id=one,
        source_ref_hash=os.urandom(32),
        wrapped_key=archive.period_keys.wrap(one, model.key_id, os.urandom(32)),
        streams=(
            replace(model.streams[0], object_name=model.streams[0].object_name.replace(model.id, one), version_id=None),
        ),
    )
    return FactDigests(keyring=archive.keyring).sealed(row)


def _insert(archive: Archive, rows: list[Communication]) -> None:
    added = [additions(row) for row in rows]
    with rows_of(archive).schema_work() as connection:
        for tables in zip(*added, strict=True):
            many = [row for addition in tables for row in addition.rows]
            if many:
                connection.execute(insert(tables[0].table), many)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
