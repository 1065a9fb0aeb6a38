"""Period keys under several at once: a writer and a closing, two makers of one key, a re-keying while work goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from recvault.bootstrap import Archive, assemble
from recvault.domain.access import Role
from recvault.domain.errors import Conflict, KeyDestroyed
from recvault.domain.period_keys import KeyState, state_of
from recvault.domain.ports.database import UnitOfWork
from recvault.services import key_ends
from recvault.services.period_keys import PeriodKeys
from tests.contract import database_kit as kit
from tests.contract.database_kit import Aside
from tests.support.archives import Parts, World, make_world, memory_parts, steady_database

LONG_AGO = datetime(2015, 3, 1, 9, 0, tzinfo=UTC)


@pytest.fixture(params=kit.ON_DISK)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def parts(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    made = memory_parts()
    made.database.close()
    made.database = steady_database(kit.address(kind, request, tmp_path), made.clock)
    yield made
    made.database.close()


@pytest.fixture
def world(parts: Parts) -> World:
    return make_world(parts=parts)


def another(parts: Parts) -> Archive:
    """A second process on the same parts."""
    return assemble(
        parts.config,
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
    )


class Interrupted(PeriodKeys):
    """Lets something else happen right after the key was shared, before the row is written."""

    then: Callable[[], object]

    @override
    def share(self, unit: UnitOfWork, key_id: str) -> None:
        self._hold(unit, key_id)
        self.then()

    def _hold(self, unit: UnitOfWork, key_id: str) -> None:
        super().share(unit, key_id)


class Unlocked(Interrupted):
    """Looks at the key without locking its row: what must not be."""

    @override
    def _hold(self, unit: UnitOfWork, key_id: str) -> None:
        if state_of(unit.period_keys.get(key_id)) is not KeyState.OPEN:
            raise Conflict("the day's key is closing")


def interrupting(world: World, variant: type[Interrupted], then: Callable[[], object]) -> None:
    """Has the archive's ingest use the variant."""
    archive = world.archive
    keys = variant(
        database=archive.database,
        keyring=archive.keyring,
        audit=archive.audit,
        clock=archive.clock,
        zone=archive.config.retention.zone,
    )
    keys.then = then
    archive.ingest._period_keys = keys


def old_call(world: World) -> str:
    """One whose day of destruction is over when it comes, so that its key may close at any moment."""
    return world.store("old", started_at=LONG_AGO, ended_at=LONG_AGO + timedelta(minutes=4)).id


def data_key(world: World, communication_id: str) -> bytes:
    with world.archive.database.read() as unit:
        return world.archive.period_keys.unwrap(unit.communications.get(communication_id))


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["postgresql"])
def test_without_the_shared_lock_a_communication_is_lost_under_a_key_that_closed(world: World, parts: Parts) -> None:
    other = another(parts)
    destroyed: list[list[str]] = []
    interrupting(world, Unlocked, lambda: destroyed.append(Aside(other.key_ends.close_due).join()))
    lost = old_call(world)
    assert len(destroyed[0]) == 1, "the closing did not wait for the writer"
    with pytest.raises(KeyDestroyed):
        data_key(world, lost)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_on_sqlite_the_write_transaction_is_the_lock(world: World, parts: Parts) -> None:
    """So that there the variant without another loses nothing either."""
    the_closing_waits(world, parts, Unlocked)


def test_with_the_lock_the_closing_waits_and_finds_the_writers_row(world: World, parts: Parts) -> None:
    the_closing_waits(world, parts, Interrupted)


def the_closing_waits(world: World, parts: Parts, variant: type[Interrupted]) -> None:
    other = another(parts)
    closings: list[Aside] = []

    def close() -> None:
        closings.append(Aside(other.key_ends.close_due))
        assert closings[-1].waits()

    interrupting(world, variant, close)
    kept = old_call(world)
    assert closings[0].join() == []
    assert len(data_key(world, kept)) == 32


def test_a_closing_that_was_first_sends_the_writer_to_the_next_generation(world: World, parts: Parts) -> None:
    other = another(parts)
    world.archive.period_keys.prepare(LONG_AGO + timedelta(days=365))

    class Late(PeriodKeys):
        """Finds its key closed each time it is about to share it, once."""

        left = 1

        @override
        def share(self, unit: UnitOfWork, key_id: str) -> None:
            if self.left:
                Late.left -= 1
                raise Conflict("the day's key is closing")
            super().share(unit, key_id)

    archive = world.archive
    archive.ingest._period_keys = Late(
        database=archive.database,
        keyring=archive.keyring,
        audit=archive.audit,
        clock=archive.clock,
        zone=archive.config.retention.zone,
    )
    kept = old_call(world)
    assert len(data_key(world, kept)) == 32
    assert other.purge.run("worker-2").destroyed == [kept]


def test_makers_of_one_new_key_at_once_get_the_same(world: World, parts: Parts) -> None:
    archives = [world.archive, another(parts)]
    together = threading.Barrier(6)

    def first_of_a_day(number: int) -> str:
        together.wait(20)
        return archives[number % 2].ingest.accept(world.source, world.draft(f"call-{number}"), [b"RIFF....WAVE"]).id

    for day in range(4):
        with ThreadPoolExecutor(6) as threads:
            ids = list(threads.map(first_of_a_day, range(day * 6, day * 6 + 6)))
        with parts.database.read() as unit:
            keys = {row.key_id for row in unit.communications.find(ids)}
        assert len(keys) == 1 and keys.pop().endswith("/1")
        world.later(days=1)


def test_a_day_is_rekeyed_by_several_while_uploads_and_moved_ends_go_on(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ends, "PORTION", 40)
    ids = [world.store(f"call-{number}").id for number in range(120)]
    with parts.database.read() as unit:
        day = unit.communications.get(ids[0]).key_id.split("/")[1]
    workers = [another(parts), another(parts)]
    administrator, leader = world.actor(Role.ADMINISTRATOR), world.actor(Role.TEAM_LEAD)

    def rekey(worker: Archive) -> None:
        for _ in range(3):
            worker.key_ends.rekey(administrator, day)

    def upload(first: int) -> list[str]:
        return [world.store(f"more-{first}-{number}").id for number in range(15)]

    def move(some: list[str]) -> None:
        for one in some:
            world.archive.retention.do_not_keep(leader, one)

    with ThreadPoolExecutor(6) as threads:
        rekeying = [threads.submit(rekey, worker) for worker in workers]
        uploading = [threads.submit(upload, first) for first in range(2)]
        moving = [threads.submit(move, ids[start : start + 10]) for start in (0, 30)]
        for one in (*rekeying, *moving):
            one.result(60)
        ids += [one for done in uploading for one in done.result(60)]
    workers[0].purge.settle()
    with parts.database.read() as unit:
        rows = unit.communications.find(ids)
        history = unit.communications.wrapped_by(ids)
        open_key = unit.period_keys.open_for(day)
    assert open_key is not None and len(rows) == 150
    assert all(len(world.archive.period_keys.unwrap(row)) == 32 for row in rows)
    assert all(row.key_id in history[row.id] for row in rows)
    moved = {*ids[:10], *ids[30:40]}
    assert {row.key_id for row in rows if row.id not in moved} == {open_key.key_id}
    standing = {each.key.key_id: each for each in world.archive.key_ends.status() if each.key.period == day}
    assert all(each.under == 0 for key_id, each in standing.items() if key_id != open_key.key_id)
