"""Releases to trainees."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.domain.purpose import Purpose
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


def test_a_trainee_hears_what_was_released_until_its_end(world: World) -> None:
    receipt = world.store("call-1")
    trainee = world.actor(Role.TRAINEE)
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(trainee, receipt.id, Purpose.TRAINING)
    world.archive.training.release(
        world.actor(Role.TRAINER), receipt.id, to="trainee", until=world.clock.now() + timedelta(days=7)
    )
    opened = world.archive.retrieval.open(trainee, receipt.id, Purpose.TRAINING)
    world.archive.retrieval.playback(trainee, opened.secret)
    world.later(days=8)
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(trainee, receipt.id, Purpose.TRAINING)


def test_a_release_moves_the_ends_that_follow_from_it_and_never_past_the_cap(world: World) -> None:
    """The shipped policy keeps what was released until the release ends, a year at most; the cap was fixed at storing."""
    receipt, other = world.store("call-1"), world.store("call-2")
    now = world.clock.now()
    trainer = world.actor(Role.TRAINER)
    end = world.archive.training.release(trainer, receipt.id, to="trainee", until=now + timedelta(days=300))
    assert end == now + timedelta(days=300)
    with world.archive.database.read() as unit:
        row, left = unit.communications.find([receipt.id, other.id])
        moved = [entry.act for entry in unit.audit.about(receipt.id, 9)]
    assert row.destroy_at == end > receipt.destroy_at and row.facts_version == 2
    assert left.destroy_at == other.destroy_at
    assert Act.RETENTION_MOVED in moved and Act.RELEASED in moved
    assert world.archive.retention_desk.explain(receipt.id).ends.destroy_at == end
    longest = world.archive.training.release(trainer, receipt.id, to="trainee", until=now + timedelta(days=700))
    assert timedelta(days=364) < longest - now < timedelta(days=367)
    world.later(days=200)
    assert world.archive.purge.run("w").destroyed == [other.id]
    world.later(days=170)
    assert world.archive.purge.run("w").destroyed == [receipt.id]


def test_a_release_that_a_forger_adds_does_not_pass(world: World) -> None:
    receipt = world.store("call-1")
    with world.archive.database.begin() as unit:
        unit.accounts.release_to(receipt.id, world.actor(Role.TRAINEE).id, world.clock.now() + timedelta(days=300))
        unit.commit()
    world.later(days=190)
    assert world.archive.purge.run("w").stopped == [receipt.id]


def test_a_policy_is_tried_on_what_was_released(world: World) -> None:
    receipt = world.store("call-1")
    until = world.clock.now() + timedelta(days=300)
    world.archive.training.release(world.actor(Role.TRAINER), receipt.id, to="trainee", until=until)
    with world.archive.database.read() as unit:
        (stored,) = unit.retention.stored_facts(10)
    assert stored.facts.releases == (until,)


def test_only_a_trainer_releases_and_only_to_trainees(world: World) -> None:
    receipt = world.store("call-1")
    until = world.clock.now() + timedelta(days=7)
    with pytest.raises(Forbidden):
        world.archive.training.release(world.actor(Role.VERIFIER), receipt.id, to="trainee", until=until)
    with pytest.raises(InvalidInput):
        world.archive.training.release(world.actor(Role.TRAINER), receipt.id, to="auditor", until=until)
    world.later(days=120)
    with pytest.raises(Forbidden):
        world.archive.training.release(
            world.actor(Role.TRAINER), receipt.id, to="trainee", until=world.clock.now() + timedelta(days=1)
        )
