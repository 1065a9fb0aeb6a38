"""A certificate says who ended a purpose before its time, whether one person decided alone, and how far the log was."""

from __future__ import annotations

from datetime import timedelta

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.destruction import Trigger
from recvault.interfaces.web.destroyed import paper
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.certificates import verified


def early(world: World, one: Actor, other: Actor, purposes: tuple[str, ...]) -> str:
    """A recording whose purposes were ended by the two, destroyed."""
    archive, receipt = world.archive, world.store("call-1")
    for purpose in purposes:
        proposal = archive.purpose_endings.propose(archive.approvals, one, [receipt.id], purpose, "not needed")
        archive.approvals.approve(other, proposal.id)
        world.later(hours=73)
        archive.approvals.carry_out_due()
    world.later(days=190)
    assert archive.purge.run("w").destroyed == [receipt.id]
    return receipt.id


def printed(world: World, one: str, language: str) -> str:
    with world.archive.database.read() as unit:
        item = unit.destructions.get(one)
        files = world.archive.certificates.files(unit, item)
    return paper(world.archive, item, files, language=language)


def test_an_early_end_names_who_proposed_and_who_approved() -> None:
    world = make_world()
    handler, approver = world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER)
    destroyed = early(world, handler, approver, ("verification", "training"))
    said = verified(world.archive, destroyed)
    assert said["trigger"] == Trigger.PURPOSE_ENDED and said["triggers"] == {"purpose_ended_early": 1}
    assert said["decided_by_one_person"] == 0
    evidence = said["evidence"]
    assert isinstance(evidence, dict)
    ended = {one["purpose"]: one for one in evidence["ended"]}
    assert ended.keys() == {"verification", "training"}
    assert ended["training"] | {"at": ""} == {
        "purpose": "training",
        "kind": "person",
        "at": "",
        "by": handler.id,
        "approved_by": approver.id,
        "decided_by_one_person": False,
    }
    assert "Training ended early" in printed(world, destroyed, "en")
    assert "päätetty ennen aikojaan" in printed(world, destroyed, "fi")


def test_what_one_person_decided_alone_is_told() -> None:
    parts = memory_parts()
    parts.config = configuration(APPROVALS__MODE="small")
    world = make_world(parts=parts)
    grants = (Grant(role=Role.PRIVACY_HANDLER), Grant(role=Role.APPROVER))
    one = actor_of(
        world.archive.accounts.add_user("one", display_name="Yksi", password=None, grants=grants, by="system:test")
    )
    destroyed = early(world, one, one, ("verification", "training"))
    said = verified(world.archive, destroyed)
    assert said["decided_by_one_person"] == 1
    assert "decided by one person: Yksi" in printed(world, destroyed, "en")


def test_an_end_that_moved_nothing_is_told_but_is_not_the_reason() -> None:
    world = make_world()
    destroyed = early(world, world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER), ("training",))
    said = verified(world.archive, destroyed)
    assert said["trigger"] == Trigger.RETENTION
    assert isinstance(said["evidence"], dict) and len(said["evidence"]["ended"]) == 1


def test_an_objection_is_approved_by_nobody_and_decided_alone_by_nobody() -> None:
    world = make_world()
    receipt = world.store("call-1")
    world.archive.retention_events.object_to_training(
        world.actor(Role.PRIVACY_HANDLER), reason="mail", communication_id=receipt.id
    )
    world.later(days=190)
    world.archive.purge.run("w")
    evidence = verified(world.archive, receipt.id)["evidence"]
    assert isinstance(evidence, dict)
    (ended,) = evidence["ended"]
    assert (ended["kind"], ended["approved_by"], ended["decided_by_one_person"]) == ("objection", None, False)


def test_it_names_the_last_published_checkpoint_of_the_log() -> None:
    world = make_world()
    receipt = world.store("call-1")
    world.archive.audit.sequence()
    world.archive.checkpoints.publish()
    latest = world.archive.checkpoints.latest()
    assert latest is not None
    world.clock.advance(timedelta(days=190))
    world.archive.purge.run("w")
    told = {"origin": latest.origin, "size": latest.size, "root": latest.root.hex()}
    assert verified(world.archive, receipt.id)["log_checkpoint"] == told
    assert latest.root.hex() in printed(world, receipt.id, "fi")
