"""The auditor's views of the log, its exports, and the end of its entries."""

from __future__ import annotations

import csv
import io
import json

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import AuditFailure, Forbidden
from recvault.domain.log_query import LogQuery
from recvault.domain.purpose import Purpose
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


def listened(world: World) -> str:
    """A call that the verifier opened and heard."""
    stored = world.store("call-1").id
    opened = world.archive.retrieval.open(
        world.actor(Role.VERIFIER), stored, Purpose.VERIFICATION, case_ref="T-7", reason=None
    )
    assert opened.secret
    return stored


def ask(world: World, **query: object) -> list[Act]:
    found = world.archive.log_views.find(world.actor(Role.AUDITOR), LogQuery(**query))  # type: ignore[arg-type]
    return [one.entry.act for one in found]


def test_by_person_thing_customer_act_purpose_and_time(world: World) -> None:
    started = world.clock.now()
    world.later(hours=1)
    stored = listened(world)
    (customer,) = world.archive.customers.search(world.actor(Role.PRIVACY_HANDLER), "1001")
    verifier = world.actor(Role.VERIFIER).id
    assert ask(world, actor=verifier) == [Act.OPENED]
    assert ask(world, target=stored) == [Act.LOG_READ, Act.OPENED, Act.STORED]  # that one looked is about it, too
    assert set(ask(world, customer_id=customer.id)) >= {Act.OPENED, Act.STORED, Act.CUSTOMER_CHANGED}
    assert ask(world, acts=frozenset({Act.OPENED})) == [Act.OPENED]
    assert ask(world, purpose="verification") == [Act.OPENED]
    assert Act.OPENED not in ask(world, until=world.clock.now())
    assert Act.CUSTOMER_CHANGED not in ask(world, since=started.replace(minute=30))


def test_pages_follow_one_another(world: World) -> None:
    for number in range(5):
        world.store(f"call-{number}")
    query = LogQuery(acts=frozenset({Act.STORED}), limit=2)
    auditor, seen = world.actor(Role.AUDITOR), []
    while page := world.archive.log_views.find(auditor, query):
        seen += [one.entry.id for one in page]
        last = page[-1].entry
        query = LogQuery(acts=query.acts, limit=2, after=(last.at, last.id))
    assert len(seen) == len(set(seen)) == 5


def test_reading_is_told_and_is_for_auditors_alone(world: World) -> None:
    for role in Role:
        if role not in (Role.AUDITOR, Role.SOURCE):
            with pytest.raises(Forbidden):
                world.archive.log_views.find(world.actor(role), LogQuery())
            with pytest.raises(Forbidden):
                world.archive.log_views.export(world.actor(role), LogQuery(), "csv")
    assert ask(world, acts=frozenset({Act.LOG_READ})) == [Act.LOG_READ]
    (told, *_) = world.archive.log_views.find(world.actor(Role.AUDITOR), LogQuery(acts=frozenset({Act.LOG_READ})))
    assert told.entry.detail == {"by": ["acts"]}


def test_names_are_shown_on_demand_and_that_is_told(world: World) -> None:
    listened(world)
    auditor = world.actor(Role.AUDITOR)
    found = world.archive.log_views.find(auditor, LogQuery(acts=frozenset({Act.OPENED})))
    verifier = world.actor(Role.VERIFIER).id
    assert world.archive.log_views.names(auditor, found) == {verifier: "verifier"}
    assert ask(world, acts=frozenset({Act.LOG_NAMES_SHOWN})) == [Act.LOG_NAMES_SHOWN]


def test_files_hold_every_entry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from recvault.services import log_views

    monkeypatch.setattr(log_views, "MOST", 2)  # several portions
    stored = listened(world)
    world.archive.audit.sequence()
    auditor, query = world.actor(Role.AUDITOR), LogQuery(target=stored)
    lines = [json.loads(line) for line in world.archive.log_views.export(auditor, query, "jsonl")]
    assert [line["act"] for line in lines] == [Act.LOG_EXPORTED, Act.OPENED, Act.STORED]
    assert all(line["index"] is not None for line in lines[1:])
    assert "T-7" in lines[1]["detail"].values()
    table = list(csv.DictReader(io.StringIO("".join(world.archive.log_views.export(auditor, query, "csv")))))
    assert [row["act"] for row in table][-2:] == [Act.OPENED, Act.STORED]
    assert json.loads(table[-2]["detail"]) == lines[1]["detail"]
    empty = "".join(world.archive.log_views.export(auditor, LogQuery(actor="nobody"), "csv"))
    assert empty.strip().split(",")[0] == "index"


# --- the log's own end


def entries(world: World) -> list[Act]:
    with world.archive.database.read() as unit:
        return [item.entry.act for item in unit.audit.read(0, 1000)]


def test_entries_end_and_the_tree_still_holds(world: World) -> None:
    listened(world)
    world.later(days=2 * 365 + 10)
    world.archive.purge.run("worker")
    world.archive.audit.sequence()
    before = world.archive.audit.verify()
    assert world.archive.log_life.run() > 5
    world.archive.audit.sequence()
    left = entries(world)
    assert Act.OPENED not in left and Act.STORED not in left
    assert {Act.SHREDDED, Act.ENTRIES_ENDED} <= set(left)
    after = world.archive.audit.verify()
    assert after.size == before.size + 1
    assert world.archive.log_life.run() == 0


def test_how_a_call_came_in_stays_while_it_is_stored(world: World) -> None:
    stored = listened(world)
    review = (world.clock.now().date()).replace(year=world.clock.now().year + 5)
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER), reason="a claim", review_on=review, communication_id=stored
    )
    world.later(days=2 * 365 + 10)
    world.archive.audit.sequence()
    world.archive.log_life.run()
    world.archive.audit.sequence()
    left = entries(world)
    assert Act.STORED in left and Act.OPENED not in left
    world.archive.audit.verify()


def test_an_entry_deleted_without_a_word_is_found(world: World) -> None:
    listened(world)
    world.later(days=2 * 365 + 10)
    world.archive.audit.sequence()
    world.archive.log_life.run()
    world.archive.audit.sequence()
    with world.archive.database.begin() as unit:
        (newest,) = unit.audit.search(LogQuery(acts=frozenset({Act.ENTRIES_ENDED}), limit=1))
        assert newest.index is not None
        unit.audit.end([newest.entry.id], said_in=newest.entry.id)
        unit.commit()
    with pytest.raises(AuditFailure):
        world.archive.audit.verify()


def test_nothing_ends_while_destruction_is_suspended(world: World) -> None:
    listened(world)
    world.later(days=2 * 365 + 10)
    world.archive.audit.sequence()
    world.archive.suspensions.suspend(world.actor(Role.PRIVACY_HANDLER), reason="an audit is going on", days=3)
    assert world.archive.log_life.run() == 0
    assert Act.OPENED in entries(world)
