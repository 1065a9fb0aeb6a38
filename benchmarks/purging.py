"""Destruction from the claim to the certificates: dense and scattered, and what a claim costs among many rows.

What is purged arrived overdue (contacts of ten years ago), so that nothing waits; both sides delete objects of 16 KiB.
Dense: everything stored is purged. Scattered: of every ``STEP`` objects that lie side by side one goes, the others survive.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from benchmarks.grounds import Ground
from benchmarks.results import Goal, Result, compare, judged
from recvault import bootstrap
from recvault.adapters.database import SqlDatabase
from recvault.bootstrap import Archive
from recvault.domain.communication import Channel, Direction, Draft

SIZE = 16 * 1024
THREADS = 6
STEP = 10
AGE = timedelta(days=3650)
CLUSTER = "PostgreSQL + Ceph"
DENSE = {CLUSTER: Goal(least=0.7)}
SCATTERED = {CLUSTER: Goal(least=0.3)}
CLAIM_MS = 50.0
CLAIMS = 20
WARM = 2
_ID = "{:08d}-{:04d}"


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """Runs the purge in this process, as ``recvault purge run`` does."""
    count, turns = (1000, 2) if quick else (5000, 3)
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        for name, step, goals in (("dense", 1, DENSE), ("scattered", STEP, SCATTERED)):
            number = count // step
            yield compare(
                f"purge of {number}, {name}, {ground.name}",
                unit="objects/s",
                ours=lambda number=number, step=step: _purge(archive, ground, number, step),  # type: ignore[misc]
                reference=ground.bare.delete_name,
                bare=lambda number=number, step=step: bare_delete(ground, number, step),  # type: ignore[misc]
                turns=turns,
                seconds=15 if quick else 600,
                goal=goals.get(ground.name),
                warm=False,
            )


def claims(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """What a claim costs among ``ROWS`` rows (10,000,000 unless the environment says otherwise)."""
    rows = 500_000 if quick else int(os.environ.get("ROWS", "10000000"))
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        model = Draft(
            source_ref="bench-model",
            channel=Channel.CALL,
            direction=Direction.INBOUND,
            started_at=archive.clock.now(),
        )
        archive.ingest.accept(ground.source, model, [os.urandom(SIZE)])
        yield _claims(archive, ground, rows)


def _purge(archive: Archive, ground: Ground, count: int, step: int = 1) -> float:
    _store(archive, ground, count, step)
    archive.forecast.confirm(ground.listener)  # so much overdue at once is what the guard asks a person about
    started = time.perf_counter()
    report = archive.purge.run("bench")
    elapsed = time.perf_counter() - started
    if len(report.destroyed) != count:
        raise RuntimeError(f"{len(report.destroyed)} of {count} were destroyed: {report.stopped_because}")
    return count / elapsed


def _store(archive: Archive, ground: Ground, count: int, step: int) -> None:
    """``count`` that are due, and ``step - 1`` that are not between each two of them."""
    content, now = os.urandom(SIZE), archive.clock.now()

    def store(number: int) -> None:
        draft = Draft(
            source_ref=f"bench-{uuid4()}",
            channel=Channel.CALL,
            direction=Direction.INBOUND,
            started_at=now if number % step else now - AGE,
        )
        archive.ingest.accept(ground.source, draft, [content])

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(store, range(count * step)):
            pass


def bare_delete(ground: Ground, count: int, step: int = 1) -> float:
    """Objects a second, in bulk: every ``step`` of those that lie side by side."""
    content = os.urandom(SIZE)
    names = sorted(f"{uuid4()}/original.1" for _ in range(count * step))
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda name: ground.bare.put(name, content), names))
    started = time.perf_counter()
    ground.bare.delete(names[::step])
    return count / (time.perf_counter() - started)


def _claims(archive: Archive, ground: Ground, rows: int) -> Result:
    """Claims of one batch each among ``rows`` rows of which one in a hundred is due; nothing is kept of them."""
    _fill(archive, rows)
    now = archive.clock.now()
    taken: list[tuple[float, float]] = []
    before: list[str] = []
    for turn in range(min(CLAIMS + WARM, rows // 100 // 1000)):
        with archive.database.begin() as unit:
            started = time.perf_counter()
            claimed = unit.communications.claim_due(
                now=now, limit=1000, worker="bench", lease_until=now + timedelta(minutes=5)
            )
            unit.commit()
            elapsed = 1000 * (time.perf_counter() - started)
        if len(claimed) != 1000:
            raise RuntimeError(f"{len(claimed)} were claimed, not 1000")
        _drop(archive, before)
        before = [item.communication_id for item in claimed]
        bare = _bare_update(archive, rows)
        if turn >= WARM:
            taken.append((elapsed, bare))
    return judged(
        f"due-scan and claim of 1000 among {rows:,} rows, {ground.name}",
        unit="ms",
        reference="bare UPDATE of 1000 rows by id",
        pairs=taken,
        goal=Goal(most_value=CLAIM_MS),
    )


def _drop(archive: Archive, ids: list[str]) -> None:
    """As a purge has dropped a batch when it claims the one after the next."""
    with rows_of(archive).schema_work() as connection:
        tables = (
            ("communication_claims", "communication_id"),
            ("communication_keys", "communication_id"),
            ("communications", "id"),
        )
        for table, column in tables:
            connection.execute(text(f"DELETE FROM {table} WHERE {column} = ANY(:ids)"), {"ids": ids})


def _bare_update(archive: Archive, rows: int) -> float:
    """Milliseconds of an UPDATE, as bare as can be, of as many rows that lie as the due ones do, by their ids."""
    first = random.randrange(1, rows - 110_000)
    with rows_of(archive).schema_work() as connection:
        ids = list(
            connection.execute(
                text("SELECT id FROM communications WHERE id > :after AND right(id, 2) = '01' ORDER BY id LIMIT 1000"),
                {"after": _ID.format(first // 10_000, first % 10_000)},
            ).scalars()
        )
    with rows_of(archive).schema_work() as connection:
        started = time.perf_counter()
        done = connection.execute(
            text("UPDATE communications SET place_observed = 'x' WHERE id = ANY(:ids)"), {"ids": ids}
        )
        connection.commit()
        elapsed = 1000 * (time.perf_counter() - started)
    if done.rowcount != 1000:
        raise RuntimeError("the bare UPDATE met other rows")
    return elapsed


def rows_of(archive: Archive) -> SqlDatabase:
    """The database as SQL."""
    if not isinstance(archive.database, SqlDatabase):
        raise TypeError("rows are filled in where there is SQL")
    return archive.database


def _fill(archive: Archive, rows: int) -> None:
    """Copies of one stored row under other ids, ends spread over a year; made by the database itself. Every hundredth is
    overdue. They have no data keys, which a claim does not look at. Afterwards the table is as autovacuum leaves one that
    was filled over years."""
    columns = (
        "source_id, channel, direction, started_at, stored_at, media_type, notice_ref, balancing_ref, length, policy_version, "
        "state, sealed_fields, sealed_manifest, place_declared, place_observed"
    )
    with rows_of(archive).schema_work() as connection:
        for setting in (
            "statement_timeout = 0",
            "maintenance_work_mem = '512MB'",
            "session_replication_role = replica",
        ):
            connection.execute(
                text(f"SET LOCAL {setting}")
            )  # the last: foreign keys are those of the row that is copied
        indexes = connection.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'communications' AND indexname LIKE 'ix_%'"
            )
        ).all()
        for name, _ in indexes:
            connection.execute(text(f"DROP INDEX {name}"))
        connection.execute(
            text(
                f"INSERT INTO communications (id, destroy_at, {columns}) "
                "SELECT lpad((n / 10000)::text, 8, '0') || '-' || lpad((n % 10000)::text, 4, '0') || '-7000-8000-' || "
                "lpad((n % 100)::text, 12, '0'), "
                "CASE WHEN n % 100 = 0 THEN now() - interval '1 day' - n * interval '1 millisecond' "
                f"ELSE now() + interval '1 day' + (n % 365) * interval '1 day' END, {columns} "
                "FROM generate_series(1, :rows) AS n, (SELECT * FROM communications WHERE state = 'stored' LIMIT 1) AS one"
            ),
            {"rows": rows},
        )
        for _, definition in indexes:
            connection.execute(text(definition))
    _vacuum(archive)


def _vacuum(archive: Archive) -> None:
    with rows_of(archive)._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE communications"))
