"""What does not belong together is found, named and mended, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Attention
from recvault.domain.destruction import Stage
from recvault.domain.ids import uuid7
from recvault.domain.ports.keyring import KeyKind
from recvault.domain.purpose import Purpose
from recvault.domain.reconciliation import Difference, Reconciliation
from tests.support.archives import World, make_world
from tests.support.interruptions import CALL


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


def compared(world: World, *, repair: bool = False) -> Reconciliation:
    return world.archive.reconcile.run(repair=repair)


def subjects(report: Reconciliation, difference: Difference) -> list[str]:
    return [one.subject for one in report.findings if one.difference is difference]


def lose_object(world: World, communication_id: str) -> None:
    store = world.archive.store
    store.delete_versions(list(store.list_versions(f"{communication_id}/")))


def marks(world: World, communication_id: str) -> frozenset[Attention]:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id).attention


def orphan(world: World) -> str:
    one = uuid7(world.clock.now(), world.archive.entropy.bytes(10))
    world.archive.store.put(f"{one}/original.1", [b"ciphertext without a row"])
    return one


def test_everything_fits_through_the_whole_life(world: World) -> None:
    for number in range(5):
        world.store(f"call-{number}", CALL)
        world.later(days=1)
    assert not compared(world).counts
    world.later(days=179)
    world.archive.purge.run("worker")
    report = compared(world)
    assert not report.counts and report.rows == report.objects < 5


def test_a_row_without_its_object_is_named_and_marked_for_a_person(world: World) -> None:
    kept, lost = world.store("kept"), world.store("lost")
    lose_object(world, lost.id)
    first = compared(world)
    assert subjects(first, Difference.ROW_WITHOUT_OBJECT) == [lost.id]
    assert Attention.OBJECT_MISSING not in marks(world, lost.id), "comparing changes nothing"
    second = compared(world, repair=True)
    assert second.mended[Difference.ROW_WITHOUT_OBJECT] == 1
    assert Attention.OBJECT_MISSING in marks(world, lost.id)
    assert Attention.OBJECT_MISSING not in marks(world, kept.id)


def test_an_object_of_another_length_is_not_the_one_that_was_stored(world: World) -> None:
    swapped = world.store("swapped")
    with world.archive.database.read() as unit:
        (stream,) = unit.communications.get(swapped.id).streams
    lose_object(world, swapped.id)
    world.archive.store.put(stream.object_name, [b"something shorter"])
    report = compared(world)
    found = {*subjects(report, Difference.OBJECT_DIFFERS), *subjects(report, Difference.ROW_WITHOUT_OBJECT)}
    assert found == {swapped.id}, "by its length, or by the version that the row names"


def test_ciphertext_without_a_row_is_left_alone_while_it_is_young_and_swept_when_it_is_old(world: World) -> None:
    one = orphan(world)
    assert not compared(world, repair=True).counts, "it may be about to commit"
    world.later(days=2)
    assert subjects(compared(world), Difference.OBJECT_WITHOUT_ROW) == [one]
    assert compared(world, repair=True).mended[Difference.OBJECT_WITHOUT_ROW] == 1
    assert not compared(world).counts


def test_a_stream_that_its_communication_does_not_name_is_deleted(world: World) -> None:
    call = world.store("call")
    world.archive.store.put(f"{call.id}/waveform.1", [b"made for a rendition that never committed"])
    assert not compared(world, repair=True).counts, "too young to say"
    world.later(days=2)
    report = compared(world, repair=True)
    assert subjects(report, Difference.STREAM_LEFT_BEHIND) == [f"{call.id}/waveform.1"]
    assert not compared(world).counts
    opened = world.archive.retrieval.open(world.actor(Role.VERIFIER), call.id, Purpose.VERIFICATION, reason="complaint")
    assert opened.communication_id == call.id


def test_a_key_without_a_row_gets_one_and_ends_as_every_other(world: World) -> None:
    stray = f"day/{world.clock.now():%Y-%m-%d}/9"
    world.archive.keyring.ensure(stray, KeyKind.WRAP)
    assert not compared(world).counts, "its row may be about to be committed"
    world.later(hours=1)
    report = compared(world, repair=True)
    assert subjects(report, Difference.KEY_WITHOUT_ROW) == [stray] and report.mended[Difference.KEY_WITHOUT_ROW] == 1
    for _day in range(12):
        world.later(days=1)
        world.archive.purge.run("worker")
    assert world.archive.keyring.info(stray).destroyed_at is not None
    assert not compared(world).counts


def test_a_key_past_its_day_is_told_and_closed(world: World) -> None:
    world.store("call", CALL)
    world.later(days=190)
    assert world.archive.purge.run("worker").destroyed
    for _tick in range(2):
        world.later(minutes=10)
        world.archive.purge.settle()
    world.later(days=30)
    extra = world.archive.period_keys.prepare(world.clock.now())
    world.later(days=4)
    assert subjects(compared(world), Difference.KEY_PAST_ITS_DAY) == [extra]
    compared(world, repair=True)
    world.later(minutes=10)
    world.archive.key_ends.close_due()
    assert not compared(world).counts


def test_a_destruction_without_a_certificate_is_certified_from_its_tombstone(world: World) -> None:
    due = world.store("due", CALL)
    world.later(days=190)
    world.archive.purge.run("worker")
    with world.archive.database.begin() as unit:  # as after a restore that lost the certificate and the row
        tombstone = unit.destructions.get(due.id)
        unit.commit()
    assert tombstone.stage is not Stage.SHREDDED
    assert not compared(world).counts
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(
            "update destructions set stage = 'shredded', inaccessible_at = null, complete_at = null, looked_for_at = null,"
            " inaccessible_in = null, complete_in = null"
        )
    world.later(days=3)
    assert subjects(compared(world), Difference.CERTIFICATE_MISSING) == [due.id]
    assert compared(world, repair=True).mended[Difference.CERTIFICATE_MISSING] == 1
    with world.archive.database.read() as unit:
        assert unit.destructions.get(due.id).stage is Stage.INACCESSIBLE
    assert not compared(world).counts


def test_arrivals_are_looked_for_minutes_after_they_were_confirmed(world: World) -> None:
    first, second = world.store("first"), world.store("second")
    lose_object(world, second.id)  # a store that confirmed what it does not have
    assert world.archive.reconcile.arrivals().rows == 0, "too fresh"
    world.later(minutes=6)
    report = world.archive.reconcile.arrivals()
    assert report.rows == 2 and subjects(report, Difference.ROW_WITHOUT_OBJECT) == [second.id]
    assert Attention.OBJECT_MISSING in marks(world, second.id) and Attention.OBJECT_MISSING not in marks(
        world, first.id
    )
    assert world.archive.reconcile.arrivals().rows == 0, "each is looked for once"
    world.store("third")
    world.later(minutes=6)
    assert world.archive.reconcile.arrivals().rows == 1


def test_many_rows_and_strangers_between_them_are_told_apart(world: World) -> None:
    stored = [world.store(f"call-{number}").id for number in range(30)]
    strays = [orphan(world) for _ in range(5)]
    more = [world.store(f"more-{number}").id for number in range(30)]
    lose_object(world, stored[7])
    lose_object(world, more[-1])
    world.later(days=2)
    report = compared(world)
    assert report.rows == 60 and report.objects == 63
    assert sorted(subjects(report, Difference.OBJECT_WITHOUT_ROW)) == sorted(strays)
    assert sorted(subjects(report, Difference.ROW_WITHOUT_OBJECT)) == sorted([stored[7], more[-1]])


def test_it_stands_in_the_log(world: World) -> None:
    lost = world.store("lost")
    lose_object(world, lost.id)
    compared(world, repair=True)
    with world.archive.database.read() as unit:
        assert Act.MENDED in {entry.act for entry in unit.audit.about(lost.id, 10)}
