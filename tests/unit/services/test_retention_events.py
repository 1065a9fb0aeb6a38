"""Events move ends through one service: cases, relationships, objections; audited, and within the caps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.durations import parse
from recvault.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from recvault.domain.register_records import CustomerRecord
from tests.support.archives import POLICY, World, make_world

RELATIONSHIP = """
[[rule]]
name = "relationship"
match = { tags = ["contract"] }
purpose = "verification"
keep = "P3M"
from = "relationship_end"
cap = "P24M"
priority = 50
why = "the contract is verified while it lasts"
"""


@pytest.fixture
def world() -> World:
    world = make_world(signed=False)
    changed = POLICY.replace('version = "defaults-1"', 'version = "with-relationship"') + RELATIONSHIP
    world.archive.retention.put_in_force(world.actor(Role.PRIVACY_HANDLER), changed)
    return world


def row(world: World, communication_id: str) -> Communication:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id)


def customer_id(world: World) -> str:
    found = world.archive.customers.id_of_number(world.actor(Role.ADMINISTRATOR), "1001")
    assert found is not None
    return found


def after(world: World, text: str, moment: datetime) -> datetime:
    return parse(text).add_to(moment, world.archive.config.retention.zone)


def acts(world: World, target: str) -> list[tuple[str, dict[str, object]]]:
    with world.archive.database.read() as unit:
        return [(entry.act.value, dict(entry.detail)) for entry in unit.audit.about(target, 20)]


def test_a_closed_case_counts_from_its_closing_and_is_audited(world: World) -> None:
    receipt = world.store("a", case_ref="T-1")
    other = world.store("b", case_ref="T-2")
    contact = world.clock.now()
    assert receipt.destroy_at == after(world, "P24M", contact)
    world.later(days=100)
    closed = world.clock.now()
    report = world.archive.retention_events.case_closed(world.actor(Role.PRIVACY_HANDLER), "T-1")
    assert (report.concerned, report.moved) == (1, 1)
    moved = row(world, receipt.id)
    assert moved.destroy_at == after(world, "P6M", closed)
    assert moved.key_id.startswith(f"day/{moved.destroy_at.astimezone(world.archive.config.retention.zone).date()}")
    assert row(world, other.id).case_closed_at is None
    act, detail = acts(world, receipt.id)[0]
    assert act == Act.CASE_CLOSED
    assert detail == {
        "before": receipt.destroy_at.isoformat(),
        "after": moved.destroy_at.isoformat(),
        "at": closed.isoformat(),
        "facts": 2,
    }


def test_the_later_of_two_closings_counts_whatever_the_order(world: World) -> None:
    first = world.store("a", case_ref="T-1").id
    second = world.store("b", case_ref="T-2").id
    world.later(days=30)
    early, late = world.clock.now() - timedelta(days=20), world.clock.now() - timedelta(days=3)
    handler = world.actor(Role.PRIVACY_HANDLER)
    for case, moments in (("T-1", (early, late)), ("T-2", (late, early))):
        for moment in moments:
            world.archive.retention_events.case_closed(handler, case, moment)
    assert row(world, first).destroy_at == row(world, second).destroy_at
    assert row(world, second).case_closed_at == late


def test_an_event_of_tomorrow_and_a_case_that_nobody_knows_are_refused(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    world.store("a", case_ref="T-1")
    with pytest.raises(InvalidInput, match="future"):
        world.archive.retention_events.case_closed(handler, "T-1", world.clock.now() + timedelta(seconds=1))
    with pytest.raises(NotFound, match="case"):
        world.archive.retention_events.case_closed(handler, "T-9")
    with pytest.raises(Forbidden):
        world.archive.retention_events.case_closed(world.actor(Role.TRAINER), "T-1")


def test_the_end_of_a_relationship_shortens_and_its_return_stays_within_the_cap(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt = world.store("a", tags=frozenset({"contract"}))
    cap = receipt.destroy_at
    world.later(days=40)
    ends_on = world.clock.now().date()
    world.archive.retention_events.relationship_ended(handler, customer_id(world), ends_on)
    shortened = row(world, receipt.id).destroy_at
    assert shortened < cap
    arrived = world.store("b", tags=frozenset({"contract"}))
    assert arrived.destroy_at <= after(world, "P4M", world.clock.now())
    report = world.archive.retention_events.relationship_resumed(
        handler, customer_id(world), ends_on + timedelta(days=1)
    )
    assert (report.concerned, report.moved) == (2, 2)
    assert row(world, receipt.id).destroy_at == cap
    entries = dict(acts(world, customer_id(world)))
    assert set(entries) == {Act.RELATIONSHIP_RESUMED, Act.RELATIONSHIP_ENDED, Act.CUSTOMER_CHANGED}
    assert entries[Act.RELATIONSHIP_RESUMED] == {
        "before": ends_on.isoformat(),
        "after": None,
        "concerned": 2,
        "moved": 2,
    }


def test_an_end_told_after_the_return_changes_nothing(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt = world.store("a", tags=frozenset({"contract"}))
    events, who = world.archive.retention_events, customer_id(world)
    events.relationship_resumed(handler, who, date(2026, 6, 1))
    assert events.relationship_ended(handler, who, date(2026, 5, 1)).concerned == 0
    assert row(world, receipt.id).destroy_at == receipt.destroy_at


def test_the_nightly_feed_tells_the_same_event(world: World) -> None:
    receipt = world.store("a", tags=frozenset({"contract"}))
    told = frozenset({"name", "relationship_end"})
    ended = CustomerRecord(name="Virtanen Oy", number="1001", relationship_end=date(2026, 11, 30), told=told)
    assert world.archive.customers.import_customers("system:feed", [ended]).written == 1
    assert row(world, receipt.id).destroy_at < receipt.destroy_at
    world.archive.customers.import_customers("system:feed", [replace(ended, relationship_end=None)])
    assert row(world, receipt.id).destroy_at == receipt.destroy_at
    assert [act for act, _ in acts(world, receipt.id)].count(Act.RETENTION_MOVED) == 2


def test_an_objection_to_training_is_for_good_and_for_what_comes(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt = world.store("a")
    world.later(days=1)
    at = world.clock.now()
    events, who = world.archive.retention_events, customer_id(world)
    assert events.object_to_training(handler, reason="by e-mail", customer_id=who).moved == 1
    assert events.object_to_training(handler, reason="again", customer_id=who).moved == 0
    assert row(world, receipt.id).live_purposes(at) == {"verification"}
    assert row(world, receipt.id).destroy_at == receipt.destroy_at  # verification goes on
    world.later(days=1)
    later = world.store("b")
    assert row(world, later.id).live_purposes(world.clock.now()) == {"verification"}
    world.later(days=3)
    world.archive.retention_desk.apply()
    assert row(world, later.id).live_purposes(world.clock.now()) == {"verification"}


def test_the_person_in_one_message_objects(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt, other = world.store("a"), world.store("b")
    world.archive.retention_events.object_to_training(handler, reason="in the call", communication_id=receipt.id)
    assert row(world, receipt.id).live_purposes(world.clock.now()) == {"verification"}
    assert row(world, other.id).live_purposes(world.clock.now()) == {"verification", "training"}
    with pytest.raises(InvalidInput, match="either"):
        world.archive.retention_events.object_to_training(handler, reason="x")
    with pytest.raises(NotFound):
        world.archive.retention_events.object_to_training(handler, reason="x", communication_id="nobody")


def test_independent_events_in_any_order_give_the_same_end(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    events, who = world.archive.retention_events, customer_id(world)
    ids = [world.store(f"n{n}", case_ref=f"T-{n}", tags=frozenset({"contract"})).id for n in range(6)]
    world.later(days=20)
    moment = world.clock.now() - timedelta(days=2)
    ends = set()
    for number, order in enumerate(permutations(("case", "training", "mark"))):
        for step in order:
            if step == "case":
                events.case_closed(handler, f"T-{number}", moment)
            elif step == "training":
                events.object_to_training(handler, reason="x", communication_id=ids[number])
            else:
                world.archive.retention.do_not_keep(handler, ids[number])
                world.archive.retention.keep_after_all(handler, ids[number])
        found = row(world, ids[number])
        ends.add((found.destroy_at, tuple((p.purpose, p.needed_until) for p in found.purposes)))
    assert len(ends) == 1
    events.relationship_ended(handler, who, date(2026, 12, 1))
    assert len({row(world, one).destroy_at for one in ids}) == 1


def test_an_event_does_not_cover_up_an_edited_row(world: World) -> None:
    handler = world.actor(Role.PRIVACY_HANDLER)
    receipt = world.store("a", case_ref="T-1")
    with world.archive.database.begin() as unit:
        found = unit.communications.get(receipt.id)
        unit.communications.set_retention(
            receipt.id,
            destroy_at=datetime(2026, 12, 1, tzinfo=UTC),
            purposes=found.purposes,
            policy_version=found.policy_version,
        )
        unit.commit()
    assert world.archive.retention_events.case_closed(handler, "T-1").concerned == 0
    assert Act.STOPPED in {act for act, _ in acts(world, receipt.id)}
    with pytest.raises(Conflict, match="edited"):
        world.archive.retention.do_not_keep(handler, receipt.id)
    assert row(world, receipt.id).destroy_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert world.archive.retention_desk.explain(receipt.id).differs
