"""Proposals and decisions: two people, one person with a delay, roles taken away, clocks that disagree."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from recvault.domain.holds import Hold
from tests.support.archives import World, configuration, make_world, memory_parts


def small_world() -> World:
    parts = memory_parts()
    parts.config = configuration(APPROVALS__MODE="small")
    return make_world(parts=parts)


def held(world: World) -> Hold:
    receipt = world.store("call-1")
    return world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER),
        reason="a claim",
        review_on=(world.clock.now() + timedelta(days=90)).date(),
        communication_id=receipt.id,
    ).hold


def propose(world: World, actor: Actor, hold: Hold) -> Proposal:
    return world.archive.approvals.propose(actor, ProposalKind.RELEASE_HOLD, hold.id, {}, "the claim is settled")


def alone(world: World) -> Actor:
    """One person who proposes and decides."""
    grants = (Grant(role=Role.PRIVACY_HANDLER), Grant(role=Role.APPROVER))
    return actor_of(
        world.archive.accounts.add_user("one", display_name="One", password=None, grants=grants, by="system:test")
    )


def released(world: World, hold: Hold) -> bool:
    with world.archive.database.read() as unit:
        return unit.holds.get(hold.id).released_at is not None


def state(world: World, proposal: Proposal) -> ProposalState:
    with world.archive.database.read() as unit:
        return unit.proposals.get(proposal.id).state


def acts(world: World, target: str) -> list[Act]:
    with world.archive.database.read() as unit:
        return [entry.act for entry in reversed(unit.audit.about(target, 100))]


def test_one_proposes_another_approves_and_it_is_done() -> None:
    world = make_world()
    hold = held(world)
    proposal = propose(world, world.actor(Role.PRIVACY_HANDLER), hold)
    assert not released(world, hold)
    decided = world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert (decided.state, decided.by_one_person) == (ProposalState.CARRIED_OUT, False)
    assert released(world, hold)
    assert set(acts(world, proposal.id)) == {Act.PROPOSED, Act.CARRIED_OUT}
    assert [one.id for one in world.archive.approvals.list(world.actor(Role.AUDITOR)).decided] == [proposal.id]
    with pytest.raises(Conflict):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)


def test_the_words_of_a_reason_are_in_no_audit_entry() -> None:
    world = make_world()
    hold = held(world)
    proposal = propose(world, world.actor(Role.PRIVACY_HANDLER), hold)
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    with world.archive.database.read() as unit:
        assert "settled" not in str(unit.audit.about(proposal.id, 10))


def test_nobody_approves_an_own_proposal_where_there_are_two() -> None:
    world = make_world()
    hold = held(world)
    both = alone(world)
    proposal = propose(world, both, hold)
    with pytest.raises(Forbidden, match="another"):
        world.archive.approvals.approve(both, proposal.id)
    assert not released(world, hold)
    assert state(world, proposal) is ProposalState.OPEN


def test_who_may_propose_and_decide_is_in_the_table() -> None:
    world = make_world()
    hold = held(world)
    for role in set(Role) - {Role.SOURCE, Role.PRIVACY_HANDLER}:
        with pytest.raises(Forbidden):
            propose(world, world.actor(role), hold)
    proposal = propose(world, world.actor(Role.PRIVACY_HANDLER), hold)
    for role in set(Role) - {Role.SOURCE, Role.APPROVER}:
        with pytest.raises(Forbidden):
            world.archive.approvals.approve(world.actor(role), proposal.id)
        with pytest.raises(Forbidden):
            world.archive.approvals.refuse(world.actor(role), proposal.id)
    assert state(world, proposal) is ProposalState.OPEN


def test_a_role_taken_away_between_proposal_and_approval_counts_at_once() -> None:
    world = make_world()
    hold = held(world)
    proposal = propose(world, world.actor(Role.PRIVACY_HANDLER), hold)
    approver = world.actor(Role.APPROVER)  # as an open session still has it
    world.archive.accounts.set_grants("approver", (), by="system:test")
    with pytest.raises(Forbidden):
        world.archive.approvals.approve(approver, proposal.id)
    with pytest.raises(Forbidden):
        world.archive.approvals.refuse(approver, proposal.id)
    stranger = Actor(id="system:somebody", grants=(Grant(role=Role.APPROVER),))
    with pytest.raises(Forbidden, match="account"):
        world.archive.approvals.approve(stranger, proposal.id)
    assert not released(world, hold)


def test_refused_or_withdrawn_it_can_be_proposed_anew() -> None:
    world = make_world()
    hold = held(world)
    handler = world.actor(Role.PRIVACY_HANDLER)
    first = propose(world, handler, hold)
    with pytest.raises(Conflict, match="already"):
        propose(world, handler, hold)
    assert world.archive.approvals.refuse(world.actor(Role.APPROVER), first.id).state is ProposalState.REFUSED
    second = propose(world, handler, hold)
    with pytest.raises(Forbidden, match="proposed it"):
        world.archive.approvals.withdraw(world.actor(Role.APPROVER), second.id)
    assert world.archive.approvals.withdraw(handler, second.id).state is ProposalState.WITHDRAWN
    with pytest.raises(Conflict):
        world.archive.approvals.withdraw(handler, second.id)
    assert not released(world, hold)
    propose(world, handler, hold)


def test_a_reason_is_needed_and_an_unknown_proposal_is_not_found() -> None:
    world = make_world()
    handler = world.actor(Role.PRIVACY_HANDLER)
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(InvalidInput):
            world.archive.approvals.propose(handler, ProposalKind.RELEASE_HOLD, "x", {}, reason)
    with pytest.raises(NotFound):
        world.archive.approvals.approve(world.actor(Role.APPROVER), "nothing")


def test_what_cannot_be_carried_out_stays_open() -> None:
    world = make_world()
    proposal = world.archive.approvals.propose(
        world.actor(Role.PRIVACY_HANDLER), ProposalKind.RELEASE_HOLD, "no such hold", {}, "reason"
    )
    with pytest.raises(NotFound):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert state(world, proposal) is ProposalState.OPEN


# --- one person


def test_a_single_persons_decision_waits_and_is_marked() -> None:
    world = small_world()
    hold = held(world)
    one = alone(world)
    proposal = propose(world, one, hold)
    waiting = world.archive.approvals.approve(one, proposal.id)
    assert (waiting.state, waiting.by_one_person) == (ProposalState.WAITING, True)
    assert waiting.not_before == world.clock.now() + timedelta(hours=72)
    assert [told.id for told in world.archive.approvals.waiting()] == [proposal.id]
    with pytest.raises(Conflict, match="delay"):
        world.archive.approvals.approve(one, proposal.id)
    world.later(hours=71, minutes=59)
    assert world.archive.approvals.carry_out_due() == []
    assert not released(world, hold)
    world.later(minutes=1)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    assert world.archive.approvals.carry_out_due() == []
    assert released(world, hold)
    assert set(acts(world, proposal.id)) == {Act.PROPOSED, Act.DECIDED_ALONE, Act.CARRIED_OUT}
    with world.archive.database.read() as unit:
        assert all(e.detail.get("by_one_person") for e in unit.audit.about(proposal.id, 9) if e.act is not Act.PROPOSED)


def test_in_a_small_archive_another_approver_still_decides_at_once() -> None:
    world = small_world()
    hold = held(world)
    one = alone(world)
    proposal = propose(world, one, hold)
    world.archive.approvals.approve(one, proposal.id)
    decided = world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert (decided.state, decided.by_one_person) == (ProposalState.CARRIED_OUT, False)
    assert decided.not_before is None
    assert released(world, hold)


def test_a_waiting_decision_of_who_lost_the_role_is_open_again() -> None:
    world = small_world()
    hold = held(world)
    one = alone(world)
    proposal = propose(world, one, hold)
    world.archive.approvals.approve(one, proposal.id)
    world.archive.accounts.disable("one", by="system:test")
    world.later(hours=73)
    assert world.archive.approvals.carry_out_due() == []
    assert state(world, proposal) is ProposalState.OPEN
    assert acts(world, proposal.id)[-1] is Act.REOPENED
    assert not released(world, hold)


def test_a_waiting_decision_can_be_refused_and_withdrawn() -> None:
    world = small_world()
    hold = held(world)
    one = alone(world)
    proposal = propose(world, one, hold)
    world.archive.approvals.approve(one, proposal.id)
    world.archive.approvals.withdraw(one, proposal.id)
    second = propose(world, one, hold)
    world.archive.approvals.approve(one, second.id)
    world.archive.approvals.refuse(world.actor(Role.APPROVER), second.id)
    world.later(hours=100)
    assert world.archive.approvals.carry_out_due() == []
    assert not released(world, hold)


def test_a_delay_is_not_counted_by_clocks_that_disagree() -> None:
    world = small_world()
    hold = held(world)
    one = alone(world)
    proposal = propose(world, one, hold)
    world.archive.approvals.approve(one, proposal.id)
    right = world.clock.now()
    ahead = replace_clock(world, timedelta(days=365))
    with pytest.raises(Unavailable, match="clocks"):
        ahead.archive.approvals.carry_out_due()
    assert world.clock.now() == right
    assert not released(world, hold)


def replace_clock(world: World, by: timedelta) -> World:
    """Another worker of the same archive whose clock is wrong."""
    from recvault.adapters.system import FixedClock
    from recvault.bootstrap import assemble

    clock = FixedClock(world.clock.now() + by)
    archive = world.archive
    other = assemble(
        archive.config,
        database=archive.database,
        store=archive.store,
        keyring=archive.keyring,
        ledger_store=archive.ledger._store,
        clock=clock,
        entropy=archive.entropy,
    )
    return replace(world, archive=other)
