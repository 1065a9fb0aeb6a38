"""Searching: every filter, what the actor may see, and paging that deletions do not disturb."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.communication import Channel, Direction, SearchQuery, State, VisibleSet
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, MARK, NOW, communication, name, purpose

EVERYTHING = (VisibleSet(),)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def found(database: SqlDatabase, visible: tuple[VisibleSet, ...] = EVERYTHING, **query: Any) -> list[int]:
    """The numbers found, in the order found."""
    numbers = {name(number): number for number in range(100)}
    with database.read() as unit:
        return [numbers[one.id] for one in unit.communications.search(SearchQuery(**query), visible, NOW)]


def fill(database: SqlDatabase) -> None:
    kit.add(
        database,
        communication(1),
        communication(2, customer_id="customer-2", contact_point_id="point-2", agent_id=None, team="myynti"),
        communication(3, customer_id=None, contact_point_id=None, queue="tekniikka", channel=Channel.EMAIL),
        communication(4, direction=Direction.OUTBOUND, tags=frozenset({"muu"}), case_ref=None),
        communication(5, attention=frozenset({MARK}), purposes=(purpose("verification", -1),)),
        communication(6, purposes=(purpose("verification", 9, ended_at=NOW), purpose("training", 9))),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"limit": 2}, [6, 5]),
        ({"customer_id": "customer-1"}, [6, 5, 4, 1]),
        ({"contact_point_ids": ("point-2", "point-1")}, [6, 5, 4, 2, 1]),
        ({"contact_point_ids": ("point-2",)}, [2]),
        ({"contact_point_ids": ()}, []),
        ({"agent_id": "agent-1", "limit": 3}, [6, 5, 4]),
        ({"team": "myynti"}, [2]),
        ({"queue": "tekniikka"}, [3]),
        ({"channel": Channel.EMAIL}, [3]),
        ({"direction": Direction.OUTBOUND}, [4]),
        ({"tag": "muu"}, [4]),
        ({"tag": "vip", "customer_id": "customer-2"}, [2]),
        ({"case_ref": "CASE-1"}, [6, 5, 3, 2, 1]),
        ({"started_from": NOW + timedelta(minutes=5)}, [6, 5]),
        ({"started_until": NOW + timedelta(minutes=2)}, [1]),
        ({"started_from": NOW + timedelta(minutes=2), "started_until": NOW + timedelta(minutes=4)}, [3, 2]),
        ({"live_purpose": "verification"}, [4, 3, 2, 1]),
        ({"live_purpose": "training"}, [6, 4, 3, 2, 1]),
        ({"live_purpose": "marketing"}, []),
        ({"state": State.DESTROYING}, []),
        ({"state": None}, [6, 5, 4, 3, 2, 1]),
        ({"needs_attention": True}, [5]),
        ({"needs_attention": False}, [6, 4, 3, 2, 1]),
        ({"unmatched": True}, [3]),
        ({"unmatched": False}, [6, 5, 4, 2, 1]),
    ],
)
def test_filters(database: SqlDatabase, query: dict[str, Any], expected: list[int]) -> None:
    fill(database)
    assert found(database, **query) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ((), []),
        ((VisibleSet(purpose="verification"),), [4, 3, 2, 1]),
        ((VisibleSet(teams=frozenset({"myynti"})),), [2]),
        ((VisibleSet(teams=frozenset()),), []),
        ((VisibleSet(queues=frozenset({"tekniikka", "muu"})),), [3]),
        ((VisibleSet(agent_id="agent-1", purpose="verification"),), [4, 3, 1]),
        ((VisibleSet(released_to="user-1"),), [6]),
        ((VisibleSet(released_to="user-1", purpose="verification"),), []),
        (
            (
                VisibleSet(purpose="verification", teams=frozenset({"myynti"})),
                VisibleSet(purpose="training", queues=frozenset({"tekniikka"})),
                VisibleSet(purpose="training", released_to="user-1"),
            ),
            [6, 3, 2],
        ),
    ],
)
def test_only_what_may_be_seen(database: SqlDatabase, visible: tuple[VisibleSet, ...], expected: list[int]) -> None:
    fill(database)
    with database.begin() as unit:
        unit.accounts.release_to(name(6), "user-1", NOW + DAY)
        unit.accounts.release_to(name(5), "user-1", NOW)
        unit.commit()
    assert found(database, visible) == expected


def test_what_is_found_is_whole(database: SqlDatabase) -> None:
    fill(database)
    with database.read() as unit:
        assert unit.communications.search(SearchQuery(limit=1, team="laskutus"), EVERYTHING, NOW) == [
            communication(6, purposes=(purpose("verification", 9, ended_at=NOW), purpose("training", 9)))
        ]


def test_pages_stay_whole_while_rows_are_destroyed(database: SqlDatabase) -> None:
    same_moment = NOW + timedelta(seconds=1)
    kit.add(
        database,
        *(communication(n, started_at=same_moment if n % 2 else NOW, streams=()) for n in range(30)),
    )
    expected = [*range(29, 0, -2), *range(28, -1, -2)]
    seen: list[int] = []
    after = None
    while True:
        page = found(database, after=after, limit=7)
        if not page:
            break
        seen += page
        with database.begin() as unit:
            last = unit.communications.get(name(page[-1]))
            after = (last.started_at, last.id)
            unit.commit()
        destroy(database, page[::2])
    assert seen == expected
    assert found(database, limit=100) == [n for i, n in enumerate(expected) if i % 7 % 2]


def destroy(database: SqlDatabase, numbers: list[int]) -> None:
    with database.begin() as unit:
        later = NOW + 400 * DAY
        for item in unit.communications.claim_due(now=later, limit=100, worker="w", lease_until=later + DAY):
            if item.communication_id in {name(number) for number in numbers}:
                unit.communications.shred([item], worker="w")
                unit.communications.remove([item], worker="w")
            else:
                unit.communications.release_claims([item.communication_id], "w")
        unit.commit()


@pytest.mark.parametrize("text", ["x' OR '1'='1", "%", "\\", '"'])
def test_a_filter_is_a_value_never_a_statement(database: SqlDatabase, text: str) -> None:
    fill(database)
    assert found(database, tag=text) == []
    assert found(database, customer_id=text) == []
    assert found(database, (VisibleSet(teams=frozenset({text})),)) == []
