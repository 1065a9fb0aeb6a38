"""Residency while running: a place that is not allowed stops writing, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.domain.errors import ResidencyViolation
from recvault.domain.residency import DeclaredPlace, ResidencyPolicy
from recvault.services.places import Places
from tests.support.archives import World, make_world


def places(world: World, *, country: str = "FI", others: tuple[DeclaredPlace, ...] = ()) -> Places:
    return Places(
        store=world.archive.store,
        declared=DeclaredPlace(name="local", country=country, site="room 1"),
        others=others,
        policy=ResidencyPolicy(),
        audit=world.archive.audit,
        clock=world.clock,
        interval=timedelta(minutes=15),
    )


def test_an_allowed_place_is_written_to() -> None:
    places(make_world()).require_writable()


def test_a_place_abroad_is_refused_with_the_reason() -> None:
    with pytest.raises(ResidencyViolation, match="country SE is not allowed"):
        places(make_world(), country="SE").require_writable()


def test_a_keyring_replica_abroad_stops_writing_too() -> None:
    abroad = DeclaredPlace(name="replica-1", country="DE", site="elsewhere")
    with pytest.raises(ResidencyViolation, match="replica-1: country DE"):
        places(make_world(), others=(abroad,)).require_writable()


def test_a_violation_is_noticed_while_running_and_ends_when_mended() -> None:
    world = make_world()
    watched = places(world)
    watched.require_writable()
    watched._policy = ResidencyPolicy(allowed_countries=("SE",))
    watched.require_writable()  # the last look is recent
    world.later(minutes=16)
    with pytest.raises(ResidencyViolation):
        watched.require_writable()
    watched._policy = ResidencyPolicy()
    watched.check()
    watched.require_writable()
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        acts = [entry.act.value for entry in unit.audit.about("local", 10)]
    assert sorted(acts) == ["place:store:restored", "place:store:violated"]


def test_nothing_is_stored_at_a_place_that_is_not_allowed() -> None:
    world = make_world()
    world.archive.places._policy = ResidencyPolicy(allowed_countries=("SE",))
    world.later(hours=1)
    with pytest.raises(ResidencyViolation):
        world.store("call-1")
    assert list(world.archive.store.list_versions("")) == []
