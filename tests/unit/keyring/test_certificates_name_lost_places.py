"""A replica is lost: work goes on, and the certificate names it; so it does an offline copy that is still out there."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any, cast

from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.domain.destruction import Stage
from recvault.domain.ports.keyring import Loss, OfflineCopy
from tests.support.archives import World, make_world
from tests.support.certificates import certificate_of


def complete(world: World, communication_id: str) -> dict[str, Any]:
    """The document of the second certificate, after everything is due."""
    world.later(days=190)
    world.archive.purge.run("worker-1")
    world.later(seconds=61)
    world.archive.purge.run("worker-1")
    proof = json.loads(certificate_of(world.archive, communication_id, Stage.COMPLETE))
    return cast("dict[str, Any]", json.loads(base64.b64decode(proof["certificate"]["payload"])))


def ring_of(world: World) -> MemoryKeyring:
    assert isinstance(world.archive.keyring, MemoryKeyring)
    return world.archive.keyring


def copy(world: World, number: int) -> OfflineCopy:
    now = world.archive.clock.now()
    return OfflineCopy(id=f"2026-11-22-{number}", made_at=now, expires_at=now + timedelta(days=14))


def test_nothing_lost_and_no_copy_is_said_as_such() -> None:
    world = make_world()
    body = complete(world, world.store("call-1").id)
    assert body["keyring_places_lost"] == [] and body["offline_copies"] is None


def test_a_lost_place_and_the_newest_copy_stand_in_the_certificate() -> None:
    world = make_world()
    receipt = world.store("call-1")
    world.later(days=3)
    ring_of(world).note_loss("b", Loss.STOLEN)
    lost_at = world.archive.clock.now()
    first = copy(world, 1)
    ring_of(world).note_copy(first)
    world.later(days=3)
    newest = copy(world, 2)
    ring_of(world).note_copy(newest)
    body = complete(world, receipt.id)
    assert body["keyring_places_lost"] == [{"place": "b", "lost_at": lost_at.isoformat(), "how": "stolen"}]
    assert body["offline_copies"] == {
        "count": 2,
        "newest_made_at": newest.made_at.isoformat(),
        "last_expires_at": newest.expires_at.isoformat(),
    }


def test_what_was_lost_before_the_key_was_made_is_not_named() -> None:
    world = make_world()
    ring_of(world).note_loss("b", Loss.BROKEN)
    ring_of(world).note_copy(copy(world, 1))
    world.later(days=40)
    body = complete(world, world.store("call-1").id)
    assert body["keyring_places_lost"] == [] and body["offline_copies"] is None
