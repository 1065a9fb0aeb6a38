"""Overrides, ended purposes and the facts of rows on all three databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.durations import parse
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.retention.endings import EndingKind, PurposeEnding
from recvault.domain.retention.statutes import Basis, Override, Statute
from tests.contract import database_kit as kit
from tests.contract.database_kit import CUSTOMER, DAY, NOW, OTHER_CUSTOMER, add, communication, name

STATUTE = Statute(
    code="kirjanpito",
    name="Tositteet ja kirjeenvaihto",
    keep=parse("P6Y"),
    basis=Basis.FINANCIAL_YEAR,
    source="1336/1997, 2:10",
)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def override(number: int, **changes: object) -> Override:
    made = Override(
        id=f"override-{number}",
        communication_id=None,
        customer_id=CUSTOMER.id,
        statute=STATUTE,
        year_end="12-31",
        reason="tilintarkastaja pyysi",
        placed_by="user-1",
        approved_by="user-2",
        placed_at=NOW + timedelta(minutes=number),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ending(number: int, **changes: object) -> PurposeEnding:
    made = PurposeEnding(
        id=f"ending-{number}",
        purpose="training",
        kind=EndingKind.PERSON,
        customer_id=None,
        reason="ei tarvita",
        placed_by="user-1",
        approved_by="user-2",
        placed_at=NOW + timedelta(minutes=number),
        ends_at=NOW + 14 * DAY,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_overrides_cover_directly_and_through_the_customer(database: SqlDatabase) -> None:
    add(database, communication(1), communication(2, customer_id=OTHER_CUSTOMER.id), communication(3))
    of_one = override(2, communication_id=name(2), customer_id=None, year_end=None)
    with database.begin() as unit:
        for one in (override(1), of_one):
            unit.retention.add_override(one)
        with pytest.raises(Conflict):
            unit.retention.add_override(override(1))
    with database.begin() as unit:
        for one in (override(1), of_one):
            unit.retention.add_override(one)
        unit.commit()
    with database.read() as unit:
        assert unit.retention.override("override-1") == override(1)
        assert unit.retention.overrides() == [override(1), of_one]
        assert unit.retention.overrides_of_customer(CUSTOMER.id) == (override(1),)
        assert unit.retention.overrides_covering([name(1), name(2), name(9)]) == {
            name(1): (override(1),),
            name(2): (of_one,),
        }
        with pytest.raises(NotFound):
            unit.retention.override("nothing")


def test_an_override_that_was_ended_stays_and_covers_nothing(database: SqlDatabase) -> None:
    add(database, communication(1))
    with database.begin() as unit:
        unit.retention.add_override(override(1))
        unit.retention.end_override("override-1", by="user-3", at=NOW + DAY)
        unit.commit()
    with database.begin() as unit:
        assert unit.retention.overrides() == []
        assert unit.retention.overrides_covering([name(1)]) == {}
        assert unit.retention.overrides_of_customer(CUSTOMER.id) == ()
        assert unit.retention.overrides(active=False) == [override(1, ended_at=NOW + DAY, ended_by="user-3")]
        with pytest.raises(Conflict, match="first end stands"):
            unit.retention.end_override("override-1", by="user-3", at=NOW)
    with database.begin() as unit, pytest.raises(NotFound):
        unit.retention.end_override("nothing", by="user-3", at=NOW)


def test_endings_cover_the_chosen_and_the_customers(database: SqlDatabase) -> None:
    add(database, communication(1), communication(2, customer_id=None), communication(3, customer_id=None))
    objection = ending(1, kind=EndingKind.OBJECTION, customer_id=CUSTOMER.id, approved_by=None, ends_at=NOW)
    with database.begin() as unit:
        unit.retention.add_ending(objection, [])
        unit.retention.add_ending(ending(2), [name(2), name(1), name(2)])
        unit.commit()
    with database.read() as unit:
        assert unit.retention.ending("ending-2") == ending(2)
        assert unit.retention.ending_items("ending-2") == [name(1), name(2)]
        assert unit.retention.endings() == [objection, ending(2)]
        assert unit.retention.endings(open_at=NOW) == [ending(2)]
        assert unit.retention.endings(open_at=NOW + 14 * DAY) == []
        assert unit.retention.endings_of_customer(CUSTOMER.id) == (objection,)
        assert unit.retention.endings_covering([name(1), name(2), name(3)]) == {
            name(1): (objection, ending(2)),
            name(2): (ending(2),),
        }
        with pytest.raises(NotFound):
            unit.retention.ending("nothing")


def test_a_withdrawn_ending_covers_nothing(database: SqlDatabase) -> None:
    add(database, communication(1))
    with database.begin() as unit:
        unit.retention.add_ending(ending(1), [name(1)])
        unit.retention.withdraw_ending("ending-1", by="user-3", at=NOW + DAY)
        unit.commit()
    with database.begin() as unit:
        assert unit.retention.endings_covering([name(1)]) == {}
        assert unit.retention.endings(open_at=NOW) == []
        assert unit.retention.ending("ending-1").withdrawn_by == "user-3"
        with pytest.raises(Conflict, match="withdrawn before"):
            unit.retention.withdraw_ending("ending-1", by="user-3", at=NOW)
    with database.begin() as unit, pytest.raises(NotFound):
        unit.retention.withdraw_ending("nothing", by="user-3", at=NOW)


def test_cases_and_their_closing(database: SqlDatabase) -> None:
    add(database, communication(1), communication(2), communication(3, case_ref="CASE-2"))
    with database.begin() as unit:
        assert unit.retention.ids_of_case("CASE-1") == [name(1), name(2)]
        unit.retention.set_case_closed([name(1), name(3)], NOW + 5 * DAY)
        unit.commit()
    with database.read() as unit:
        closed = [row.case_closed_at for row in unit.communications.find([name(n) for n in (1, 2, 3)])]
    assert closed == [NOW + 5 * DAY, NOW + DAY, NOW + 5 * DAY]


def test_pages_of_facts_are_those_of_the_rows(database: SqlDatabase) -> None:
    rows = [
        communication(1),
        communication(2, ended_at=None, case_ref=None, tags=frozenset(), purposes=(), answered=None),
        communication(3, do_not_keep_at=NOW, conflict_of=name(1), length=0, relationship_ended_at=NOW - DAY),
        communication(4, purposes=(kit.purpose("verification", 30, ended_at=NOW),)),
    ]
    add(database, *rows)
    with database.read() as unit:
        first = unit.retention.stored_facts(3)
        rest = unit.retention.stored_facts(3, after=first[-1].id)
        assert unit.retention.stored_facts(3, after=rest[-1].id) == []
    assert [one.facts for one in (*first, *rest)] == [row.facts() for row in rows]
    assert [(one.id, one.destroy_at, one.policy_version) for one in (*first, *rest)] == [
        (row.id, row.destroy_at, row.policy_version) for row in rows
    ]


def test_rows_under_other_versions_of_the_policy(database: SqlDatabase) -> None:
    add(database, communication(1), communication(2, policy_version="2026-01"), communication(3), communication(4))
    with database.read() as unit:
        assert unit.policies.active_version() == "2026-01"
        assert unit.retention.ids_under_other_policies("2026-01", 2) == [name(1), name(3)]
        assert unit.retention.ids_under_other_policies("2026-01", 2, after=name(3)) == [name(4)]
        assert unit.retention.ids_under_other_policies("2025-12", 5) == [name(2)]
