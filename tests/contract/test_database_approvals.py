"""What the database promises about proposals, about what stops destruction, and about holds on a search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.brakes import Suspension
from recvault.domain.communication import SearchQuery, VisibleSet
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.holds import Hold, snapshot_digest
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, Aside, name


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    yield from kit.migrated(request.param, request, tmp_path)


def proposal(number: int, subject: str = "hold-1", **changes: object) -> Proposal:
    values: dict[str, object] = {
        "id": name(number),
        "kind": ProposalKind.RELEASE_HOLD,
        "subject": subject,
        "body": {"a": [1, "ä"]},
        "reason": "settled",
        "proposed_by": "user-1",
        "proposed_at": NOW + timedelta(seconds=number),
    } | changes
    return Proposal(**values)  # type: ignore[arg-type]


def decided(one: Proposal, state: ProposalState, **changes: object) -> Proposal:
    return replace(one, state=state, decided_by="user-2", decided_at=NOW, **changes)  # type: ignore[arg-type]


def add(database: SqlDatabase, *proposals: Proposal) -> None:
    with database.begin() as unit:
        for one in proposals:
            unit.proposals.add(one)
        unit.commit()


def test_what_goes_in_comes_out(database: SqlDatabase) -> None:
    one = proposal(1)
    add(database, one)
    with database.read() as unit:
        assert unit.proposals.get(one.id) == one
        with pytest.raises(NotFound):
            unit.proposals.get("no")
        assert unit.proposals.standing_about(ProposalKind.RELEASE_HOLD, "hold-1") == one
        assert unit.proposals.standing_about(ProposalKind.END_PURPOSE, "hold-1") is None


def test_one_stands_about_a_subject(database: SqlDatabase) -> None:
    add(database, proposal(1), proposal(2, "hold-2"), proposal(3, kind=ProposalKind.END_PURPOSE))
    with database.begin() as unit, pytest.raises(Conflict):
        unit.proposals.add(proposal(4))
    with database.begin() as unit:
        unit.proposals.settle(decided(proposal(1), ProposalState.WAITING, not_before=NOW))
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.proposals.add(proposal(4))
    with database.begin() as unit:
        unit.proposals.settle(decided(proposal(1), ProposalState.REFUSED))
        unit.proposals.add(proposal(4))
        unit.commit()
    with database.read() as unit:
        assert [one.id for one in unit.proposals.standing()] == [name(2), name(3), name(4)]
        assert [one.id for one in unit.proposals.recent(5)] == [name(1)]


def test_what_has_waited_long_enough(database: SqlDatabase) -> None:
    for number in (1, 2, 3):
        one = proposal(number, f"hold-{number}")
        add(database, one)
        with database.begin() as unit:
            waits = NOW + timedelta(hours=72 - number)
            unit.proposals.settle(decided(one, ProposalState.WAITING, not_before=waits))
            unit.commit()
    with database.read() as unit:
        assert unit.proposals.waiting(NOW + timedelta(hours=68)) == []
        assert unit.proposals.waiting(NOW + timedelta(hours=70)) == [name(3), name(2)]


def test_a_state_that_lacks_its_facts_is_refused(database: SqlDatabase) -> None:
    add(database, proposal(1))
    for wrong in (
        replace(proposal(1), state=ProposalState.REFUSED),
        decided(proposal(1), ProposalState.OPEN),
        decided(proposal(1), ProposalState.WAITING),
    ):
        with database.begin() as unit, pytest.raises(Conflict):
            unit.proposals.settle(wrong)
    with database.begin() as unit, pytest.raises(NotFound):
        unit.proposals.settle(decided(proposal(9), ProposalState.REFUSED))


def test_two_that_decide_come_one_after_the_other(database: SqlDatabase) -> None:
    one = proposal(1)
    add(database, one)

    def decide(by: str) -> str:
        with database.begin() as unit:
            found = unit.proposals.lock(one.id)
            if found.state is ProposalState.OPEN:
                unit.proposals.settle(replace(decided(found, ProposalState.CARRIED_OUT), decided_by=by))
                unit.commit()
                return by
        return "second"

    outcomes = sorted(thread.join() for thread in [Aside(lambda: decide("a")), Aside(lambda: decide("b"))])
    assert outcomes in (["a", "second"], ["b", "second"])


# -- suspensions and forecasts


def suspension(number: int, **changes: object) -> Suspension:
    values: dict[str, object] = {
        "id": name(number),
        "reason": "an inquiry",
        "placed_by": "user-1",
        "placed_at": NOW + number * DAY,
        "until": NOW + (number + 3) * DAY,
    } | changes
    return Suspension(**values)  # type: ignore[arg-type]


def test_one_suspension_stands_at_a_time(database: SqlDatabase) -> None:
    with database.begin() as unit:
        assert unit.brakes.suspension() is None
        unit.brakes.add_suspension(suspension(1))
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.brakes.add_suspension(suspension(2))
    with database.begin() as unit:
        assert unit.brakes.suspension(lock=True) == suspension(1)
        unit.brakes.extend_suspension(name(1), NOW + 30 * DAY)
        unit.brakes.end_suspension(name(1), at=NOW + 9 * DAY, by="user-2")
        unit.brakes.add_suspension(suspension(2))
        with pytest.raises(NotFound):
            unit.brakes.extend_suspension(name(1), NOW)
        with pytest.raises(NotFound):
            unit.brakes.end_suspension(name(1), at=NOW, by="user-3")
        unit.commit()
    ended = suspension(1, until=NOW + 30 * DAY, ended_at=NOW + 9 * DAY, ended_by="user-2")
    with database.read() as unit:
        assert unit.brakes.suspension() == suspension(2)
        assert unit.brakes.suspensions(5) == [suspension(2), ended]
        assert unit.brakes.suspensions(1) == [suspension(2)]


def test_forecasts_come_newest_first_and_have_one_number_each(database: SqlDatabase) -> None:
    with database.begin() as unit:
        for number in (1, 2, 3):
            unit.brakes.add_forecast(number, NOW, f"envelope {number}")
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.brakes.add_forecast(3, NOW, "another worker's")
    with database.begin() as unit:
        assert unit.brakes.forecasts(2) == [(3, "envelope 3"), (2, "envelope 2")]
        unit.brakes.drop_forecasts(2)
        unit.commit()
    with database.read() as unit:
        assert [number for number, _ in unit.brakes.forecasts(9)] == [3, 2]


def entry(target: str, act: Act, at: datetime) -> Entry:
    return Entry(
        id=f"{target}-{act}", at=at, actor="a", act=act, target=target, purpose=None, detail={}, salt=b"s" * 16
    )


def test_ends_are_counted_by_day_whatever_freezes_them(database: SqlDatabase) -> None:
    kit.prepare(database)
    ends = [0, 0, 1, 1, 2, 40]
    rows = [
        kit.communication(number, destroy_at=NOW + day * DAY, stored_at=NOW - DAY) for number, day in enumerate(ends)
    ]
    kit.add(database, *rows)
    with database.begin() as unit:
        unit.holds.add(kit.hold(1))
        unit.communications.stop(name(1), "end-differs-from-policy")
        unit.commit()
    edges = [NOW, NOW + DAY, NOW + 2 * DAY - timedelta(microseconds=1), NOW + 9 * DAY]
    with database.read() as unit:
        assert unit.brakes.count_ends(edges) == [2, 2, 0, 1]
        assert unit.brakes.count_ends([NOW + 99 * DAY]) == [6]
        assert unit.brakes.count_ends([NOW - DAY]) == [0]


def test_what_came_or_was_moved_since_is_not_among_the_known(database: SqlDatabase) -> None:
    kit.prepare(database)
    since = NOW - DAY
    kit.add(
        database,
        *(kit.communication(number, destroy_at=NOW, stored_at=since - DAY) for number in range(4)),
        kit.communication(4, destroy_at=NOW, stored_at=since + timedelta(seconds=1)),
    )
    entries = [
        entry(name(0), Act.RETENTION_MOVED, since + timedelta(seconds=1)),
        entry(name(1), Act.RETENTION_MOVED, since - timedelta(seconds=1)),
        entry(name(2), Act.VIEWED, since + timedelta(seconds=1)),
        entry(name(3), Act.DO_NOT_KEEP, since + timedelta(seconds=1)),
    ]
    with database.begin() as unit:
        unit.audit.append([(one, leaf_data(one)) for one in entries])
        unit.commit()
    with database.read() as unit:
        assert unit.brakes.count_ends([NOW]) == [5]
        assert unit.brakes.count_known_ends([NOW], since=since) == [2]


# -- holds on what a search found


def snapshot(number: int, *ids: str) -> Hold:
    return kit.hold(number, customer_id=None, snapshot=snapshot_digest(ids))


def test_a_hold_on_a_search_covers_its_items_until_it_is_released(database: SqlDatabase) -> None:
    kit.prepare(database)
    kit.add(database, *(kit.communication(number, destroy_at=NOW) for number in range(4)))
    held = [name(0), name(2)]
    with database.begin() as unit:
        unit.holds.add_items("hold-1", held)
        assert unit.holds.covering(held) == {}  # portions alone hold nothing
        unit.holds.add(snapshot(1, *held))
        unit.holds.add_items("hold-1", held)
        unit.commit()
    with database.read() as unit:
        assert unit.holds.get("hold-1") == snapshot(1, *held)
        assert unit.holds.covering([name(number) for number in range(4)]) == dict.fromkeys(held, ("hold-1",))
        assert unit.holds.count_covered("hold-1") == 2
        assert unit.communications.count_due(NOW) == 2
    with database.begin() as unit:
        unit.holds.release("hold-1", by="user-2", at=NOW)
        assert unit.communications.count_due(NOW) == 4
        assert unit.holds.covering(held) == {}
        assert [one.id for one in unit.holds.releases_not_noted()] == ["hold-1"]
        unit.holds.note_release("hold-1", NOW)
        assert unit.holds.releases_not_noted() == []
        unit.commit()


def test_the_report_counts_every_scope_in_one_statement(database: SqlDatabase) -> None:
    kit.prepare(database)
    kit.add(
        database,
        *(kit.communication(number, destroy_at=NOW + (number % 2) * DAY) for number in range(4)),
        kit.communication(9, customer_id=None, destroy_at=NOW),
    )
    holds = (
        kit.hold(1),
        kit.hold(2, customer_id=None, communication_id=name(9)),
        snapshot(3, name(1), name(9)),
        kit.hold(4, released_at=NOW, released_by="user-1"),
    )
    with database.begin() as unit:
        unit.holds.add_items("hold-3", [name(1), name(9)])
        for hold in holds:
            unit.holds.add(hold)
        unit.commit()
    with database.read() as unit:
        found = unit.holds.report(NOW)
    assert [(line.hold.id, line.covered, line.kept_back) for line in found] == [
        ("hold-1", 4, 2),
        ("hold-2", 1, 1),
        ("hold-3", 2, 1),
    ]


def test_finding_and_locking_what_a_hold_takes(database: SqlDatabase) -> None:
    kit.prepare(database)
    kit.add(database, *(kit.communication(number, queue="vaihde" if number < 3 else "myynti") for number in range(5)))
    everything = (VisibleSet(),)
    with database.begin() as unit:
        query = SearchQuery(queue="vaihde", limit=2)
        assert unit.holds.found(query, everything, NOW) == [name(2), name(1)]
        assert unit.holds.found(query, (), NOW) == []
        assert unit.holds.found(query, (VisibleSet(queues=frozenset({"myynti"})),), NOW) == []
        assert unit.holds.lock_standing([name(4), name(0), name(8)]) == [name(0), name(4)]
