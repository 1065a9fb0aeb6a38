"""What an authorisation covers: listed communications, or a customer's in a time; a search is narrowed to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from recvault.domain.communication import SearchQuery
from recvault.domain.coverage import LISTED_MAXIMUM, Coverage, read_coverage
from recvault.domain.errors import InvalidInput
from tests.support.archives import make_world

NOON = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"communications": frozenset({"a"}), "customer_id": "c"},
        {"communications": frozenset({"a"}), "started_from": NOON},
        {"communications": frozenset(str(number) for number in range(LISTED_MAXIMUM + 1))},
        {"customer_id": "c", "started_from": NOON, "started_until": NOON},
        {"started_from": NOON},
    ],
)
def test_it_names_one_thing_and_never_everything(named: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Coverage(**named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "covers",
    [
        Coverage(communications=frozenset({"a", "b"})),
        Coverage(customer_id="c"),
        Coverage(customer_id="c", started_from=NOON, started_until=NOON + DAY),
    ],
)
def test_it_reads_back_as_it_was_written(covers: Coverage) -> None:
    assert read_coverage(covers.written()) == covers


@pytest.mark.parametrize(
    "written", [None, "a", {}, {"communications": "a"}, {"customer_id": 7}, {"customer_id": "c", "from": "noon"}]
)
def test_what_was_not_written_so_is_not_read(written: object) -> None:
    with pytest.raises(InvalidInput):
        read_coverage(written)


def test_a_search_is_narrowed_and_never_widened() -> None:
    covers = Coverage(customer_id="c", started_from=NOON, started_until=NOON + 2 * DAY)
    wide = covers.narrowed(SearchQuery())
    assert (wide.customer_id, wide.started_from, wide.started_until) == ("c", NOON, NOON + 2 * DAY)
    inside = covers.narrowed(SearchQuery(started_from=NOON + DAY, started_until=NOON + 9 * DAY))
    assert (inside.started_from, inside.started_until) == (NOON + DAY, NOON + 2 * DAY)
    assert covers.narrowed(SearchQuery(customer_id="another")).ids == frozenset()
    listed = Coverage(communications=frozenset({"a"})).narrowed(SearchQuery(customer_id="another"))
    assert (listed.ids, listed.customer_id) == (frozenset({"a"}), "another")


def test_a_customers_communications_of_a_time_and_no_other() -> None:
    world = make_world()
    call = world.store("call-1").id
    with world.archive.database.read() as unit:
        (found,) = unit.communications.find([call])
    row = replace(found, customer_id="c")
    assert Coverage(customer_id="c", started_from=row.started_at).contains(row)
    assert not Coverage(customer_id="c", started_until=row.started_at).contains(row)
    assert not Coverage(customer_id="c", started_from=row.started_at + DAY).contains(row)
    assert not Coverage(customer_id="another").contains(row)
    assert not Coverage(communications=frozenset({"another"})).contains(row)
