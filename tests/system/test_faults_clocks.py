"""Clocks that jump, and clocks that disagree: nothing is destroyed on the word of one clock alone, nothing that is about to
commit is swept, and a journey that met a jump goes on when the clocks are right again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.system import FixedClock
from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.domain.errors import RecvaultError, Unavailable
from recvault.domain.ports.objects import DeleteFailure, ObjectStore, ObjectVersion
from recvault.domain.purpose import Purpose
from tests.support.aftermath import end_of, look, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, make_world, memory_parts, steady_database
from tests.support.faults import FaultyStore, Plan
from tests.support.interruptions import CALL, one_due, several_due
from tests.support.worlds import another_process

YEAR = timedelta(days=365)
CLOCKS = ("worker", "database", "store")


def three_clocks() -> tuple[Parts, dict[str, FixedClock]]:
    """Parts whose three clocks can be told apart."""
    clocks = {name: FixedClock() for name in CLOCKS}
    parts = replace(
        memory_parts(),
        clock=clocks["worker"],
        database=steady_database("sqlite://", clocks["database"]),
        store=MemoryObjectStore(clock=clocks["store"].now),
    )
    return parts, clocks


def everywhere(clocks: dict[str, FixedClock], by: timedelta) -> None:
    for clock in clocks.values():
        clock.advance(by)


@pytest.mark.parametrize("by", [YEAR, -YEAR, timedelta(minutes=3)], ids=["ahead", "back", "three minutes"])
@pytest.mark.parametrize("wrong", CLOCKS)
def test_nothing_is_destroyed_while_one_clock_disagrees(wrong: str, by: timedelta) -> None:
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        due = world.store("call-1", CALL)
        everywhere(clocks, timedelta(days=190))
        clocks[wrong].advance(by)
        for report in (world.archive.purge.run("worker-1"), world.archive.purge.settle()):
            assert "clocks" in (report.stopped_because or "")
            assert (report.destroyed, report.keys_destroyed, report.completed) == ([], [], [])
        assert len(objects_of(parts)) == 1 and tombstones_of(parts) == {}
        look(parts, world.archive)
        clocks[wrong].advance(-by)
        assert world.archive.purge.run("worker-1").destroyed == [due.id]


def test_a_clock_that_jumps_during_the_run_ends_it() -> None:
    """The night begins well; then the worker's clock goes a year ahead, and everything looks due to it."""
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        due = world.store("call-1", CALL)
        everywhere(clocks, timedelta(days=30))
        world.store("call-2", CALL)
        everywhere(clocks, timedelta(days=160))
        jumping = replace(parts, store=JumpingStore(parts.store, clocks["worker"]))
        jumping.config = parts.config.model_copy(
            update={"purge": parts.config.purge.model_copy(update={"batch_size": 1})}
        )
        with another_process(world, jumping) as night:
            report = night.archive.purge.run("worker-1")
        assert report.destroyed == [due.id] and "clocks" in (report.stopped_because or "")
        assert report.keys_destroyed == []
        assert len(rows_of(parts)) == 1 == len(objects_of(parts))
        clocks["worker"].advance(-YEAR)
        look(parts, world.archive)


class JumpingStore(FaultyStore):
    """At the first deletion a clock jumps a year ahead."""

    def __init__(self, inner: ObjectStore, clock: FixedClock) -> None:
        super().__init__(inner, Plan())
        self._clock = clock
        self._jumped = False

    @override
    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        if not self._jumped:
            self._jumped = True
            self._clock.advance(YEAR)
        return super().delete_versions(items)


@pytest.mark.parametrize("by", [YEAR, -YEAR], ids=["ahead", "back"])
@pytest.mark.parametrize("prepare", [one_due, several_due])
def test_a_jump_of_all_clocks_between_two_runs_is_survived(prepare: Callable[[World], None], by: timedelta) -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        prepare(world)
        world.clock.advance(-abs(by) - timedelta(days=400))  # back before anything was stored
        assert world.archive.purge.run("worker-1").destroyed == []
        world.archive.sweeper.run()
        world.store("during", CALL + b"d")
        look(parts, world.archive)
        world.clock.advance(abs(by) + timedelta(days=400))
        # What is held moved to another key, and its old one waits for a verified backup: a week at most.
        for pause in (timedelta(minutes=6), timedelta(days=8), timedelta(minutes=6), timedelta()):
            world.archive.purge.run("worker-1")
            world.clock.advance(pause)
        look(parts, world.archive)
        assert all(item.stage is Stage.COMPLETE for item in tombstones_of(parts).values())
        end_of(parts, world.archive)


# --- uploads


def slow(act: Callable[[], object]) -> Iterator[bytes]:
    """Content during whose upload time goes by, or something is done."""
    yield CALL
    act()
    yield CALL


