"""Disclosures and roles from asking to the log, with passkeys over the act, where two people decide and where there is one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.approvals import Proposal, ProposalState
from recvault.domain.audit import Act, Entry
from recvault.domain.coverage import Coverage
from recvault.domain.errors import Forbidden
from recvault.domain.purpose import Purpose
from tests.support.archives import World
from tests.support.passkeys import approve, enrolled, passkey_world, person

ALL_OF_IT = (Role.ADMINISTRATOR, Role.APPROVER, Role.PRIVACY_HANDLER)


def log_of(world: World, target: str) -> list[Entry]:
    with world.archive.database.read() as unit:
        return list(reversed(unit.audit.about(target, 100)))


def roles_of(world: World, user_id: str) -> set[Role]:
    with world.archive.database.read() as unit:
        return set(actor_of(unit.accounts.user(user_id)).roles(world.clock.now()))


def disclosure(world: World, who: Actor, call: str) -> Proposal:
    return world.archive.authorisations.propose_disclosure(
        world.archive.approvals,
        who,
        "POL-77",
        covers=Coverage(communications=frozenset({call})),
        statute="Coercive Measures Act 7:3",
        reason="ordered",
    )


def granted(world: World, who: Actor, user_id: str) -> Proposal:
    made = world.archive.grants.set_roles(
        world.archive.approvals, who, user_id, [Grant(role=Role.VERIFIER)], reason="joins the team"
    )
    assert made.proposal is not None
    return made.proposal


@pytest.mark.parametrize("mode", ["two_person", "small"])
def test_a_disclosure_is_signed_carried_out_used_and_logged(mode: str) -> None:
    world = passkey_world(APPROVALS__MODE=mode)
    handler, approver, call = person(world, "one", *ALL_OF_IT), world.actor(Role.APPROVER), world.store("call-1").id
    own, key = enrolled(world, handler), enrolled(world, approver)
    proposal = disclosure(world, handler, call)
    with pytest.raises(Forbidden):
        approve(world, handler, proposal, own)  # never alone, whatever the mode
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(handler, call, Purpose.AUTHORITY, case_ref=proposal.id)
    done = approve(world, approver, proposal, key)
    assert done.state is ProposalState.CARRIED_OUT and not done.by_one_person and done.assertion
    assert world.archive.retrieval.open(handler, call, Purpose.AUTHORITY, case_ref=proposal.id).length
    told = {one.act: one for one in log_of(world, proposal.id)}
    assert set(told) == {Act.PROPOSED, Act.AUTHORISED, Act.CARRIED_OUT}
    assert (told[Act.CARRIED_OUT].actor, told[Act.CARRIED_OUT].detail["proof"]) == (approver.id, "passkey")
    opened = next(one for one in log_of(world, call) if one.act is Act.OPENED)
    assert (opened.purpose, opened.detail["authorisation"]) == ("authority", proposal.id)


def test_roles_are_signed_wait_a_day_and_begin() -> None:
    world = passkey_world()
    admin, approver = world.actor(Role.ADMINISTRATOR), world.actor(Role.APPROVER)
    key, user = enrolled(world, approver), person(world, "nea")
    proposal = granted(world, admin, user.id)
    done = approve(world, approver, proposal, key)
    assert done.state is ProposalState.WAITING and done.not_before == world.clock.now() + timedelta(hours=24)
    assert world.archive.approvals.carry_out_due() == [] and roles_of(world, user.id) == set()
    world.later(hours=24)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    assert roles_of(world, user.id) == {Role.VERIFIER}
    assert Act.ROLE_GRANTED in [one.act for one in log_of(world, user.id)]
    told = {one.act: one for one in log_of(world, proposal.id)}
    assert set(told) == {Act.PROPOSED, Act.APPROVED, Act.CARRIED_OUT}
    assert told[Act.CARRIED_OUT].detail["proof"] == "passkey"


def test_where_there_is_one_person_roles_wait_longer_and_the_log_says_so() -> None:
    world = passkey_world(APPROVALS__MODE="small")
    one = person(world, "one", *ALL_OF_IT)
    key, user = enrolled(world, one), person(world, "nea")
    proposal = granted(world, one, user.id)
    done = approve(world, one, proposal, key)
    assert done.by_one_person and done.not_before == world.clock.now() + timedelta(hours=72)
    world.later(hours=71)
    assert world.archive.approvals.carry_out_due() == []
    world.later(hours=1)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    assert roles_of(world, user.id) == {Role.VERIFIER}
    assert Act.DECIDED_ALONE in [entry.act for entry in log_of(world, proposal.id)]


def test_a_role_taken_away_in_mid_playback_ends_it_at_the_next_range() -> None:
    world = passkey_world()
    admin, call = world.actor(Role.ADMINISTRATOR), world.store("call-1").id
    verifier = person(world, "vera-2", Role.VERIFIER)
    opened = world.archive.retrieval.open(verifier, call, Purpose.VERIFICATION, reason="claim")
    playback = world.archive.retrieval.playback(verifier, opened.secret)
    assert b"".join(world.archive.retrieval.read(playback, 0, 3))
    world.archive.grants.set_roles(world.archive.approvals, admin, verifier.id, [], reason="")
    with world.archive.database.read() as unit:
        after = actor_of(unit.accounts.user(verifier.id))
    with pytest.raises(Forbidden):
        world.archive.retrieval.playback(after, opened.secret)
