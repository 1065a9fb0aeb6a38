"""Suspension and forecast guard over a whole archive in memory: what stops, what goes on, and who says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.adapters.system import FixedClock
from recvault.bootstrap import assemble
from recvault.domain.access import Role
from recvault.domain.approvals import ProposalState
from recvault.domain.audit import Act
from recvault.domain.brakes import Suspension
from recvault.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from tests.support.archives import Parts, World, make_world, memory_parts

YEAR = timedelta(days=365)


def other_worker(world: World, parts: Parts) -> World:
    """Another process on the same database, store and keys."""
    archive = assemble(
        parts.config,
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
    )
    return World(
        archive=archive,
        clock=world.clock,
        source=world.source,
        token=world.token,
        actors=world.actors,
        policy_version=world.policy_version,
    )


def acts(world: World, *wanted: Act) -> list[Act]:
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        return [item.entry.act for item in unit.audit.read(0, 10_000) if item.entry.act in wanted]


def stored_over_days(world: World, count: int) -> list[str]:
    """As many calls, one an hour."""
    ids = []
    for number in range(count):
        ids.append(world.store(f"call-{number}").id)
        world.later(hours=1)
    return ids


def ends(world: World, ids: list[str]) -> FixedClock:
    """Moves the clock to the moment all of them are due; they are due within days of each other."""
    with world.archive.database.read() as unit:
        last = max(row.destroy_at for row in unit.communications.find(ids))
    world.clock.set(last)
    return world.clock


# --- suspension


def suspend(world: World, days: int = 3, role: Role = Role.PRIVACY_HANDLER) -> Suspension:
    return world.archive.suspensions.suspend(world.actor(role), reason="an inquiry", days=days)


def test_while_suspended_nothing_is_destroyed_and_then_it_goes_on_by_itself() -> None:
    world = make_world()
    call = world.store("call-1").id
    ends(world, [call])
    world.later(hours=1)
    suspend(world, 3)
    report = world.archive.purge.run("a")
    assert "suspended until" in str(report.stopped_because)
    assert "suspended" in str(world.archive.purge.settle().stopped_because)
    assert "suspended" in str(world.archive.purge.forecast().stopped_because)
    world.later(days=3)
    assert world.archive.suspensions.standing() is None
    assert world.archive.purge.run("a").destroyed == [call]
    assert world.archive.suspensions.settle()
    assert not world.archive.suspensions.settle()
    assert acts(world, Act.SUSPENDED, Act.RESUMED) == [Act.SUSPENDED, Act.RESUMED]


def test_a_suspension_counts_in_every_worker_and_after_a_restart() -> None:
    parts = memory_parts()
    world = make_world(parts=parts)
    suspend(world)
    other = other_worker(world, parts)
    assert "suspended" in str(other.archive.purge.run("b").stopped_because)
    other.archive.suspensions.end(other.actor(Role.ADMINISTRATOR))
    assert world.archive.purge.run("a").stopped_because is None
    with pytest.raises(NotFound):
        world.archive.suspensions.end(world.actor(Role.ADMINISTRATOR))


def test_a_suspension_in_the_middle_of_a_night_stops_the_next_batch() -> None:
    parts = memory_parts()
    world = make_world(parts=parts)
    ends(world, [world.store("call-1").id])
    assert world.archive.brakes.obstacle(world.clock.now()) is None
    suspend(other_worker(world, parts))
    assert "suspended" in str(world.archive.brakes.obstacle(world.clock.now()))


def test_who_may_suspend_and_for_how_long_alone() -> None:
    world = make_world()
    for role in set(Role) - {Role.SOURCE, Role.PRIVACY_HANDLER, Role.ADMINISTRATOR}:
        with pytest.raises(Forbidden):
            suspend(world, role=role)
    for days in (0, 8):
        with pytest.raises(InvalidInput):
            suspend(world, days)
    with pytest.raises(InvalidInput, match="reason"):
        world.archive.suspensions.suspend(world.actor(Role.ADMINISTRATOR), reason=" ", days=1)
    suspend(world, 7)
    with pytest.raises(Conflict, match="already"):
        suspend(world, 1)
    world.later(days=7)
    with pytest.raises(InvalidInput, match="in a row"):
        suspend(world, 1)
    world.later(days=7)
    suspend(world, 7)


def test_longer_than_seven_days_takes_a_second_person() -> None:
    world = make_world()
    handler, approver = world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER)
    until = world.clock.now() + timedelta(days=30)
    with pytest.raises(NotFound):
        world.archive.suspensions.propose_extension(world.archive.approvals, handler, until=until, reason="inquiry")
    suspend(world, 7)
    for wrong in (world.clock.now() + timedelta(days=6), world.clock.now() + timedelta(days=91)):
        with pytest.raises(InvalidInput):
            world.archive.suspensions.propose_extension(world.archive.approvals, handler, until=wrong, reason="x")
    proposal = world.archive.suspensions.propose_extension(
        world.archive.approvals, handler, until=until, reason="the inquiry lasts"
    )
    world.later(days=6)
    assert world.archive.approvals.approve(approver, proposal.id).state is ProposalState.CARRIED_OUT
    standing = world.archive.suspensions.standing()
    assert standing is not None and standing.until == until
    world.later(days=20)
    assert world.archive.suspensions.standing() is not None
    assert acts(world, Act.SUSPENDED, Act.SUSPENSION_EXTENDED) == [Act.SUSPENDED, Act.SUSPENSION_EXTENDED]


def test_an_extension_approved_after_the_end_begins_nothing() -> None:
    world = make_world()
    suspend(world, 7)
    proposal = world.archive.suspensions.propose_extension(
        world.archive.approvals,
        world.actor(Role.PRIVACY_HANDLER),
        until=world.clock.now() + timedelta(days=30),
        reason="the inquiry lasts",
    )
    world.later(days=8)
    with pytest.raises(NotFound, match="over"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert world.archive.suspensions.standing() is None


# --- forecast


def nights(world: World, count: int) -> None:
    """Each with its run and its forecast."""
    for _ in range(count):
        world.later(days=1)
        assert world.archive.purge.run("a").stopped_because is None
        world.archive.forecast.foresee()


def test_all_three_clocks_ahead_by_a_year_destroy_nothing() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    nights(world, 3)
    right = world.clock.now()
    world.clock.advance(YEAR)
    report = world.archive.purge.run("a")
    assert "30 communications are due that the signed forecast did not count" in str(report.stopped_because)
    assert report.destroyed == []
    with pytest.raises(Unavailable, match="did not count"):
        world.archive.forecast.foresee()  # wrong clocks do not write the forecast that would excuse them
    world.later(days=2)
    assert world.archive.purge.run("a").stopped_because is not None
    world.clock.set(right + timedelta(hours=1))
    assert world.archive.purge.run("a").stopped_because is None
    with world.archive.database.read() as unit:
        assert len(unit.communications.find(ids)) == 30
    assert Act.RUN_STOPPED in acts(world, Act.RUN_STOPPED)


def test_all_three_clocks_behind_by_a_year_destroy_nothing_and_are_told() -> None:
    world = make_world()
    stored_over_days(world, 3)
    nights(world, 2)
    world.clock.advance(-YEAR)
    assert "clocks stand before the newest forecast" in str(world.archive.purge.run("a").stopped_because)
    with pytest.raises(Unavailable, match="before the newest"):
        world.archive.forecast.foresee()
    world.clock.advance(YEAR)
    assert world.archive.purge.run("a").stopped_because is None


def test_a_person_confirms_and_the_run_goes_on() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    nights(world, 2)
    world.clock.advance(YEAR + timedelta(days=30))
    assert world.archive.purge.run("a").stopped_because is not None
    for role in set(Role) - {Role.SOURCE, Role.PRIVACY_HANDLER}:
        with pytest.raises(Forbidden):
            world.archive.forecast.confirm(world.actor(role))
    made = world.archive.forecast.confirm(world.actor(Role.PRIVACY_HANDLER))
    assert made.confirmed_by == world.actor(Role.PRIVACY_HANDLER).id
    report = world.archive.purge.run("a")
    assert report.stopped_because is None
    assert set(report.destroyed) == set(ids)
    assert acts(world, Act.RUN_CONFIRMED) == [Act.RUN_CONFIRMED]
    nights(world, 3)


def test_a_confirmation_covers_what_was_due_then_and_nothing_later() -> None:
    world = make_world()
    stored_over_days(world, 30)
    nights(world, 2)
    world.archive.forecast.confirm(world.actor(Role.PRIVACY_HANDLER))
    world.clock.advance(YEAR + timedelta(days=30))
    assert "did not count" in str(world.archive.purge.run("a").stopped_because)


def test_thirty_days_of_outage_are_caught_up_without_a_person() -> None:
    world = make_world()
    ids = stored_over_days(world, 60)
    end = ends(world, ids).now()
    world.clock.set(end - timedelta(days=30))
    world.archive.forecast.foresee()
    world.clock.set(end + timedelta(hours=1))
    report = world.archive.purge.run("a")
    assert report.stopped_because is None
    assert len(report.destroyed) == 60


def test_what_a_person_moved_raises_no_alarm() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    nights(world, 2)
    for one in ids:
        world.archive.retention.do_not_keep(world.actor(Role.PRIVACY_HANDLER), one)
    with world.archive.database.read() as unit:
        due = max(row.destroy_at for row in unit.communications.find(ids))
    world.clock.set(due)
    report = world.archive.purge.run("a")
    assert report.stopped_because is None
    assert set(report.destroyed) == set(ids)


def test_what_a_hold_kept_is_destroyed_without_alarm_when_it_is_released() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    holds = [
        world.archive.holds.place(
            world.actor(Role.PRIVACY_HANDLER),
            reason="a claim",
            review_on=(world.clock.now() + 3 * YEAR).date(),
            communication_id=one,
        ).hold
        for one in ids
    ]
    end = ends(world, ids).now()
    world.clock.set(end - timedelta(days=20))
    world.archive.forecast.foresee()
    nights(world, 25)
    with world.archive.database.begin() as unit:
        for hold in holds:
            unit.holds.release(hold.id, by="somebody", at=world.clock.now())
        unit.commit()
    report = world.archive.purge.run("a")
    assert report.stopped_because is None
    assert set(report.destroyed) == set(ids)


def test_what_came_since_the_forecast_raises_no_alarm() -> None:
    world = make_world()
    nights(world, 2)
    then = world.clock.now() - 9 * YEAR
    ids = [world.store(f"old-{number}", started_at=then, ended_at=then).id for number in range(30)]
    world.later(hours=1)
    report = world.archive.purge.run("a")
    assert report.stopped_because is None
    assert set(report.destroyed) == set(ids)


def test_without_a_forecast_only_a_few_are_destroyed() -> None:
    world = make_world()
    ids = stored_over_days(world, 21)
    ends(world, ids)
    assert "21 communications are due" in str(world.archive.purge.run("a").stopped_because)


def test_a_forecast_that_somebody_altered_is_none() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    ends(world, ids)
    world.later(days=-3)
    assert world.archive.forecast.foresee() is not None
    world.later(days=1)
    assert world.archive.brakes.obstacle(world.clock.now()) is None
    with world.archive.database.begin() as unit:
        [(number, envelope)] = unit.brakes.forecasts(5)
        unit.brakes.drop_forecasts(number + 1)
        unit.brakes.add_forecast(number, world.clock.now(), envelope.replace('"sig":"', '"sig":"AAAA', 1))
        unit.commit()
    assert world.archive.forecast.outlook().forecast is None


def test_a_forecast_is_not_made_again_within_the_day_nor_compared_while_fresh() -> None:
    world = make_world()
    assert world.archive.forecast.foresee() is not None
    assert world.archive.forecast.foresee() is None
    world.later(hours=19)
    assert world.archive.forecast.foresee() is None
    world.later(hours=1)
    second = world.archive.forecast.foresee()
    assert second is not None and second.number == 2


def test_a_fresh_first_forecast_excuses_nothing_before_it_has_lain_for_hours() -> None:
    world = make_world()
    ids = stored_over_days(world, 30)
    ends(world, ids)
    world.archive.forecast.foresee()
    assert world.archive.purge.run("a").stopped_because is not None
    world.later(hours=6)
    assert world.archive.purge.run("a").stopped_because is None


def test_the_guard_looks_again_when_the_clock_jumps_within_a_run() -> None:
    world = make_world()
    stored_over_days(world, 30)
    nights(world, 2)
    now = world.clock.now()
    assert world.archive.brakes.obstacle(now) is None
    assert world.archive.brakes.obstacle(now + timedelta(minutes=4)) is None
    assert world.archive.brakes.obstacle(now + YEAR) is not None


def test_two_workers_guard_alike() -> None:
    parts = memory_parts()
    world = make_world(parts=parts)
    stored_over_days(world, 30)
    nights(world, 2)
    other = other_worker(world, parts)
    world.clock.advance(YEAR)
    assert world.archive.purge.run("a").stopped_because is not None
    assert other.archive.purge.run("b").stopped_because is not None
    other.archive.forecast.confirm(other.actor(Role.PRIVACY_HANDLER))
    assert world.archive.purge.run("a").stopped_because is None
