"""The audit log: acts recorded and put into the tree, against a bare INSERT of as many rows; and how fast it is verified.

Both sides commit after every ``EACH`` rows, on the same server and disk, in turns. Verifying reads a log of ``VERIFIED``
entries and is compared with two hashes of as many bytes for each, from memory.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

from sqlalchemy import text

from benchmarks.grounds import Ground
from benchmarks.results import Goal, Result, compare
from recvault import bootstrap
from recvault.adapters.database import SqlDatabase
from recvault.bootstrap import Archive
from recvault.domain.audit import Act

EACH = 100
CLUSTER = "PostgreSQL + Ceph"
ACTS = {CLUSTER: Goal(least_value=2000)}
LEAVES = {CLUSTER: Goal(least_value=200_000)}
BYTES = 330
"""Of an entry and its salt, as they are hashed."""


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """Records, sequences and verifies in this process."""
    count, verified = (4000, 60_000) if quick else (20_000, 400_000)
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        _make_bare_table(archive)
        yield compare(
            f"acts recorded and in the tree, {ground.name}",
            unit="acts/s",
            ours=lambda: _record(archive, count),
            reference="bare INSERT",
            bare=lambda: _insert(archive, count),
            turns=3 if quick else 5,
            seconds=20 if quick else 120,
            goal=ACTS.get(ground.name),
        )
        _record(archive, verified)
        yield compare(
            f"audit log verified, {ground.name}",
            unit="leaves/s",
            ours=lambda: _verify(archive),
            reference="two SHA-256 each",
            bare=_hash,
            turns=3,
            seconds=20 if quick else 120,
            goal=LEAVES.get(ground.name),
        )


def _record(archive: Archive, count: int) -> float:
    started = time.perf_counter()
    for first in range(0, count, EACH):
        with archive.database.begin() as unit:
            archive.audit.record_each(
                unit,
                actor="system:bench",
                act=Act.VIEWED,
                targets=[f"01938a5c-0000-7000-8000-{number:012d}" for number in range(first, first + EACH)],
                detail={"ranges": [[0, 65536]], "case": False},
            )
            unit.commit()
    archive.audit.sequence()
    return count / (time.perf_counter() - started)


def _verify(archive: Archive) -> float:
    started = time.perf_counter()
    head = archive.audit.verify()
    return head.size / (time.perf_counter() - started)


def _hash() -> float:
    sha256, body, count = hashlib.sha256, os.urandom(BYTES), 100_000
    started = time.perf_counter()
    for _ in range(count):
        sha256(sha256(body).digest()).digest()
    return count / (time.perf_counter() - started)


def _make_bare_table(archive: Archive) -> None:
    database = archive.database
    assert isinstance(database, SqlDatabase)
    kinds = ("TEXT", "TIMESTAMP", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "BYTEA", "BYTEA")
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
    with database.schema_work() as connection:
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS bare_acts ({columns}, PRIMARY KEY (c0))"))


def _insert(archive: Archive, count: int) -> float:
    """As many rows of the same columns, with nothing but a primary key."""
    database = archive.database
    assert isinstance(database, SqlDatabase)
    marks = ", ".join(f":c{number}" for number in range(9))
    statement = text(f"INSERT INTO bare_acts VALUES ({marks})")
    started = time.perf_counter()
    for _ in range(0, count, EACH):
        rows = [
            {
                "c0": os.urandom(18).hex(),
                "c1": "2026-11-22 10:00:00",
                "c2": "system:bench",
                "c3": "communication:index:viewed",
                "c4": "01938a5c-0000-7000-8000-000000000000",
                "c5": None,
                "c6": '{"case":false,"ranges":[[0,65536]]}',
                "c7": os.urandom(16),
                "c8": os.urandom(32),
            }
            for _ in range(EACH)
        ]
        with database.schema_work() as connection:
            connection.execute(statement, rows)
    return count / (time.perf_counter() - started)
