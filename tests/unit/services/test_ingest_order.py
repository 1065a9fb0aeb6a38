"""The order of writes of ingest, where something else happens between two of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from recvault.domain.access import Role
from recvault.domain.communication import Party, PartyKind
from recvault.domain.errors import ConflictKeptAside
from recvault.domain.purpose import Purpose
from recvault.domain.register_records import CustomerRecord
from tests.support.archives import World, make_world

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 300
STRANGER = Party(kind=PartyKind.TEL, value="+358401234999", as_sent="040 1234999")


@pytest.fixture
def world() -> World:
    return make_world()


def meanwhile(act: Callable[[], object]) -> Iterator[bytes]:
    """Content during whose upload something else is done."""
    yield CALL
    act()


def test_what_was_kept_aside_keeps_its_object_and_plays(world: World) -> None:
    world.store("call-1", CALL)
    with pytest.raises(ConflictKeptAside) as refused:
        world.store("call-1", CALL + b"other")
    actor = world.actor(Role.VERIFIER)
    opened = world.archive.retrieval.open(actor, refused.value.kept_as, Purpose.VERIFICATION, reason="complaint")
    playback = world.archive.retrieval.playback(actor, opened.secret)
    assert b"".join(world.archive.retrieval.read(playback, 0, len(CALL) + 4)) == CALL + b"other"


def test_kept_aside_also_when_the_other_upload_came_first_while_this_one_ran(world: World) -> None:
    draft = world.draft("call-1")
    first = meanwhile(lambda: world.store("call-1", CALL + b"quicker"))
    with pytest.raises(ConflictKeptAside) as refused:
        world.archive.ingest.accept(world.source, draft, first)
    assert [v.name for v in world.archive.store.list_versions(f"{refused.value.kept_as}/")]


def test_a_purge_that_drops_the_callers_contact_point_refuses_no_upload(world: World) -> None:
    old = world.store("call-1", CALL, remote=STRANGER)
    world.later(days=190)
    reports = []
    content = meanwhile(lambda: reports.append(world.archive.purge.run("worker-1")))
    receipt = world.archive.ingest.accept(world.source, world.draft("call-2", remote=STRANGER), content)
    assert reports[0].destroyed == [old.id]
    with world.archive.database.read() as unit:
        point = unit.communications.get(receipt.id).contact_point_id
        assert point is not None and point in unit.register.get_points([point])


def test_a_relationship_that_ends_during_an_upload_is_known_to_its_row(world: World) -> None:
    ended = CustomerRecord(
        name="Virtanen Oy",
        number="1001",
        relationship_end=date(2026, 11, 1),
        told=frozenset({"name", "number", "relationship_end"}),
    )
    content = meanwhile(lambda: world.archive.customers.put_customer(world.actor(Role.ADMINISTRATOR), ended))
    receipt = world.archive.ingest.accept(world.source, world.draft("call-1"), content)
    with world.archive.database.read() as unit:
        assert unit.communications.get(receipt.id).relationship_ended_at is not None
