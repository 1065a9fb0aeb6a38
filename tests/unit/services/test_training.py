"""Releases to trainees."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.domain.access import Role
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


def test_a_release_never_outlives_the_purpose(world: World) -> None:
    receipt = world.store("call-1")
    end = world.archive.training.release(
        world.actor(Role.TRAINER), receipt.id, to="trainee", until=world.clock.now() + timedelta(days=700)
    )
    assert end < world.clock.now() + timedelta(days=100)


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
