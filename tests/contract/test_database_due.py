"""Work on destruction: what is due, who has it, and that nobody else can act on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import any_, func, literal, select

from recvault.adapters.database import SqlDatabase
from recvault.adapters.database.tables import claims
from recvault.adapters.database.types import TEXTS
from recvault.domain.destruction import DueItem
from recvault.domain.errors import Conflict, NotFound
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, Aside, communication, hold, item, name

LEASE = timedelta(minutes=15)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def claim(database: SqlDatabase, worker: str = "w1", *, at: timedelta = DAY, limit: int = 10) -> list[DueItem]:
    with database.begin() as unit:
        now = NOW + at
        claimed = unit.communications.claim_due(now=now, limit=limit, worker=worker, lease_until=now + LEASE)
        unit.commit()
    return claimed


def ids(items: list[DueItem]) -> list[str]:
    return [one.communication_id for one in items]


def counts(database: SqlDatabase, at: timedelta = DAY) -> tuple[int, int]:
    with database.read() as unit:
        return unit.communications.count_due(NOW + at), unit.communications.count_overdue(NOW + at)


def test_due_means_that_the_end_has_come(database: SqlDatabase) -> None:
    kit.add(
        database,
        communication(3, destroy_at=NOW + DAY),
        communication(1, destroy_at=NOW),
        communication(2, destroy_at=NOW + DAY + timedelta(microseconds=1)),
    )
    assert counts(database) == (2, 1)
    assert claim(database) == [
        DueItem(communication_id=name(1), state="stored", fence=1),
        DueItem(communication_id=name(3), state="stored", fence=1),
    ]
    assert counts(database) == (2, 1)


def test_at_most_so_many_the_longest_overdue_first_each_batch_in_id_order(database: SqlDatabase) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW - n * DAY) for n in (5, 1, 4, 2, 3)))
    assert ids(claim(database, limit=2)) == [name(4), name(5)]
    assert ids(claim(database, "w2", limit=2)) == [name(2), name(3)]
    assert ids(claim(database, "w3", limit=2)) == [name(1)]
    assert claim(database, limit=2) == []


def test_of_one_moment_the_first_names_come_first(database: SqlDatabase) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW) for n in (5, 1, 4, 2, 3)))
    assert ids(claim(database, limit=2)) == [name(1), name(2)]
    assert ids(claim(database, "w2", limit=2)) == [name(3), name(4)]


def test_what_is_left_destroying_comes_before_what_is_due(database: SqlDatabase) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW - n * DAY) for n in (1, 2)))
    claimed = claim(database)
    with database.begin() as unit:
        unit.communications.shred([claimed[0]], worker="w1")
        unit.communications.release_claims([name(2)], "w1")
        unit.commit()
    assert [one.state for one in claim(database, "w2", at=DAY + LEASE, limit=1)] == ["destroying"]


@pytest.mark.parametrize("count", [3, 30])
def test_a_claim_is_renewed_and_known_by_worker_and_fence(database: SqlDatabase, count: int) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW) for n in range(count)))
    mine = claim(database, limit=count)
    with database.begin() as unit:
        unit.communications.release_claims([name(0)], "w1")
        unit.commit()
    (lost,) = claim(database, "w2")
    until = NOW + DAY + 5 * LEASE
    with database.begin() as unit:
        unit.communications.renew_claims(mine, "w1", until)
        assert unit.communications.still_claimed(mine, "w1") == mine[1:]
        assert unit.communications.still_claimed([lost, item(1, 9)], "w2") == [lost]
        unit.commit()
    assert ids(claim(database, "w3", at=DAY + LEASE, limit=count)) == [name(0)]
    assert claim(database, "w3", at=DAY + 4 * LEASE, limit=count)[1:] == []
    assert ids(claim(database, "w4", at=DAY + 5 * LEASE, limit=count))[-2:] == ids(mine)[-2:]


@pytest.mark.parametrize("count", [3, 30])
def test_shredding_and_removing_go_by_worker_and_fence_however_many(database: SqlDatabase, count: int) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW) for n in range(count)))
    mine = claim(database, limit=count)
    with database.begin() as unit, pytest.raises(Conflict, match="claim"):
        unit.communications.shred(mine, worker="w2")
    with database.begin() as unit, pytest.raises(Conflict, match="claim"):
        unit.communications.shred([*mine[:-1], item(count - 1, 7)], worker="w1")
    with database.begin() as unit:
        unit.communications.shred(mine, worker="w1")
        assert {one.name for one in unit.communications.objects_of(ids(mine))} == {
            stream.object_name for n in range(count) for stream in communication(n).streams
        }
        unit.communications.remove(mine, worker="w1")
        unit.commit()
    with database.read() as unit:
        assert unit.communications.existing_ids(ids(mine)) == set()


def test_nothing_is_due_under_a_policy_version_that_nobody_signed(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW, policy_version=kit.POLICY.version))
    assert counts(database)[0] == 0
    assert claim(database) == []
    with database.begin() as unit:
        unit.policies.sign(kit.POLICY.version, by="user-1", at=NOW)
        unit.commit()
    assert ids(claim(database)) == [name(1)]


def test_a_hold_freezes_directly_and_through_the_customer(database: SqlDatabase) -> None:
    kit.add(
        database,
        communication(1, destroy_at=NOW),
        communication(2, destroy_at=NOW, customer_id="customer-2"),
        communication(3, destroy_at=NOW, customer_id=None),
        communication(4, destroy_at=NOW, customer_id=None),
    )
    with database.begin() as unit:
        unit.holds.add(hold(1))
        unit.holds.add(hold(2, customer_id=None, communication_id=name(3)))
        unit.holds.add(hold(3, customer_id="customer-2"))
        unit.holds.release("hold-3", by="user-1", at=NOW)
        unit.commit()
    assert counts(database) == (2, 2)
    assert ids(claim(database)) == [name(2), name(4)]
    with database.begin() as unit:
        unit.holds.release("hold-1", by="user-1", at=NOW)
        unit.commit()
    assert ids(claim(database)) == [name(1)]


def test_a_lease_keeps_others_away_until_it_ends_and_the_fence_rises(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW))
    assert claim(database)[0].fence == 1
    assert claim(database, "w2") == []
    assert claim(database, "w2", at=DAY + LEASE - timedelta(microseconds=1)) == []
    assert claim(database, "w2", at=DAY + LEASE)[0].fence == 2
    for worker, fence in (("w1", 1), ("w1", 2), ("w2", 1)):
        with database.begin() as unit, pytest.raises(Conflict, match="claim"):
            unit.communications.shred([item(1, fence)], worker=worker)
    with database.begin() as unit:
        unit.communications.shred([item(1, 2)], worker="w2")
        with pytest.raises(Conflict, match="claim"):
            unit.communications.remove([item(1, 1)], worker="w1")
        unit.communications.remove([item(1, 2)], worker="w2")
        unit.commit()


def test_one_claim_that_was_lost_stops_the_whole_batch(database: SqlDatabase) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW) for n in (1, 2, 3)))
    mine = claim(database)
    with database.begin() as unit:
        unit.communications.release_claims([name(2)], "w1")
        unit.commit()
    claim(database, "w2")
    with database.begin() as unit, pytest.raises(Conflict, match="claim"):
        unit.communications.shred(mine, worker="w1")
    with database.begin() as unit:
        unit.communications.shred([mine[0], mine[2]], worker="w1")
        unit.communications.remove([mine[0], mine[2]], worker="w1")
        unit.commit()
    with database.read() as unit:
        assert unit.communications.existing_ids([name(1), name(2), name(3)]) == {name(2)}


def test_claims_are_given_back_by_their_own_worker_only(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW))
    claim(database)
    with database.begin() as unit:
        unit.communications.release_claims([name(1), name(2)], "w2")
        unit.communications.release_claims([name(1)], "w1")
        with pytest.raises(Conflict):
            unit.communications.shred([item(1, 1)], worker="w1")
        unit.commit()
    assert claim(database, "w2") == [DueItem(communication_id=name(1), state="stored", fence=2)]


def test_what_was_left_destroying_is_claimed_whatever_its_end_and_holds(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW + 9 * DAY))
    claimed = claim(database)
    with database.begin() as unit:
        unit.communications.shred([item(1, claimed[0].fence)], worker="w1")
        unit.holds.add(hold(1))
        unit.commit()
    assert claim(database, "w2") == []
    assert claim(database, "w2", at=DAY + LEASE) == [DueItem(communication_id=name(1), state="destroying", fence=2)]
    assert counts(database) == (0, 1)
    with database.begin() as unit:
        unit.communications.shred([item(1, 2)], worker="w2")
        unit.commit()


def test_what_is_stopped_waits_for_a_person(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW))
    claim(database, limit=1)
    with database.begin() as unit:
        unit.communications.stop(name(1), "end-differs")
        with pytest.raises(NotFound):
            unit.communications.stop(name(9), "end-differs")
        unit.commit()
    assert ids(claim(database, at=2 * DAY)) == [name(2)]
    assert counts(database) == (1, 2)


def test_only_what_is_shredded_is_removed(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW))
    claim(database)
    with database.begin() as unit, pytest.raises(Conflict):
        unit.communications.remove([item(1, 1)], worker="w1")
    with database.read() as unit:
        assert unit.communications.get(name(1)) == communication(1, destroy_at=NOW)


def test_two_workers_never_claim_the_same_row(database: SqlDatabase) -> None:
    kit.add(database, *(communication(n, destroy_at=NOW, streams=()) for n in range(120)))
    start = threading.Barrier(4)

    def work(worker: str) -> list[str]:
        start.wait(10)
        mine: list[str] = []
        while claimed := ids(claim(database, worker, limit=7)):
            mine += claimed
        return mine

    threads = [Aside(partial(work, worker)) for worker in ("a", "b", "c", "d")]
    claimed = [communication_id for thread in threads for communication_id in thread.join()]
    assert sorted(claimed) == [name(n) for n in range(120)]


@pytest.mark.postgresql
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_claims_that_another_locks_are_skipped_without_waiting(database: SqlDatabase) -> None:
    """A worker that is slow with its step, past its lease, holds up nobody."""
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW))
    slow = claim(database, limit=1)
    with database.begin() as unit:
        assert unit.communications.still_claimed(slow, "w1") == slow
        assert ids(Aside(lambda: claim(database, "w2", at=2 * DAY)).join()) == [name(2)]
        unit.commit()
    assert claim(database, "w2", at=2 * DAY) == [DueItem(communication_id=name(1), state="stored", fence=2)]


@pytest.mark.postgresql
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_claiming_waits_for_no_row_that_another_locks(database: SqlDatabase) -> None:
    """What a hold or an event has locked is looked at again, locked, before it is destroyed."""
    kit.add(database, communication(1, destroy_at=NOW))
    with database.begin() as unit:
        unit.communications.lock([name(1)])
        assert ids(Aside(lambda: claim(database)).join()) == [name(1)]
        unit.commit()


def test_a_claim_goes_with_its_row_and_stays_when_it_was_given_back(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW))
    mine = claim(database)
    with database.begin() as unit:
        unit.communications.release_claims([name(2)], "w1")
        unit.communications.shred(mine[:1], worker="w1")
        unit.communications.remove(mine[:1], worker="w1")
        unit.commit()
    with database.schema_reading() as connection:
        left = connection.execute(select(claims)).all()
    assert [tuple(row) for row in left] == [(name(2), None, None, 1)]


@pytest.mark.postgresql
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_ids_reach_postgresql_as_they_are(database: SqlDatabase) -> None:
    odd = ["a", 'b"c', "d\\e", "", "NULL", "{x}", "å ä,ö"]
    with database.schema_reading() as connection:
        assert connection.execute(select(func.unnest(literal(odd, TEXTS)))).scalars().all() == odd
        assert connection.execute(select(literal("x") == any_(literal([], TEXTS)))).scalar_one() is False


def test_the_keys_that_wrapped_a_row_are_forgotten_with_it(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW))
    mine = claim(database)
    with database.begin() as unit:
        unit.communications.shred(mine[:1], worker="w1")
        assert set(unit.communications.wrapped_by([name(1), name(2)])) == {name(1), name(2)}
        unit.communications.remove(mine[:1], worker="w1")
        assert set(unit.communications.wrapped_by([name(1), name(2)])) == {name(2)}
        unit.commit()
