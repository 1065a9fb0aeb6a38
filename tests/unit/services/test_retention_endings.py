"""Ending a purpose for chosen recordings is early destruction: another person, 14 days, and a way back until then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.approvals import Proposal, ProposalState
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, Destroyed, Forbidden, InvalidInput, NotFound
from recvault.domain.retention.endings import DELAY
from tests.support.archives import POLICY, World, make_world
from tests.unit.services.test_restore import Bench, bench  # noqa: F401 - a fixture


@pytest.fixture
def world() -> World:
    return make_world()


def row(world: World, communication_id: str) -> Communication:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id)


def propose(world: World, ids: Sequence[str], purpose: str = "verification") -> Proposal:
    return world.archive.purpose_endings.propose(
        world.archive.approvals, world.actor(Role.PRIVACY_HANDLER), ids, purpose, "verified, not needed any more"
    )


def end(world: World, ids: Sequence[str], purpose: str = "verification") -> str:
    proposal = propose(world, ids, purpose)
    return world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id).id


def test_it_takes_another_person_then_14_days_then_it_is_destroyed(world: World) -> None:
    ids = [world.store(f"n{n}").id for n in range(3)]
    proposal = propose(world, ids[:2])
    assert row(world, ids[0]).live_purposes(world.clock.now()) == {"verification", "training"}
    with pytest.raises(Forbidden):
        world.archive.approvals.approve(world.actor(Role.PRIVACY_HANDLER), proposal.id)
    assert world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id).state is ProposalState.CARRIED_OUT
    approved = world.clock.now()
    assert row(world, ids[0]).live_purposes(approved) == {"training"}
    end(world, ids[:2], "training")
    assert row(world, ids[0]).destroy_at == approved + DELAY
    assert row(world, ids[2]).destroy_at > approved + DELAY
    world.later(days=13, hours=23)
    assert world.archive.purge.run("w").destroyed == []
    world.later(hours=1)
    assert sorted(world.archive.purge.run("w").destroyed) == sorted(ids[:2])


def test_it_is_visible_and_can_be_taken_back_until_it_is_over(world: World) -> None:
    receipt = world.store("a")
    handler = world.actor(Role.PRIVACY_HANDLER)
    verification = end(world, [receipt.id])
    world.later(seconds=1)
    training = end(world, [receipt.id], "training")
    seen = world.archive.purpose_endings.open(world.actor(Role.AUDITOR))
    assert [(one.ending.id, one.ending.purpose, one.items) for one in seen] == [
        (verification, "verification", 1),
        (training, "training", 1),
    ]
    world.later(days=13)
    assert world.archive.purpose_endings.withdraw(handler, verification).moved == 1
    assert row(world, receipt.id).destroy_at == receipt.destroy_at
    assert row(world, receipt.id).live_purposes(world.clock.now()) == {"verification"}
    with pytest.raises(Conflict, match="taken back before"):
        world.archive.purpose_endings.withdraw(handler, verification)
    world.later(days=1)
    with pytest.raises(Conflict, match="ended"):
        world.archive.purpose_endings.withdraw(handler, training)
    assert world.archive.purpose_endings.open(handler) == []
    with world.archive.database.read() as unit:
        acts = [entry.act for entry in unit.audit.about(receipt.id, 20)]
    assert acts.count(Act.PURPOSE_ENDED) == 2
    assert acts.count(Act.PURPOSE_END_WITHDRAWN) == 1


def test_taking_back_leaves_what_else_ended_the_purpose(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt = world.store("a")
    ended = end(world, [receipt.id], "training")
    world.archive.retention_events.object_to_training(handler, reason="mail", communication_id=receipt.id)
    world.archive.purpose_endings.withdraw(handler, ended)
    assert row(world, receipt.id).live_purposes(world.clock.now()) == {"verification"}
    with pytest.raises(Conflict, match="not changed any more"):
        with world.archive.database.read() as unit:
            objection = next(one for one in unit.retention.endings() if one.kind == "objection")
        world.archive.purpose_endings.withdraw(handler, objection.id)


def test_open_cases_and_holds_block_the_proposal_and_the_approval(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    case, plain = world.store("a", case_ref="T-1"), world.store("b")
    with pytest.raises(Conflict, match="case that is open"):
        propose(world, [case.id, plain.id])
    world.archive.retention_events.case_closed(handler, "T-1")
    proposal = propose(world, [case.id, plain.id])
    hold = world.archive.holds.place(handler, reason="suit", review_on=date(2027, 1, 1), communication_id=plain.id)
    with pytest.raises(Conflict, match="is held"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    with pytest.raises(Conflict, match="is held"):
        propose(world, [plain.id])
    assert hold.covered == 1
    assert row(world, case.id).live_purposes(world.clock.now()) == {
        "verification",
        "training",
    }  # nothing of it was done


def test_a_hold_that_comes_within_the_days_keeps_it(world: World) -> None:
    receipt = world.store("a")
    end(world, [receipt.id])
    end(world, [receipt.id], "training")
    world.later(days=10)
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER), reason="suit", review_on=date(2027, 6, 1), communication_id=receipt.id
    )
    world.later(days=10)
    assert world.archive.purge.run("w").destroyed == []
    assert row(world, receipt.id).state == "stored"


def test_what_cannot_be_chosen(world: World) -> None:
    receipt = world.store("a", tags=frozenset({"do-not-keep"}))
    world.later(days=2)
    world.archive.purge.run("w")
    with pytest.raises(Destroyed):
        propose(world, [receipt.id])
    other = world.store("b", answered=False)
    with pytest.raises(NotFound):
        propose(world, [other.id, "018f0000-0000-7000-8000-000000000000"])
    with pytest.raises(Conflict, match="not kept for training"):
        propose(world, [other.id], "training")
    with pytest.raises(InvalidInput, match="choose a purpose"):
        propose(world, [other.id], "request")
    with pytest.raises(InvalidInput, match="1 to 1000"):
        propose(world, [])
    with pytest.raises(Forbidden):
        world.archive.purpose_endings.propose(
            world.archive.approvals, world.actor(Role.TRAINER), [other.id], "verification", "x"
        )


def test_what_was_destroyed_between_proposal_and_approval_is_passed_over(world: World) -> None:
    short, long = world.store("a", answered=False), world.store("b")
    world.later(days=5)
    proposal, alone = propose(world, [short.id, long.id]), propose(world, [short.id])
    world.later(days=10)
    world.archive.purge.run("w")
    approver = world.actor(Role.APPROVER)
    assert world.archive.approvals.approve(approver, proposal.id).state is ProposalState.CARRIED_OUT
    assert row(world, long.id).live_purposes(world.clock.now()) == {"training"}
    with pytest.raises(Destroyed, match="refuse the proposal"):
        world.archive.approvals.approve(approver, alone.id)


def test_an_ended_purpose_never_comes_back_with_a_new_policy(world: World) -> None:
    receipt = world.store("a")
    end(world, [receipt.id], "training")
    world.later(days=15)
    longer = POLICY.replace('version = "defaults-1"', 'version = "longer"').replace(
        'name = "training"\npurpose = "training"\nkeep = "P3M"', 'name = "training"\npurpose = "training"\nkeep = "P9M"'
    )
    assert longer.count("P9M") == 1
    world.archive.retention.put_in_force(world.actor(Role.PRIVACY_HANDLER), longer)
    world.archive.retention_desk.apply()
    found = row(world, receipt.id)
    assert found.policy_version == "longer"
    assert found.live_purposes(world.clock.now() - timedelta(days=15)) == {"verification"}
    assert found.destroy_at == receipt.destroy_at


def test_a_restore_brings_no_ended_purpose_back(bench: Bench) -> None:  # noqa: F811
    world = bench.world
    chosen, withdrawn, objected = world.store("a", remote=None), world.store("b", remote=None), world.store("c")
    taken_back = end(world, [withdrawn.id], "training")
    copy = bench.copy()
    end(world, [chosen.id])
    world.archive.purpose_endings.withdraw(world.actor(Role.PRIVACY_HANDLER), taken_back)
    customer = world.archive.customers.id_of_number(world.actor(Role.ADMINISTRATOR), "1001")
    handler = world.actor(Role.PRIVACY_HANDLER)
    world.archive.retention_events.object_to_training(handler, reason="by post", customer_id=customer)
    wanted = {one.id: row(world, one.id).purposes for one in (chosen, withdrawn, objected)}
    bench.put_back(copy)
    with bench.another() as again:
        again.archive.restore.replay()
        again.archive.purpose_endings.settle_replayed()
        assert {one: row(again, one).purposes for one in wanted} == wanted
        assert again.archive.purpose_endings.settle_replayed() == 0
        assert not any(again.archive.retention_desk.explain(one).differs for one in wanted)
        arrived = again.store("d")
        assert row(again, arrived.id).live_purposes(world.clock.now()) == {"verification"}
