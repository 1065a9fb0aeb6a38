"""Giving and taking roles: at once or after an approval and a day, break-glass, persons with two accounts, leavers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from recvault.domain.access import NEEDS_APPROVAL, Actor, Grant, Role, Scope, ScopeKind
from recvault.domain.accounts import User, actor_of
from recvault.domain.approvals import Mode, Proposal, ProposalKind, ProposalState
from recvault.domain.audit import Act
from recvault.domain.communication import SearchQuery
from recvault.domain.coverage import Coverage
from recvault.domain.customer import Agent
from recvault.domain.errors import Conflict, Forbidden, InvalidInput, NotAuthenticated, NotFound
from recvault.domain.grants import BREAK_GLASS_LONGEST, change, covers, read, written
from recvault.domain.purpose import Purpose
from recvault.domain.register_records import AgentRecord
from tests.support.archives import World, configuration, make_world, memory_parts

NORTH = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"}))
WIDE = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north", "south"}))
NOW = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
DAY = timedelta(days=1)


@pytest.fixture
def world() -> World:
    return make_world()


def newcomer(world: World, name: str = "nea", *grants: Grant) -> User:
    return world.archive.accounts.add_user(name, display_name=name, password=None, grants=grants, by="system:test")


def held(world: World, user_id: str) -> tuple[Grant, ...]:
    with world.archive.database.read() as unit:
        return unit.accounts.user(user_id).grants


def ask(world: World, user: User, *grants: Grant) -> Proposal:
    made = world.archive.grants.set_roles(
        world.archive.approvals, world.actor(Role.ADMINISTRATOR), user.id, grants, reason="joins the team"
    )
    assert made.proposal is not None
    return made.proposal


def acts(world: World, target: str) -> list[Act]:
    with world.archive.database.read() as unit:
        return [entry.act for entry in unit.audit.about(target, 100)]


# --- what needs an approval


def test_only_what_widens_needs_an_approval() -> None:
    narrow, wide = Grant(role=Role.VERIFIER, scope=NORTH), Grant(role=Role.VERIFIER, scope=WIDE)
    auditor = Grant(role=Role.AUDITOR)
    assert change((), [narrow, auditor], NOW).proposed == (narrow,)
    assert change((), [narrow, auditor], NOW).at_once == (auditor,)
    assert change([wide], [narrow], NOW) == change([wide], [narrow, narrow], NOW)
    assert change([wide], [narrow], NOW).at_once == (narrow,) and not change([wide], [narrow], NOW).proposed
    widened = change([narrow, auditor], [wide], NOW)
    assert widened.proposed == (wide,) and widened.at_once == (
        narrow,
    )  # what is there stays until the rest is approved
    assert change([wide], [], NOW) == change([], [], NOW)


@pytest.mark.parametrize(
    ("held_until", "wanted_until", "covered"),
    [(None, None, True), (None, NOW, True), (NOW + DAY, None, False), (NOW + DAY, NOW + 2 * DAY, False)],
)
def test_a_longer_role_is_a_wider_one(
    held_until: datetime | None, wanted_until: datetime | None, covered: bool
) -> None:
    wide = Grant(role=Role.TRAINER, valid_until=held_until)
    narrow = Grant(role=Role.TRAINER, scope=NORTH, valid_until=wanted_until)
    assert covers(wide, narrow, NOW) is covered
    assert not covers(replace(wide, valid_from=NOW + DAY), narrow, NOW)
    assert not covers(replace(wide, role=Role.VERIFIER), narrow, NOW)


def test_a_grant_reads_back_as_it_was_written() -> None:
    grant = Grant(role=Role.TRAINER, scope=WIDE, valid_from=NOW, valid_until=NOW + DAY)
    assert read(written(grant)) == grant and read({"role": "auditor"}) == Grant(role=Role.AUDITOR)


@pytest.mark.parametrize(
    "sent",
    [
        "verifier",
        {"role": "king"},
        {"role": "verifier", "scope": "teams"},
        {"role": "verifier", "values": ["north"]},
        {"role": "verifier", "scope": "teams", "values": "north"},
        {"role": "verifier", "until": "tomorrow"},
        {"role": "verifier", "until": "2026-11-22T12:00:00"},
        {"role": "verifier", "colour": "red"},
    ],
)
def test_what_is_no_grant_is_refused(sent: object) -> None:
    with pytest.raises(InvalidInput):
        read(sent)


# --- granting


@pytest.mark.parametrize("role", sorted(NEEDS_APPROVAL))
def test_a_role_that_opens_or_approves_begins_a_day_after_its_approval(world: World, role: Role) -> None:
    user = newcomer(world)
    proposal = ask(world, user, Grant(role=role))
    assert held(world, user.id) == ()
    approved = world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert approved.state is ProposalState.WAITING and approved.not_before == world.clock.now() + DAY
    assert not approved.by_one_person
    world.later(hours=23, minutes=59)
    assert world.archive.approvals.carry_out_due() == [] and held(world, user.id) == ()
    world.later(minutes=1)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    assert held(world, user.id) == (Grant(role=role),)
    assert {Act.PROPOSED, Act.APPROVED, Act.CARRIED_OUT} == set(acts(world, proposal.id))


def test_other_roles_begin_and_all_roles_end_at_once(world: World) -> None:
    user = newcomer(world, "nea", Grant(role=Role.VERIFIER))
    granted = world.archive.grants.set_roles(
        world.archive.approvals, world.actor(Role.ADMINISTRATOR), user.id, [Grant(role=Role.AGENT)], reason=""
    )
    assert granted.proposal is None and held(world, user.id) == (Grant(role=Role.AGENT),)


def test_whoever_may_not_give_roles_takes_none_away(world: World) -> None:
    user = newcomer(world, "nea", Grant(role=Role.VERIFIER))
    for role in Role:
        if role not in (Role.SOURCE, Role.ADMINISTRATOR):
            with pytest.raises(Forbidden):
                world.archive.grants.set_roles(world.archive.approvals, world.actor(role), user.id, [], reason="x")
    assert held(world, user.id) == (Grant(role=Role.VERIFIER),)


def test_a_grant_can_be_objected_to_until_it_begins(world: World) -> None:
    user = newcomer(world)
    proposal = ask(world, user, Grant(role=Role.VERIFIER))
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    with pytest.raises(Conflict, match="another approver has approved"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    world.archive.approvals.refuse(world.actor(Role.APPROVER), proposal.id)
    world.later(days=2)
    assert world.archive.approvals.carry_out_due() == [] and held(world, user.id) == ()


def test_what_stands_about_an_account_is_not_asked_twice(world: World) -> None:
    user = newcomer(world)
    ask(world, user, Grant(role=Role.VERIFIER))
    with pytest.raises(Conflict):
        ask(world, user, Grant(role=Role.TRAINER))


def test_an_account_closed_meanwhile_gains_nothing(world: World) -> None:
    user = newcomer(world)
    proposal = ask(world, user, Grant(role=Role.VERIFIER))
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    world.archive.accounts.disable(user.name, by="system:test")
    world.later(days=1)
    assert world.archive.approvals.carry_out_due() == [proposal.id] and held(world, user.id) == ()


def test_an_approver_who_loses_the_role_meanwhile_does_not_count(world: World) -> None:
    user = newcomer(world)
    proposal = ask(world, user, Grant(role=Role.VERIFIER))
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    world.archive.accounts.set_grants("approver", (), by="system:test")
    world.later(days=1)
    assert world.archive.approvals.carry_out_due() == []
    assert [one.id for one in world.archive.approvals.open()] == [proposal.id]


@pytest.mark.parametrize(
    "grant",
    [
        Grant(role=Role.SOURCE),
        Grant(role=Role.APPROVER, scope=NORTH),
        Grant(role=Role.VERIFIER, valid_from=NOW, valid_until=NOW),
        Grant(role=Role.VERIFIER, scope=Scope(kind=ScopeKind.TEAMS, values=frozenset({"x" * 101}))),
    ],
)
def test_what_an_account_cannot_have(world: World, grant: Grant) -> None:
    with pytest.raises(InvalidInput):
        ask(world, newcomer(world), grant)


# --- the machine, before anybody can approve


def test_on_the_machine_until_there_is_an_approver(world: World) -> None:
    user = newcomer(world)
    grants = world.archive.grants
    with pytest.raises(Forbidden, match="--as"):
        grants.set_on_machine(user.name, [Grant(role=Role.VERIFIER)], by="system:operator")
    assert grants.needs_approval([Grant(role=Role.VERIFIER)]) and not grants.needs_approval([Grant(role=Role.AUDITOR)])
    world.archive.accounts.disable("approver", by="system:test")
    assert not grants.needs_approval([Grant(role=Role.VERIFIER)])
    grants.set_on_machine(user.name, [Grant(role=Role.VERIFIER)], by="system:operator")
    assert held(world, user.id) == (Grant(role=Role.VERIFIER),)
    with world.archive.database.read() as unit:
        (entry,) = [one for one in unit.audit.about(user.id, 10) if one.detail.get("bootstrap")]
    assert entry.act is Act.ROLE_GRANTED and entry.actor == "system:operator"


def test_taking_away_on_the_machine_needs_nobody(world: World) -> None:
    world.archive.grants.set_on_machine("verifier", [], by="system:operator")
    assert held(world, world.actor(Role.VERIFIER).id) == ()


# --- persons


def test_two_accounts_of_one_person_are_one_person(world: World) -> None:
    other = newcomer(world, "second", Grant(role=Role.APPROVER))
    world.archive.grants.link_person("second", "administrator", by="system:operator")
    proposal = ask(world, newcomer(world), Grant(role=Role.VERIFIER))
    with pytest.raises(Forbidden, match="another account of yours"):
        world.archive.approvals.approve(actor_of(other), proposal.id)
    world.archive.grants.link_person("second", None, by="system:operator")
    assert world.archive.approvals.approve(actor_of(other), proposal.id).state is ProposalState.WAITING
    with pytest.raises(NotFound):
        world.archive.grants.link_person("second", "nobody", by="system:operator")


def test_nobody_approves_a_role_for_themselves(world: World) -> None:
    with world.archive.database.read() as unit:
        approver = unit.accounts.user(world.actor(Role.APPROVER).id)
    proposal = ask(world, approver, Grant(role=Role.APPROVER), Grant(role=Role.VERIFIER))
    with pytest.raises(Forbidden, match="for themselves"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)


# --- one person


def small_world() -> tuple[World, Actor]:
    parts = memory_parts()
    parts.config = configuration(APPROVALS__MODE="small")
    world = make_world(parts=parts)
    grants = tuple(Grant(role=role) for role in (Role.ADMINISTRATOR, Role.APPROVER, Role.PRIVACY_HANDLER))
    return world, actor_of(newcomer(world, "one", *grants))


def test_where_there_is_one_person_the_longer_delay_counts() -> None:
    world, one = small_world()
    assert world.archive.approvals.rules.mode is Mode.SMALL
    user = newcomer(world)
    made = world.archive.grants.set_roles(
        world.archive.approvals, one, user.id, [Grant(role=Role.VERIFIER)], reason="joins"
    )
    assert made.proposal is not None
    decided = world.archive.approvals.approve(one, made.proposal.id)
    assert decided.by_one_person and decided.not_before == world.clock.now() + timedelta(hours=72)
    world.later(hours=71)
    second = world.archive.approvals.approve(world.actor(Role.APPROVER), made.proposal.id)
    assert not second.by_one_person and second.not_before == world.clock.now() + DAY  # the time to object begins anew
    world.later(days=1)
    assert world.archive.approvals.carry_out_due() == [made.proposal.id]


def test_a_disclosure_always_takes_two() -> None:
    world, one = small_world()
    proposal = world.archive.authorisations.propose_disclosure(
        world.archive.approvals,
        one,
        "POL-77",
        covers=Coverage(communications=frozenset({world.store("call-1").id})),
        statute="Coercive Measures Act 7:3",
        reason="ordered by the court",
    )
    with pytest.raises(Forbidden):
        world.archive.approvals.approve(one, proposal.id)
    assert world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id).state is ProposalState.CARRIED_OUT


# --- break-glass


def break_glass(world: World, user_id: str, role: Role = Role.VERIFIER, hours: int = 4) -> Proposal:
    return world.archive.grants.propose_break_glass(
        world.archive.approvals,
        world.actor(Role.PRIVACY_HANDLER),
        user_id,
        Grant(role=role, scope=NORTH),
        hours=hours,
        reason="the only verifier is ill",
    )


def test_break_glass_begins_with_its_approval_and_ends_by_itself(world: World) -> None:
    user = newcomer(world)
    receipt = world.store("call-1")
    proposal = break_glass(world, user.id)
    assert held(world, user.id) == ()
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    (grant,) = held(world, user.id)
    assert grant == Grant(
        role=Role.VERIFIER, scope=NORTH, valid_from=world.clock.now(), valid_until=world.clock.now() + 4 * DAY / 24
    )
    with world.archive.database.read() as unit:
        assert unit.authorisations.live(ProposalKind.BREAK_GLASS, world.clock.now()) == 1
    assert world.archive.notices.watch("w").began.count("break-glass") == 1
    assert Act.BREAK_GLASS_OPENED in acts(world, user.id)
    world.later(hours=4)
    with world.archive.database.read() as unit:
        actor = actor_of(unit.accounts.user(user.id))
        assert unit.authorisations.live(ProposalKind.BREAK_GLASS, world.clock.now()) == 0
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(actor, receipt.id, Purpose.VERIFICATION, reason="claim")


def test_break_glass_has_bounds(world: World) -> None:
    user = newcomer(world)
    for hours in (0, 13):
        with pytest.raises(InvalidInput, match="1 to 12 hours"):
            break_glass(world, user.id, hours=hours)
    for role in (Role.APPROVER, Role.SOURCE):
        with pytest.raises(InvalidInput):
            break_glass(world, user.id, role=role)
    assert timedelta(hours=12) == BREAK_GLASS_LONGEST
    with pytest.raises(Forbidden):
        world.archive.grants.propose_break_glass(
            world.archive.approvals, world.actor(Role.VERIFIER), user.id, Grant(role=Role.VERIFIER), hours=1, reason="x"
        )
    world.archive.accounts.disable(user.name, by="system:test")
    with pytest.raises(InvalidInput, match="closed"):
        break_glass(world, user.id)


# --- authorisations


def disclosed(world: World, covers: Coverage, *, reference: str = "POL-77") -> str:
    """The id of a disclosure that was approved."""
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    proposal = archive.authorisations.propose_disclosure(
        archive.approvals, handler, reference, covers=covers, statute="Coercive Measures Act 7:3", reason="ordered"
    )
    archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    return proposal.id


def test_an_authorisation_is_for_its_holder_its_act_and_its_time(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    covers = Coverage(communications=frozenset({world.store("call-1").id}))
    given_id = disclosed(world, covers)
    with archive.database.read() as unit:
        given = archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, given_id)
        assert given.subject == "POL-77" and given.valid_until == world.clock.now() + timedelta(days=7)
        assert given.covers == covers
        with pytest.raises(Forbidden, match="nobody authorised"):
            archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, "POL-77")
        with pytest.raises(Forbidden, match="another act"):
            archive.authorisations.require(unit, handler, ProposalKind.BREAK_GLASS, given_id)
        with pytest.raises(Forbidden, match="another person"):
            archive.authorisations.require(unit, world.actor(Role.TEAM_LEAD), ProposalKind.DISCLOSURE, given_id)
    world.later(days=7)
    with archive.database.read() as unit, pytest.raises(Forbidden, match="has ended"):
        archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, given_id)


def test_who_asks_for_a_disclosure_names_statute_demand_and_what_it_covers(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    covers = Coverage(communications=frozenset({world.store("call-1").id}))
    for reference, statute in (("POL-77", " "), ("POL-77", "x" * 201), ("0401234501", "statute"), ("", "statute")):
        with pytest.raises(InvalidInput):
            archive.authorisations.propose_disclosure(
                archive.approvals, handler, reference, covers=covers, statute=statute, reason="ordered"
            )
    for absent in (Coverage(communications=frozenset({"nothing"})), Coverage(customer_id="nobody")):
        with pytest.raises(NotFound):
            archive.authorisations.propose_disclosure(
                archive.approvals, handler, "POL-77", covers=absent, statute="statute", reason="ordered"
            )
    with pytest.raises(Forbidden):
        archive.authorisations.propose_disclosure(
            archive.approvals, world.actor(Role.VERIFIER), "POL-77", covers=covers, statute="statute", reason="ordered"
        )


def test_an_authority_reaches_nothing_but_what_the_authorisation_covers(world: World) -> None:
    retrieval, handler = world.archive.retrieval, world.actor(Role.PRIVACY_HANDLER)
    one, other = world.store("call-1").id, world.store("call-2").id
    given = disclosed(world, Coverage(communications=frozenset({one})))
    for reference in (None, "POL-77"):
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.open(handler, one, Purpose.AUTHORITY, case_ref=reference)
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.view(handler, one, Purpose.AUTHORITY, reference=reference)
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.search(handler, SearchQuery(), Purpose.AUTHORITY, reference=reference)
    with pytest.raises(Forbidden, match="does not cover"):
        retrieval.open(handler, other, Purpose.AUTHORITY, case_ref=given)
    with pytest.raises(Forbidden, match="does not cover"):
        retrieval.view(handler, other, Purpose.AUTHORITY, reference=given)
    assert retrieval.open(handler, one, Purpose.AUTHORITY, case_ref=given).length
    assert retrieval.view(handler, one, Purpose.AUTHORITY, reference=given).communication.id == one
    found = retrieval.search(handler, SearchQuery(), Purpose.AUTHORITY, reference=given)
    assert [row.id for row in found] == [one]
    assert acts(world, one).count(Act.OPEN_REFUSED) == 4 and acts(world, other).count(Act.OPEN_REFUSED) == 2


def test_the_end_of_a_disclosure_counts_at_the_next_range(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    call = world.store("call-1").id
    given = disclosed(world, Coverage(communications=frozenset({call})))
    with pytest.raises(Forbidden):
        archive.authorisations.end(world.actor(Role.VERIFIER), given)
    for ended_by in ("withdrawal", "time"):
        if ended_by == "time":
            given = disclosed(world, Coverage(communications=frozenset({call})), reference="POL-78")
            world.later(days=7, minutes=-10)
        opened = archive.retrieval.open(handler, call, Purpose.AUTHORITY, case_ref=given)
        playback = archive.retrieval.playback(handler, opened.secret)
        assert b"".join(archive.retrieval.read(playback, 0, 3))
        if ended_by == "time":
            world.later(minutes=11)
        else:
            archive.authorisations.end(handler, given)
            archive.authorisations.end(handler, given)  # once more changes nothing
            assert acts(world, given).count(Act.AUTHORISATION_ENDED) == 1
        with pytest.raises(Forbidden, match="has ended"):
            archive.retrieval.playback(handler, opened.secret)


def test_a_search_for_a_request_takes_its_reference(world: World) -> None:
    retrieval, handler = world.archive.retrieval, world.actor(Role.PRIVACY_HANDLER)
    call = world.store("call-1").id
    with pytest.raises(InvalidInput, match="reference of the request"):
        retrieval.search(handler, SearchQuery(), Purpose.REQUEST)
    with pytest.raises(InvalidInput, match="reference of the request"):
        retrieval.view(handler, call, Purpose.REQUEST)
    with pytest.raises(Forbidden):
        retrieval.search(handler, SearchQuery())
    assert len(retrieval.search(handler, SearchQuery(), Purpose.REQUEST, reference="REQ-1")) == 1
    assert retrieval.view(handler, call, Purpose.REQUEST, reference="REQ-1").communication.id == call


def test_content_opens_for_a_request_only_with_its_reference() -> None:
    parts = memory_parts()
    parts.config = configuration(ACCESS__REQUEST_PATTERN="REQ-[0-9]+")
    world = make_world(parts=parts)
    handler, receipt = world.actor(Role.PRIVACY_HANDLER), world.store("call-1")
    for reference in (None, "", "CASE-1"):
        with pytest.raises(InvalidInput):
            world.archive.retrieval.open(handler, receipt.id, Purpose.REQUEST, case_ref=reference, reason="claim")
    assert world.archive.retrieval.open(handler, receipt.id, Purpose.REQUEST, case_ref="REQ-1").length


# --- leavers


def test_a_role_ends_at_its_minute_and_a_leaver_at_once(world: World) -> None:
    receipt = world.store("call-1")
    until = world.clock.now() + timedelta(minutes=30)
    user = newcomer(world, "nea", Grant(role=Role.VERIFIER, valid_until=until))
    token = world.archive.sessions.issue_token(user.name, by="system:test")
    opened = world.archive.retrieval.open(actor_of(user), receipt.id, Purpose.VERIFICATION, reason="claim")
    world.later(minutes=14, seconds=59)
    world.archive.retrieval.playback(world.archive.sessions.whose(token).actor, opened.secret)
    world.later(minutes=15)
    again = world.archive.retrieval.open(actor_of(user), receipt.id, Purpose.VERIFICATION, reason="claim")
    world.archive.retrieval.playback(world.archive.sessions.whose(token).actor, again.secret)
    world.later(seconds=1)
    with pytest.raises(Forbidden):
        world.archive.retrieval.playback(world.archive.sessions.whose(token).actor, again.secret)
    world.archive.accounts.disable(user.name, by="system:test")
    with pytest.raises(NotAuthenticated):
        world.archive.sessions.whose(token)


def test_the_directory_ends_what_its_agent_may(world: World) -> None:
    archive, admin = world.archive, world.actor(Role.ADMINISTRATOR)
    record = AgentRecord(ref="a1", name="Nea", told=frozenset({"ref", "name"}))
    agent: Agent = archive.customers.put_agent(admin, record)
    user = archive.accounts.add_user(
        "nea", display_name="Nea", password=None, grants=(Grant(role=Role.AGENT),), by="t", agent_id=agent.id
    )
    receipt = world.store("call-1", agent="a1")
    leaves = world.clock.now() + timedelta(minutes=5)
    archive.customers.put_agent(admin, replace(record, valid_until=leaves, told=record.told | {"valid_until"}))

    def look() -> None:
        with archive.database.read() as unit:
            actor = actor_of(unit.accounts.user(user.id))
        archive.retrieval.open(actor, receipt.id, Purpose.VERIFICATION, reason="claim")

    world.later(minutes=4, seconds=59)
    look()
    world.later(seconds=1)
    with pytest.raises(Forbidden, match="not-own"):
        look()
    archive.customers.put_agent(admin, record)  # a feed that does not speak of it opens nothing again
    with pytest.raises(Forbidden, match="not-own"):
        look()
