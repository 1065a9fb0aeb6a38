"""Facts and ends are authenticated: what was edited in the database is not destroyed, moved or overlooked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Attention, Communication
from recvault.domain.destruction import WhyResumed
from recvault.domain.errors import Conflict, Forbidden
from recvault.domain.reconciliation import Difference
from recvault.services.fact_digests import ALTERED, ANCHOR
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


def row(world: World, communication_id: str) -> Communication:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id)


def reasons(world: World, communication_id: str) -> list[object]:
    with world.archive.database.read() as unit:
        entries = unit.audit.about(communication_id, 20)
    return [entry.detail["reason"] for entry in entries if entry.act is Act.STOPPED]


def edit(world: World, found: Communication) -> Communication:
    """As a forger with the database would: the end of the relationship, and the end that the policy gives from it."""
    forged = world.archive.retention.with_ends(replace(found, do_not_keep_at=world.clock.now()))
    assert forged.destroy_at < found.destroy_at
    with world.archive.database.begin() as unit:
        unit.communications.set_do_not_keep(found.id, world.clock.now())
        unit.communications.set_retention(
            found.id,
            destroy_at=forged.destroy_at,
            purposes=forged.purposes,
            policy_version=forged.policy_version,
        )
        unit.commit()
    return forged


def test_facts_edited_together_with_the_end_are_not_destroyed(world: World) -> None:
    edited, other = world.store("call-1").id, world.store("call-2").id
    edit(world, row(world, edited))
    world.later(days=190)
    report = world.archive.purge.run("w")
    assert report.stopped == [edited] and report.destroyed == [other]
    assert reasons(world, edited) == [ALTERED]
    assert Attention.FACTS_ALTERED in row(world, edited).attention
    assert world.archive.gauges.read()["not_intact"] == 1


def test_no_event_covers_up_an_edit(world: World) -> None:
    edited = world.store("call-1").id
    edit(world, row(world, edited))
    with pytest.raises(Conflict):
        world.archive.retention.keep_after_all(world.actor(Role.PRIVACY_HANDLER), edited)
    assert world.archive.purge.run("w").destroyed == []


def test_a_row_put_back_to_what_it_once_was_is_not_destroyed(world: World) -> None:
    receipt = world.store("call-1")
    person = world.actor(Role.PRIVACY_HANDLER)
    marked = world.archive.retention.do_not_keep(person, receipt.id)
    world.archive.retention.keep_after_all(person, receipt.id)
    assert (marked.facts_version, row(world, receipt.id).facts_version) == (2, 3)
    with world.archive.database.begin() as unit:  # its old digest fits what it says
        unit.communications.set_do_not_keep(receipt.id, marked.do_not_keep_at)
        unit.communications.set_retention(
            receipt.id, destroy_at=marked.destroy_at, purposes=marked.purposes, policy_version=marked.policy_version
        )
        unit.retention.set_digests([marked])
        unit.commit()
    world.later(days=60)
    assert world.archive.purge.run("w").stopped == [receipt.id]
    assert reasons(world, receipt.id) == [ALTERED]


def test_a_person_who_has_looked_lets_it_go_on(world: World) -> None:
    edited = world.store("call-1").id
    edit(world, row(world, edited))
    world.later(days=190)
    world.archive.purge.run("w")
    world.archive.stopped.resume(world.actor(Role.PRIVACY_HANDLER), edited, WhyResumed.EDIT_EXPLAINED)
    assert world.archive.purge.run("w").destroyed == [edited]


def test_reconciliation_finds_an_edit_and_stops_the_destruction(world: World) -> None:
    edited, _other = world.store("call-1").id, world.store("call-2").id
    edit(world, row(world, edited))
    found = world.archive.reconcile.run()
    assert found.counts == {Difference.FACTS_ALTERED: 1} and not reasons(world, edited)
    assert world.archive.reconcile.run(repair=True).mended == {Difference.FACTS_ALTERED: 1}
    assert reasons(world, edited) == [ALTERED]


def test_reconciliation_finds_a_data_key_that_does_not_open(world: World) -> None:
    damaged, other = row(world, world.store("call-1").id), row(world, world.store("call-2").id)
    assert other.wrapped_key is not None
    with world.archive.database.begin() as unit:
        unit.communications.rewrap(damaged.id, key_id=damaged.key_id, wrapped_key=other.wrapped_key)
        unit.commit()
    assert world.archive.reconcile.run().counts == {Difference.DATA_KEY_DAMAGED: 1}
    world.archive.reconcile.run(repair=True)
    assert Attention.KEY_DAMAGED in row(world, damaged.id).attention
    assert world.archive.gauges.read()["not_intact"] == 1


def test_rows_from_before_get_their_digest_once(world: World) -> None:
    first, second = row(world, world.store("call-1").id), row(world, world.store("call-2").id)
    with world.archive.database.begin() as unit:
        unit.retention.set_digests([replace(one, facts_digest=None) for one in (first, second)])
        unit.commit()
    assert world.archive.fact_backfill.settle() == 2
    assert row(world, first.id) == first
    assert world.archive.keyring.anchor(ANCHOR) is not None
    assert world.archive.fact_backfill.settle() is None
    with world.archive.database.begin() as unit:  # from here on a row without one was edited
        unit.retention.set_digests([replace(first, facts_digest=None)])
        unit.commit()
    world.later(days=190)
    assert world.archive.purge.run("w").stopped == [first.id]


def test_a_person_takes_rows_of_an_older_database_as_they_are(world: World) -> None:
    world.archive.fact_backfill.settle()
    receipt = world.store("call-1")
    found = row(world, receipt.id)
    with world.archive.database.begin() as unit:
        unit.retention.set_digests([replace(found, facts_digest=None)])
        unit.commit()
    with pytest.raises(Forbidden):
        world.archive.fact_backfill.accept(world.actor(Role.TRAINER))
    assert world.archive.fact_backfill.accept(world.actor(Role.PRIVACY_HANDLER)) == 1
    world.later(days=190)
    assert world.archive.purge.run("w").destroyed == [receipt.id]


def test_the_backfill_leaves_out_and_stops_what_has_another_end(world: World) -> None:
    receipt = world.store("call-1")
    found = row(world, receipt.id)
    with world.archive.database.begin() as unit:
        unit.retention.set_digests([replace(found, facts_digest=None)])
        unit.communications.set_retention(
            receipt.id,
            destroy_at=found.destroy_at - timedelta(days=9),
            purposes=found.purposes,
            policy_version=found.policy_version,
        )
        unit.commit()
    assert world.archive.fact_backfill.settle() == 0
    assert row(world, receipt.id).facts_digest is None and reasons(world, receipt.id)