def test_an_upload_of_more_than_twelve_hours_is_refused_and_leaves_nothing() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        draft = world.draft("call-1")
        with pytest.raises(Unavailable, match="deadline"):
            world.archive.ingest.accept(world.source, draft, slow(lambda: world.later(hours=12, seconds=1)))
        assert objects_of(parts) == [] and rows_of(parts) == []
        receipt = world.archive.ingest.accept(world.source, draft, slow(lambda: world.later(hours=11)))
        assert [row.id for row in rows_of(parts)] == [receipt.id]
        end_of(parts, world.archive)


def test_the_sweeper_takes_no_upload_that_may_still_commit() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:

        def eleven_hours() -> None:
            world.later(hours=11)
            assert world.archive.sweeper.run() == []

        receipt = world.archive.ingest.accept(world.source, world.draft("call-1"), slow(eleven_hours))

        def two_days() -> None:
            world.later(days=2)
            assert len(world.archive.sweeper.run()) == 1

        with pytest.raises(RecvaultError):
            world.archive.ingest.accept(world.source, world.draft("call-2"), slow(two_days))
        assert [row.id for row in rows_of(parts)] == [receipt.id]
        end_of(parts, world.archive)


def test_an_upload_through_a_host_whose_clock_is_behind_is_never_swept() -> None:
    """Its names look old to a sweeper whose clock is right, so it must not get as far as a row."""
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        right = replace(parts, clock=FixedClock(parts.clock.now() + timedelta(hours=30)))
        clocks["database"].set(right.clock.now())
        clocks["store"].set(right.clock.now())

        def swept() -> None:
            with another_process(world, right) as other:
                other.archive.sweeper.run()

        with pytest.raises(Unavailable, match="clock"):
            world.archive.ingest.accept(world.source, world.draft("call-1"), slow(lambda: None))
        swept()
        look(parts, world.archive)
        clocks["worker"].set(right.clock.now())
        world.store("call-1", CALL)
        swept()
        look(parts, world.archive)


def test_an_upload_through_a_host_whose_clock_is_ahead_is_kept_until_its_own_end() -> None:
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        clocks["worker"].advance(YEAR)
        times = {"started_at": clocks["database"].now(), "ended_at": None}
        receipt = world.store("call-1", CALL, **times)
        clocks["worker"].advance(-YEAR)
        assert world.archive.sweeper.run() == []
        assert receipt.destroy_at < clocks["worker"].now() + timedelta(days=200)  # by the call's time, not the host's
        opened = world.archive.retrieval.open(
            world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, reason="complaint"
        )
        assert opened.length == len(CALL)
        everywhere(clocks, timedelta(days=190))
        assert world.archive.purge.run("worker-1").destroyed == [receipt.id]
        look(parts, world.archive)


def of_a_season(world: World, clocks: dict[str, FixedClock]) -> None:
    """Thirty calls over thirty days, and each night its run and its forecast."""
    for day in range(30):
        world.store(f"call-{day}", CALL + bytes([day]))
        everywhere(clocks, timedelta(days=1))
        assert world.archive.purge.run("worker-1").stopped_because is None
        world.archive.forecast.foresee()


@pytest.mark.parametrize("by", [YEAR, -YEAR], ids=["ahead", "back"])
def test_three_clocks_that_are_wrong_together_destroy_nothing(by: timedelta) -> None:
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        of_a_season(world, clocks)
        everywhere(clocks, by)
        for _ in range(3):  # nor on the nights that follow: wrong clocks write no forecast
            for report in (world.archive.purge.run("worker-1"), world.archive.purge.settle()):
                assert "forecast" in (report.stopped_because or "")
                assert (report.destroyed, report.keys_destroyed, report.completed) == ([], [], [])
            with pytest.raises(Unavailable, match="forecast"):
                world.archive.forecast.foresee()
            everywhere(clocks, timedelta(days=1))
        assert len(objects_of(parts)) == 30 and tombstones_of(parts) == {}
        everywhere(clocks, -by)
        assert world.archive.purge.run("worker-1").stopped_because is None
        assert world.archive.forecast.foresee() is not None
        look(parts, world.archive)


def test_thirty_days_without_a_worker_are_caught_up_by_nobody_but_the_worker() -> None:
    parts, clocks = three_clocks()
    with (world := make_world(parts=parts)).archive:
        of_a_season(world, clocks)
        for _ in range(160):
            everywhere(clocks, timedelta(days=1))
            assert world.archive.purge.run("worker-1").stopped_because is None
            world.archive.forecast.foresee()
        before = len(tombstones_of(parts))
        everywhere(clocks, timedelta(days=30))
        assert world.archive.purge.run("worker-1").stopped_because is None
        assert len(tombstones_of(parts)) > before + 20
        end_of(parts, world.archive)
