"""The worker's ticks, on an archive in memory: they come, they do their work, and no fault ends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import pytest
import structlog
from apscheduler.triggers.interval import IntervalTrigger
from structlog.testing import capture_logs

from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.domain.errors import StoreUnavailable
from recvault.interfaces.worker import WATCHING, Outcome, Rhythm, Tick, Worker
from tests.support.archives import World, make_world

QUICK = Rhythm(sequencing=0.05, closing=0.1, overdue=0.1, places=0.1, daily=0.1)


@pytest.fixture
def world() -> World:
    structlog.reset_defaults()
    return make_world()


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tick(act: Callable[[], Outcome], *, destroys: bool = False, quiet: bool = False) -> Tick:
    return Tick(name="test", trigger=IntervalTrigger(days=1), act=act, destroys=destroys, quiet=quiet)


def numbered(world: World) -> int:
    with world.archive.database.read() as unit:
        return unit.audit.head().size


def test_a_running_worker_numbers_entries_and_destroys_what_a_night_left(world: World) -> None:
    stored = world.store("call-1")
    world.later(days=300)
    worker = Worker(world.archive, rhythm=QUICK)
    worker.start()
    try:
        eventually(lambda: numbered(world) > 0)
        eventually(lambda: world.archive.purge.absent(stored.id))
    finally:
        worker.stop()
    with world.archive.database.read() as unit:
        assert unit.destructions.get(stored.id).stage is not Stage.SHREDDED


def test_what_became_due_since_the_last_night_waits_for_the_next(world: World) -> None:
    stored = world.store("call-1", tags=frozenset({"do-not-keep"}))
    worker = Worker(world.archive)
    world.clock.set(stored.destroy_at)
    worker.now("overdue")
    assert not world.archive.purge.absent(stored.id)
    worker.now("purge")
    assert world.archive.purge.absent(stored.id)


def test_a_hold_is_left_alone_by_the_ticks(world: World) -> None:
    stored = world.store("call-1")
    actor = world.actor(Role.PRIVACY_HANDLER)
    review = datetime(2028, 1, 1, tzinfo=UTC).date()
    world.archive.holds.place(actor, reason="a claim", review_on=review, communication_id=stored.id)
    world.later(days=300)
    worker = Worker(world.archive)
    for name in ("purge", "overdue", "closing"):
        worker.now(name)
    assert not world.archive.purge.absent(stored.id)


def test_a_fault_raised_on_purpose_is_logged_and_ends_nothing(world: World) -> None:
    def away() -> Outcome:
        raise StoreUnavailable("the object store does not answer; see to it")

    worker = Worker(world.archive)
    with capture_logs() as lines:
        worker.run(tick(away, destroys=True))
        worker.run(tick(lambda: {"done": 1}, destroys=True))
    assert [(line["event"], line.get("code")) for line in lines] == [
        ("tick failed", "store-unavailable"),
        ("tick", None),
    ]


def test_ticks_with_nothing_to_tell_are_quiet(world: World) -> None:
    worker = Worker(world.archive)
    with capture_logs() as lines:
        worker.run(tick(lambda: {"done": 0}, quiet=True))
        worker.run(tick(lambda: {"done": 0}))
    assert len(lines) == 1


def test_what_a_person_should_see_is_a_warning(world: World) -> None:
    with capture_logs() as lines:
        Worker(world.archive).run(tick(lambda: {"destroyed": 1, "unfinished": 2}, quiet=True))
    assert [line["log_level"] for line in lines] == ["warning"]


def named(worker: Worker, name: str) -> Tick:
    return next(tick for tick in worker.ticks() if tick.name == name)


def test_what_a_task_reported_is_told_by_the_next_look(world: World) -> None:
    worker = Worker(world.archive)
    worker.run(named(worker, "heartbeat"))
    worker.run(tick(lambda: {"unfinished": 2}))
    with capture_logs() as lines:
        worker.run(named(worker, "notices"))
        worker.run(named(worker, "notices"))
    (notice,) = [line for line in lines if line["event"] == "notice"]
    assert notice["about"] == "Arkisto: hälytys alkoi (1)" and "[test/unfinished]" in " ".join(notice["lines"])
    (told,) = [line for line in lines if line["event"] == "tick"]
    assert told["began"] == ["test/unfinished"] and told["sent"] == 1


def test_a_task_that_fails_is_told_when_it_keeps_failing(world: World) -> None:
    def fail() -> Outcome:
        raise StoreUnavailable("the store is away; mount it")

    worker = Worker(world.archive)
    for expected in ([], ["test/failed"]):
        worker.run(tick(fail))
        worker.run(named(worker, "heartbeat"))
        worker.run(named(worker, "audit"))
        with capture_logs() as lines:
            worker.run(named(worker, "notices"))
        assert [name for line in lines for name in line.get("began", [])] == expected
        world.later(minutes=11)


def test_a_process_that_only_serves_watches_and_does_nothing_else(world: World) -> None:
    watch = Worker(world.archive, only=WATCHING)
    assert {job.id for job in watch.jobs()} == WATCHING
    Worker(world.archive).run(named(Worker(world.archive), "heartbeat"))
    world.later(minutes=6)
    with capture_logs() as lines:
        watch.run(named(watch, "notices"))
        world.later(minutes=3)
        watch.run(named(watch, "notices"))
        watch.run(named(watch, "digest"))
    assert [name for line in lines for name in line.get("began", [])] == ["no-worker"]


def test_what_comes_daily_comes_soon_after_the_start_too(world: World) -> None:
    worker = Worker(world.archive)
    worker.start()
    due = {job.id: job.next_run_time - datetime.now(UTC) for job in worker.jobs()}
    worker.stop()
    assert max(due[name] for name in ("sweep", "recheck", "edge-keys", "overdue", "places")) <= timedelta(minutes=5)


def test_ticks_that_destroy_never_overlap(world: World) -> None:
    worker, inside, most = Worker(world.archive), 0, 0

    def slow() -> Outcome:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        return {}

    threads = [threading.Thread(target=worker.run, args=[tick(slow, destroys=True)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize(
    ("now", "night"),
    [  # Helsinki is two hours ahead of UTC in winter, three in summer.
        (datetime(2026, 11, 22, 0, 29, tzinfo=UTC), datetime(2026, 11, 21, 0, 30, tzinfo=UTC)),
        (datetime(2026, 11, 22, 0, 30, tzinfo=UTC), datetime(2026, 11, 22, 0, 30, tzinfo=UTC)),
        (datetime(2026, 11, 22, 23, 0, tzinfo=UTC), datetime(2026, 11, 22, 0, 30, tzinfo=UTC)),
        (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), datetime(2026, 6, 30, 23, 30, tzinfo=UTC)),
    ],
)
def test_the_night_before(world: World, now: datetime, night: datetime) -> None:
    worker = Worker(world.archive, nightly_at=time_of_day(2, 30))
    assert worker.last_night(now) == night


def test_late_and_missed_ticks_still_run_once(world: World) -> None:
    worker = Worker(world.archive)
    worker.start()
    jobs = worker.jobs()
    worker.stop()
    assert {job.id for job in jobs} == {tick.name for tick in worker.ticks()}
    assert [(job.misfire_grace_time, job.coalesce, job.max_instances) for job in jobs] == [(None, True, 1)] * len(jobs)


def test_every_tick_does_its_work_on_a_fresh_archive(world: World) -> None:
    worker = Worker(world.archive)
    for each in worker.ticks():
        worker.now(each.name)
