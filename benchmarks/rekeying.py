"""Re-keying of a day: every data key under it unwrapped, wrapped under the next generation and remembered, against a bare
UPDATE of the same rows (one statement that sets the same two columns).

The rows are put into the tables directly, with real wrapped keys. ``longest`` is how long, at most, the rows of one portion
were locked: that is what an upload or a purge may have to wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, text

from benchmarks.grounds import Ground
from benchmarks.results import Goal, Result, Take, compare, judged
from recvault import bootstrap
from recvault.adapters.database import SqlDatabase
from recvault.adapters.database.tables import communication_keys, communications, period_keys
from recvault.bootstrap import Archive
from recvault.config import load
from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import Source
from recvault.domain.communication import Channel, Direction, Draft
from recvault.domain.ids import uuid7
from recvault.sealing.wrapping import wrap_aads

CHUNK = 2000
KEYS_A_SECOND = 20_000
BARE = "day/1970-01-01/1"
SET = text("UPDATE communication_keys SET key_id = :new, wrapped_key = substr(wrapped_key, 1) WHERE key_id = :old")


def measure(ground: Ground, *, quick: bool) -> Iterator[Result]:
    """In this process, as the worker's closing tick does; ``KEYS`` data keys (1,000,000 unless the environment says
    otherwise), the last time while another process stores calls."""
    count, turns = (20_000, 2) if quick else (int(os.environ.get("KEYS", "1000000")), 2)
    actor = Actor(id="bench", grants=(Grant(role=Role.ADMINISTRATOR),), agent_id=None)
    with bootstrap.build(ground.config()) as archive:
        bootstrap.start(archive)
        database = archive.database
        if not isinstance(database, SqlDatabase):
            raise TypeError("the bare side needs a connection of its own")
        day = archive.clock.now() + timedelta(days=400)
        _fill(archive, database, ground, day, count)
        period = day.astimezone(archive.config.retention.zone).date().isoformat()
        held: list[float] = []

        def ours() -> float:
            _settle(database)
            started = time.perf_counter()
            with _watched(database, held):
                archive.key_ends.rekey(actor, period)
            return count / (time.perf_counter() - started)

        yield compare(
            f"re-key {count}, {ground.name}",
            unit="keys/s",
            ours=ours,
            reference="bare UPDATE",
            bare=lambda: _bare(archive, database, period, count),
            turns=turns,
            seconds=60 if quick else 900,
            goal=Goal(least_value=KEYS_A_SECOND),
            warm=False,
        )
        longest = max(held) * 1000
        if not quick:
            yield _with_uploads(ground, ours)
        yield judged(
            f"longest lock, {ground.name}", unit="ms", reference="limit", pairs=[(longest, 100.0)], goal=Goal(most=1.0)
        )


def _with_uploads(ground: Ground, ours: Take) -> Result:
    """Uploads a second of another process before and while a day is re-keyed; none may fail."""
    before, (during, keys) = _uploads_during(ground, lambda: time.sleep(10)), _uploads_during(ground, ours)
    return judged(
        f"uploads while re-keying {keys:,.0f} keys/s, {ground.name}",
        unit="uploads/s",
        reference="uploads alone",
        pairs=[(during, before[0])],
    )


def _uploads_during(ground: Ground, work: Callable[[], float | None]) -> tuple[float, float]:
    """How many a second, and what the work says of itself."""
    context = get_context("spawn")
    told = context.Queue()
    stop = context.Event()
    process = context.Process(target=_upload, args=(str(ground.config_file), ground.source, told, stop))
    process.start()
    try:
        told.get(timeout=60)  # the first is stored
        said = work()
    finally:
        stop.set()
    stored, seconds = told.get(timeout=60)
    process.join(60)
    if process.exitcode != 0:
        raise RuntimeError("an upload failed while keys were changed")
    return stored / seconds, said or 0.0


def _upload(config_file: str, source: Source, told: Queue[tuple[int, float]], stop: Event) -> None:
    """Stores small calls until told to stop."""
    with bootstrap.build(load(Path(config_file), {})) as archive:
        bootstrap.start(archive)
        stored, started = 0, time.perf_counter()
        while not stop.is_set():
            draft = Draft(
                source_ref=f"bench-{uuid4()}",
                channel=Channel.CALL,
                direction=Direction.INBOUND,
                started_at=archive.clock.now(),
            )
            archive.ingest.accept(source, draft, [os.urandom(16 * 1024)])
            stored += 1
            if stored == 1:
                told.put((1, 0.0))
                started = time.perf_counter()
        told.put((stored - 1, time.perf_counter() - started))


def _fill(archive: Archive, database: SqlDatabase, ground: Ground, day: datetime, count: int) -> None:
    key_id, now = archive.period_keys.prepare(day), archive.clock.now()
    policy = archive.retention.active().version
    with database.schema_work() as connection:
        connection.execute(
            insert(period_keys),
            {"key_id": BARE, "period": "1970-01-01", "generation": 1, "created_at": now, "destroyed_at": now},
        )
    for first in range(0, count, CHUNK):
        ids = [uuid7(now, (first + n).to_bytes(10)) for n in range(min(CHUNK, count - first))]
        keys = [
            archive.keyring.wrap(key_id, os.urandom(32), aad) for aad in wrap_aads(communications=ids, key_id=key_id)
        ]
        rows = [
            {
                "id": one,
                "source_id": ground.source.id,
                "source_ref_hash": os.urandom(32),
                "channel": "call",
                "direction": "inbound",
                "started_at": now,
                "stored_at": now,
                "media_type": "audio/wav",
                "notice_ref": "2026-01",
                "balancing_ref": "2026-01",
                "team": "laskutus",
                "queue": "vaihde",
                "length": 480_000,
                "policy_version": policy,
                "destroy_at": day,
                "state": "stored",
                "sealed_fields": bytes(300),
                "sealed_manifest": bytes(400),
                "place_declared": "local",
                "place_observed": "local",
            }
            for one in ids
        ]
        wrapped = [
            {"communication_id": one, "key_id": key_id, "wrapped_key": key, "wrapped_by": key_id}
            for one, key in zip(ids, keys, strict=True)
        ]
        with database.schema_work() as connection:
            connection.execute(insert(communications), rows)
            connection.execute(insert(communication_keys), wrapped)


def _bare(archive: Archive, database: SqlDatabase, period: str, count: int) -> float:
    """There and back; the figure is the mean of both."""
    with archive.database.read() as unit:
        key = unit.period_keys.open_for(period)
    if key is None:
        raise RuntimeError("the day has no open key")
    _settle(database)
    started = time.perf_counter()
    for old, new in ((key.key_id, BARE), (BARE, key.key_id)):
        with database.schema_work() as connection:
            if database.is_postgresql:
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            if connection.execute(SET, {"old": old, "new": new}).rowcount != count:
                raise RuntimeError("the bare UPDATE met other rows")
    return 2 * count / (time.perf_counter() - started)


def _settle(database: SqlDatabase) -> None:
    """Neither side pays for the dead rows of the one before it."""
    if database.is_postgresql:
        with database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM ANALYZE communications"))
            connection.execute(text("VACUUM ANALYZE communication_keys"))
            connection.execute(text("CHECKPOINT"))


@contextmanager
def _watched(database: SqlDatabase, held: list[float]) -> Iterator[None]:
    """Notes how long each writing transaction took."""
    begin = database.begin

    @contextmanager
    def watched() -> Iterator[object]:
        with begin() as unit:
            started = time.perf_counter()
            yield unit
            held.append(time.perf_counter() - started)

    database.begin = watched  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del database.begin
