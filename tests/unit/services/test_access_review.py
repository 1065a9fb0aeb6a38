"""The weekly access review: who is in it, what it tells, who sees it, and its confirmation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recvault.domain.access import Actor, Grant, Role, Scope, ScopeKind
from recvault.domain.access_review import bounds, last_week, reaches_team, teams_of
from recvault.domain.accounts import actor_of
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, Forbidden, InvalidInput
from recvault.domain.purpose import Purpose
from tests.support.archives import World, configuration, make_world, memory_parts

NORTH = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"}))
SOUTH = Scope(kind=ScopeKind.TEAMS, values=frozenset({"south"}))


@pytest.fixture
def world() -> World:
    parts = memory_parts()
    parts.config = configuration(ACCESS__UNUSUAL_OPENS="3")
    return make_world(parts=parts)


def person(world: World, name: str, role: Role, scope: Scope) -> Actor:
    grants = (Grant(role=role, scope=scope),)
    return actor_of(
        world.archive.accounts.add_user(name, display_name=name, password=None, grants=grants, by="system:test")
    )


def next_week(world: World) -> None:
    """To the Monday after, at eight."""
    now = world.clock.now()
    monday = (now + timedelta(days=7 - now.weekday())).replace(hour=8, minute=0)
    world.later(seconds=(monday - now).total_seconds())


def test_weeks_are_whole_and_over() -> None:
    assert last_week(datetime(2026, 11, 22, 23, 59, tzinfo=UTC)) == "2026-W46"
    assert last_week(datetime(2026, 11, 23, 0, 0, tzinfo=UTC)) == "2026-W47"
    assert bounds("2026-W01") == (datetime(2025, 12, 29, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC))
    assert last_week(datetime(2027, 1, 5, tzinfo=UTC)) == "2026-W53"
    for wrong in ("2026-W54", "W47", "", "2026-11-22"):
        with pytest.raises(InvalidInput):
            bounds(wrong)


def test_whom_a_report_is_about() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert reaches_team(Scope(), frozenset({"north"})) and reaches_team(NORTH, None)
    assert reaches_team(NORTH, frozenset({"north"})) and not reaches_team(SOUTH, frozenset({"north"}))
    assert reaches_team(Scope(kind=ScopeKind.QUEUES, values=frozenset({"sales"})), frozenset({"north"}))
    lead = Actor(id="l", grants=(Grant(role=Role.TEAM_LEAD, scope=NORTH), Grant(role=Role.TEAM_LEAD, scope=SOUTH)))
    assert teams_of(lead, now) == frozenset({"north", "south"})
    assert teams_of(Actor(id="l", grants=(Grant(role=Role.VERIFIER),)), now) == frozenset()


def test_what_a_lead_is_shown_and_confirms(world: World) -> None:
    lead = person(world, "lead", Role.TEAM_LEAD, NORTH)
    vera, far = person(world, "auditor-for-hours", Role.AUDITOR, Scope()), person(world, "far", Role.VERIFIER, SOUTH)
    call = world.store("call-1").id
    until = world.clock.now() + timedelta(hours=1)
    world.archive.accounts.add_user(
        "left", display_name="L", password=None, grants=(Grant(role=Role.TRAINER, valid_until=until),), by="t"
    )
    verifier = world.actor(Role.VERIFIER)
    for _ in range(4):
        world.archive.retrieval.open(verifier, call, Purpose.VERIFICATION, reason="claim")
    proposal = world.archive.grants.propose_break_glass(
        world.archive.approvals, world.actor(Role.ADMINISTRATOR), vera.id, Grant(role=Role.TRAINER), hours=1, reason="x"
    )
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    week = "{}-W{:02}".format(*world.clock.now().isocalendar()[:2])
    with pytest.raises(InvalidInput, match="not over"):
        world.archive.access_review.report(lead, week)
    next_week(world)
    report, confirmed = world.archive.access_review.report(lead)
    shown = {member.name: member for member in report.members}
    assert report.week == week and {"lead", "verifier"} <= set(shown) and "far" not in shown
    assert far.id not in {member.id for member in report.members} and "auditor" not in shown
    assert shown["verifier"].opened() == {"verification": 4} and len(shown["verifier"].unusual) == 1
    assert [one.id for one in report.break_glass] == [proposal.id] and confirmed == ()
    assert "left" in shown and "auditor-for-hours" in shown  # roles that ended within the week
    assert "access-review" in world.archive.notices.watch("w").began
    with pytest.raises(Conflict, match="changed"):
        world.archive.access_review.confirm(lead, week, "00")
    made = world.archive.access_review.confirm(lead, week, report.digest)
    assert made.unusual == report.unusual == 1
    with pytest.raises(Conflict, match="already"):
        world.archive.access_review.confirm(lead, week, report.digest)
    assert world.archive.access_review.report(lead, week)[1] == (made,)
    with world.archive.database.read() as unit:
        entries = unit.audit.about(vera.id, 50)
    assert Act.BREAK_GLASS_OPENED in {entry.act for entry in entries}


def test_who_sees_it_and_who_confirms(world: World) -> None:
    review = world.archive.access_review
    for role in Role:
        if role in (Role.SOURCE, Role.TEAM_LEAD, Role.AUDITOR):
            continue
        with pytest.raises(Forbidden):
            review.report(world.actor(role))
    report, _ = review.report(world.actor(Role.AUDITOR))
    assert report.teams is None
    with pytest.raises(Forbidden):
        review.confirm(world.actor(Role.AUDITOR), report.week, report.digest)
    queue = person(world, "queue", Role.TEAM_LEAD, Scope(kind=ScopeKind.QUEUES, values=frozenset({"sales"})))
    with pytest.raises(Forbidden, match="needs a team"):
        review.report(queue)
    with pytest.raises(InvalidInput, match="so long ago"):
        review.report(world.actor(Role.TEAM_LEAD), "2024-W01")


def test_who_left_stands_in_the_review_of_the_week_they_opened_in(world: World) -> None:
    lead = person(world, "lead", Role.TEAM_LEAD, NORTH)
    leaver = person(world, "leaver", Role.VERIFIER, Scope())
    idle = person(world, "idle", Role.VERIFIER, NORTH)
    call = world.store("call-1").id
    for communication in (call, call):
        world.archive.retrieval.open(leaver, communication, Purpose.VERIFICATION, reason="complaint")
    for name in ("leaver", "idle"):
        world.archive.accounts.disable(name, by="system:test")
    next_week(world)
    review, _ = world.archive.access_review.report(lead)
    (left,) = [one for one in review.members if one.left_at is not None]
    assert (left.id, left.opened(), left.grants, left.unused) == (leaver.id, {"verification": 2}, (), False)
    assert idle.id not in {one.id for one in review.members}
    world.archive.access_review.confirm(lead, review.week, review.digest)
    next_week(world)
    later, _ = world.archive.access_review.report(lead)
    assert all(one.left_at is None for one in later.members)


def test_an_account_that_nobody_uses_is_told(world: World) -> None:
    world.archive.sessions.issue_token("verifier", by="system:test")
    world.later(days=89)
    world.archive.sessions.issue_token("trainer", by="system:test")
    world.later(days=1)
    report, _ = world.archive.access_review.report(world.actor(Role.AUDITOR))
    unused = {member.name: member.unused for member in report.members}
    assert unused["verifier"] and unused["team_lead"] and not unused["trainer"]
