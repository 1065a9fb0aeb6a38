"""Keys of the log: when they die no copy of the database opens what ended; without one nothing is done, and that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Row, select

from recvault.adapters.database.log_seals import LogSeals, micros_of, opened
from recvault.adapters.database.tables import audit_entries
from recvault.domain.access import Role
from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.errors import AuditFailure, KeyDestroyed, Tampered
from recvault.domain.log_keys import coming, is_over, log_key, month_of
from recvault.domain.log_query import LogQuery
from recvault.domain.ports.keyring import KeyKind
from tests.support.archives import Parts, World, make_world, memory_parts

YEARS = 2 * 365 + 40


@pytest.fixture
def parts() -> Parts:
    return memory_parts()


@pytest.fixture
def world(parts: Parts) -> Iterator[World]:
    made = make_world(parts=parts)
    with made.archive:
        yield made


def rows(parts: Parts) -> list[Row[tuple[object, ...]]]:
    with parts.database.schema_reading() as connection:
        return list(connection.execute(select(audit_entries)).all())


def test_a_copy_of_the_database_and_the_keyring_of_today_open_nothing_of_a_month_that_ended(
    world: World, parts: Parts
) -> None:
    kept = world.store("call").id
    world.archive.audit.sequence()
    copy = rows(parts)
    review = (world.clock.now() + timedelta(days=5 * 365)).date()
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER), reason="a claim", review_on=review, communication_id=kept
    )
    world.archive.audit.sequence()
    month = f"{world.clock.now():%Y-%m}"
    assert world.archive.log_keys.end() == []
    world.later(days=YEARS)
    assert world.archive.log_keys.end() == []  # its entries stand yet
    world.archive.log_life.run()
    assert world.archive.log_keys.end() == [f"log-entries/{month}"]  # the other series lives with the communication
    assert world.archive.log_keys.end() == []
    today = LogSeals(keyring=parts.keyring, entropy=parts.entropy)
    dead = [row for row in copy if row.act != Act.STORED]
    assert dead
    for row in dead:
        with pytest.raises(AuditFailure, match="was destroyed when its entries had ended"):
            opened(row, today)
    assert [opened(row, today).target for row in copy if row.act == Act.STORED] == [kept]
    world.archive.audit.sequence()
    world.archive.audit.verify()
    told = world.archive.log_views.find(world.actor(Role.AUDITOR), LogQuery(target=f"log-entries/{month}"))
    assert Act.KEY_DESTROYED in {one.entry.act for one in told}


def test_no_key_dies_while_destruction_is_suspended(world: World) -> None:
    world.archive.audit.sequence()
    world.later(days=YEARS)
    world.archive.log_life.run()
    world.archive.suspensions.suspend(world.actor(Role.PRIVACY_HANDLER), reason="an audit is going on", days=3)
    assert world.archive.log_keys.end() == []


def test_keys_are_made_ahead(parts: Parts) -> None:
    with make_world(parts=parts).archive as archive:
        archive.log_keys.prepare()
        made = {one.id for one in parts.keyring.list("log-")}
        assert made == set(coming(archive.clock.now()))
        archive.log_keys.prepare()
        assert {one.id for one in parts.keyring.list("log-")} == made


def test_without_a_key_nothing_is_done(world: World, parts: Parts) -> None:
    before = len(rows(parts))
    world.later(days=70)
    month = f"{world.clock.now():%Y-%m}"
    for series in ("log-entries", "log-kept"):
        parts.keyring.ensure(f"{series}/{month}", KeyKind.MAC)
    parts.keyring.destroy([f"log-entries/{month}", f"log-kept/{month}"])
    with pytest.raises(KeyDestroyed):
        world.store("another")
    with pytest.raises(KeyDestroyed):
        world.archive.audit.note(actor="system:test", act=Act.VIEWED)
    assert len(rows(parts)) == before


def test_a_keyring_older_than_the_database_is_told(world: World, parts: Parts) -> None:
    world.archive.audit.sequence()
    empty = memory_parts().keyring
    parts.database.seal_log(empty, parts.entropy)
    with pytest.raises(AuditFailure, match="put back a newer copy"):
        world.archive.audit.verify()


def test_which_key_an_entry_lies_under() -> None:
    at = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert log_key(Act.OPENED, at) == "log-entries/2026-12"
    assert log_key(Act.STORED, at + timedelta(hours=1)) == "log-kept/2027-01"
    assert log_key(Act.ENTRIES_ENDED, at) == "log-counts/2026-12"
    assert month_of("log-kept/2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert not is_over("log-kept/2026-12", datetime(2027, 1, 1, 23, tzinfo=UTC))
    assert is_over("log-kept/2026-12", datetime(2027, 1, 2, tzinfo=UTC))
    assert [one.rpartition("/")[2] for one in coming(at)] == ["2026-12"] * 3 + ["2027-01"] * 3


def test_a_seal_is_for_its_entry_alone(parts: Parts) -> None:
    seals = LogSeals(keyring=parts.keyring, entropy=parts.entropy)
    made = Entry(
        id="entry", at=datetime(2026, 11, 22, tzinfo=UTC), actor="user", act=Act.VIEWED, target=None, purpose=None,
        detail={}, salt=b"s" * 16,
    )  # fmt: skip
    row = seals.row(made, leaf_data(made))
    beside = (made.id, made.act.value, micros_of(made.at), row["key_id"], row["target"])
    tags = (row["actor_tag"], row["target_tag"], row["purpose_tag"])
    assert seals.open(row["sealed"], *beside, *tags).startswith(made.salt)
    other = seals.row(replace(made, actor="other"), b"")
    with pytest.raises(Tampered, match="does not open"):
        seals.open(row["sealed"], *beside, other["actor_tag"], *tags[1:])
