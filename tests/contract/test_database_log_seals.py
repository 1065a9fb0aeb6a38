"""Entries under seals: what stands in the rows, what finds them again, and what earlier versions left in clear."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from recvault.adapters.database import SqlDatabase, connect
from recvault.adapters.database.tables import audit_entries
from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.errors import AuditFailure
from recvault.domain.log_query import LogQuery
from recvault.services.log_verify import LogVerifier
from recvault.services.sequencer import Sequencer
from tests.contract import database_kit as kit
from tests.contract.database_kit import NOW, name
from tests.support.schema import give_schema

MONTHS = tuple(NOW + timedelta(days=31 * number) for number in range(3))


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    yield from kit.migrated(request.param, request, tmp_path)


def entry(number: int, at: datetime = NOW, **changes: object) -> Entry:
    made = Entry(
        id=f"entry-{number}",
        at=at,
        actor="user-1",
        act=Act.OPENED,
        target=name(0),
        purpose="verification",
        detail={"ä": [number, None]},
        salt=bytes([number]) * 16,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def append(database: SqlDatabase, *entries: Entry) -> None:
    with database.begin() as unit:
        unit.audit.append([(one, leaf_data(one)) for one in entries])
        unit.commit()


def written_in_clear(database: SqlDatabase, *entries: Entry) -> None:
    """As the version before wrote them."""
    with database.schema_work() as connection:
        for one in entries:
            clear = {of: getattr(one, of) for of in ("id", "at", "actor", "target", "purpose", "detail", "salt")}
            connection.execute(audit_entries.insert().values(**clear, act=one.act.value, leaf=leaf_data(one)))


def found(database: SqlDatabase, **query: object) -> list[str]:
    with database.read() as unit:
        return [one.entry.id for one in unit.audit.search(LogQuery(**query))]  # type: ignore[arg-type]


def test_a_row_tells_what_was_done_when_and_no_more(database: SqlDatabase) -> None:
    """Many and few entries take different ways into the database."""
    few, many = [entry(1)], [entry(number) for number in range(2, 30)]
    append(database, *few)
    append(database, *many)
    with database.schema_reading() as connection:
        rows = connection.execute(select(audit_entries).order_by(audit_entries.c.number, audit_entries.c.id)).all()
    for row in rows:
        assert (row.actor, row.target, row.purpose, row.detail, row.salt) == (None, None, None, None, None)
        assert (row.key_id, row.act) == ("log-entries/2026-11", Act.OPENED.value)
        assert b"user-1" not in row.sealed
    assert len({row.actor_tag for row in rows}) == 1
    assert len({row.sealed[:12] for row in rows}) == len(rows)  # no nonce twice
    with database.read() as unit:
        assert unit.audit.find_all([one.id for one in few + many]) == {one.id: one for one in few + many}


def test_one_person_has_other_tags_in_another_month_and_is_found_over_all(database: SqlDatabase) -> None:
    kit.prepare(database)
    kit.add(database, kit.communication(0), kit.communication(1))
    append(database, *(entry(number, at) for number, at in enumerate(MONTHS)))
    append(database, entry(5, MONTHS[1], actor="user-2", target=name(1), purpose="training"))
    append(database, entry(6, MONTHS[2], act=Act.STORED, target=kit.CUSTOMER.id, purpose=None))
    with database.schema_reading() as connection:
        rows = {row.id: row for row in connection.execute(select(audit_entries)).all()}
    assert len({rows[f"entry-{number}"].actor_tag for number in range(3)}) == 3
    assert rows["entry-6"].key_id == "log-kept/2027-01"
    assert found(database, actor="user-1") == ["entry-6", "entry-2", "entry-1", "entry-0"]
    assert found(database, actor="user-1", limit=2, until=MONTHS[2]) == ["entry-1", "entry-0"]
    assert found(database, target=name(1)) == ["entry-5"]
    assert found(database, purpose="training") == ["entry-5"]
    assert found(database, actor="user-1", since=MONTHS[1], acts=frozenset({Act.OPENED})) == ["entry-2", "entry-1"]
    assert found(database, customer_id=kit.CUSTOMER.id) == ["entry-6", "entry-2", "entry-5", "entry-1", "entry-0"]
    assert found(database, customer_id=kit.CUSTOMER.id, limit=2) == ["entry-6", "entry-2"]
    assert found(database, customer_id="nobody") == []


def test_clear_entries_are_read_and_sealed_in_portions_while_acts_go_on(database: SqlDatabase) -> None:
    old = [entry(number, MONTHS[number % 2], target=None if number == 3 else name(0)) for number in range(5)]
    written_in_clear(database, *old)
    assert Sequencer(database=database).run() == 5
    append(database, entry(7, MONTHS[1]))
    assert LogVerifier(database=database).verify().size == 5
    assert set(found(database, actor="user-1")) == {*(one.id for one in old), "entry-7"}
    with database.begin() as unit:
        assert unit.audit.seal_clear(2) == 2
        unit.commit()
    with database.begin() as unit:  # interrupted: nothing of this portion stays
        assert unit.audit.seal_clear(2) == 2
    with database.read() as unit:
        assert unit.audit.any_under("log-entries/2026-12")
    assert set(found(database, target=name(0))) == {"entry-0", "entry-1", "entry-2", "entry-4", "entry-7"}
    with database.begin() as unit:
        assert [unit.audit.seal_clear(2) for _ in range(3)] == [2, 1, 0]
        unit.commit()
    with database.schema_reading() as connection:
        assert not connection.execute(select(audit_entries).where(audit_entries.c.salt.is_not(None))).all()
    assert Sequencer(database=database).run() == 1
    assert LogVerifier(database=database).verify().size == 6
    with database.read() as unit:
        assert list(unit.audit.find_all([one.id for one in old]).values()) == old
        assert not unit.audit.any_under("log-kept/2026-11")


def test_the_raw_text_of_a_clear_entry_is_what_its_leaf_was_taken_from(database: SqlDatabase) -> None:
    """Whatever a text holds: the two databases write it as Python does."""
    odd = "".join(map(chr, range(1, 32))) + '\x7f"\\/äö€😀\u2028'
    strange = entry(1, actor=odd, target=None, detail={odd: [odd, 1, None, True]})
    written_in_clear(database, strange, entry(2, NOW.replace(microsecond=7)))
    Sequencer(database=database).run()
    with database.read() as unit:
        leaves = {index: hashlib.sha256(b"\0" + said).digest() for index, said in unit.audit.raw(0, 9)}
        assert leaves == {one.index: one.leaf for one in unit.audit.read(0, 9)}


def test_without_a_keyring_nothing_is_written_and_nothing_sealed_is_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/archive.db"
    database = kit.open_database(url)
    give_schema(database)
    append(database, entry(1))
    database.close()
    alone = connect(url, pool_size=2, connect_timeout_seconds=5, statement_timeout_seconds=10)
    with pytest.raises(AuditFailure, match="with its keyring"):
        append(alone, entry(2))
    with alone.read() as unit, pytest.raises(AuditFailure, match="with its keyring"):
        unit.audit.find("entry-1")
    alone.close()


def test_a_seal_put_beside_another_entry_does_not_open(database: SqlDatabase) -> None:
    append(database, entry(1), entry(2))
    Sequencer(database=database).run()
    with database.schema_work() as connection:
        (first,) = connection.execute(select(audit_entries.c.sealed).where(audit_entries.c.id == "entry-1")).scalars()
        connection.execute(update(audit_entries).where(audit_entries.c.id == "entry-2").values(sealed=first))
    with pytest.raises(AuditFailure, match=r"entry 1 .* its seal does not open"):
        LogVerifier(database=database).verify()
