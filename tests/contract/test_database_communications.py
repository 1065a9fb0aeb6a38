"""Communications in the database: what goes in comes out, and what changes while they live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.communication import Attention, Communication, State
from recvault.domain.errors import Conflict, NotFound
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, MARK, NOW, communication, item, name, purpose


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def stored(database: SqlDatabase, number: int) -> Communication:
    with database.read() as unit:
        return unit.communications.get(name(number))


def test_what_goes_in_comes_out(database: SqlDatabase) -> None:
    full = communication(1, attention=frozenset({MARK, Attention.UNKNOWN_FIELD}), do_not_keep_at=NOW)
    bare = communication(
        2,
        source_ref_hash=None, conflict_of=name(1), ended_at=None, customer_id=None, customer_kind=None,
        contact_point_id=None, agent_id=None, team=None, queue=None, case_ref=None, tags=frozenset(),
        answered=None, purposes=(), streams=(), case_closed_at=None,
    )  # fmt: skip
    kit.add(database, full, bare)
    assert stored(database, 1) == full
    assert stored(database, 2) == bare


def test_ids_are_found_in_order_and_those_unknown_passed_over(database: SqlDatabase) -> None:
    kit.add(database, communication(3), communication(1), communication(2))
    wanted = [name(3), name(9), name(1), name(1)]
    with database.begin() as unit:
        assert [one.id for one in unit.communications.find(wanted)] == [name(1), name(3)]
        assert [one.id for one in unit.communications.lock(wanted)] == [name(1), name(3)]
        assert unit.communications.existing_ids(wanted) == {name(1), name(3)}
        assert unit.communications.find([]) == []
        with pytest.raises(NotFound, match="no such communication"):
            unit.communications.get(name(9))


def test_more_ids_than_fit_one_statement(database: SqlDatabase) -> None:
    kit.add(database, *(communication(number, streams=(), tags=frozenset()) for number in range(1203)))
    with database.read() as unit:
        wanted = {name(number) for number in range(1300)}
        assert [one.id for one in unit.communications.find(wanted)] == [name(n) for n in range(1203)]
        assert len(unit.communications.existing_ids(wanted)) == 1203


def test_a_source_names_one_communication_once(database: SqlDatabase) -> None:
    kit.add(database, communication(1))
    with database.begin() as unit, pytest.raises(Conflict, match="already"):
        unit.communications.add(communication(2, source_ref_hash=communication(1).source_ref_hash))
    with database.read() as unit:
        found = unit.communications.by_source_ref("source-1", (1).to_bytes(32))
        assert found is not None and found.id == name(1)
        assert unit.communications.by_source_ref("source-2", (1).to_bytes(32)) is None
        assert unit.communications.existing_ids([name(2)]) == set()


def test_uploads_without_a_reference_are_never_the_same(database: SqlDatabase) -> None:
    kit.add(database, communication(1, source_ref_hash=None), communication(2, source_ref_hash=None))
    assert stored(database, 2).source_ref_hash is None


def test_what_it_names_must_be_there(database: SqlDatabase) -> None:
    for changes in ({"key_id": "no"}, {"customer_id": "no"}, {"source_id": "no"}, {"policy_version": "no"}):
        with pytest.raises(Conflict, match="not stored"), database.begin() as unit:
            unit.communications.add(communication(1, **changes))
            unit.commit()


def test_a_stored_communication_has_its_key(database: SqlDatabase) -> None:
    with database.begin() as unit, pytest.raises(Conflict, match="rules"):
        unit.communications.add(communication(1, wrapped_key=None))


def test_retention_is_replaced(database: SqlDatabase) -> None:
    kit.add(database, communication(1), communication(2))
    ends = (purpose("training", 10, ended_at=NOW), purpose("statute", 400))
    with database.begin() as unit:
        unit.communications.set_retention(name(1), destroy_at=NOW + 400 * DAY, purposes=ends, policy_version="2025-12")
        with pytest.raises(NotFound):
            unit.communications.set_retention(name(9), destroy_at=NOW, purposes=ends, policy_version="2025-12")
        unit.commit()
    assert stored(database, 1) == communication(1, destroy_at=NOW + 400 * DAY, purposes=ends)
    assert stored(database, 2) == communication(2)


def test_marks_of_retention(database: SqlDatabase) -> None:
    kit.add(database, communication(1), communication(2))
    with database.begin() as unit:
        unit.communications.set_do_not_keep(name(1), NOW)
        unit.communications.set_relationship_ended([name(1), name(2), name(9)], NOW + DAY)
        unit.commit()
    assert stored(database, 1) == communication(1, do_not_keep_at=NOW, relationship_ended_at=NOW + DAY)
    with database.begin() as unit:
        unit.communications.set_do_not_keep(name(1), None)
        unit.communications.set_relationship_ended([name(1)], None)
        unit.commit()
    assert stored(database, 1) == communication(1)
    assert stored(database, 2).relationship_ended_at == NOW + DAY


def test_every_key_that_wrapped_is_remembered(database: SqlDatabase) -> None:
    kit.add(database, communication(2), communication(1))
    with database.begin() as unit:
        assert unit.communications.wrapped_by([name(1)]) == {name(1): ("key-a",)}
        unit.communications.rewrap(name(1), key_id="key-b", wrapped_key=b"anew")
        unit.communications.rewrap(name(1), key_id="key-b", wrapped_key=b"again")
        assert unit.communications.wrapped_by([name(1)]) == {name(1): ("key-a", "key-b")}
        assert unit.communications.ids_under_key("key-a", 10) == [name(2)]
        assert unit.communications.ids_under_key("key-b", 10) == [name(1)]
        unit.communications.rewrap(name(1), key_id="key-a", wrapped_key=b"back")
        assert unit.communications.ids_under_key("key-a", 10) == [name(1), name(2)]
        assert unit.communications.ids_under_key("key-a", 1) == [name(1)]
        assert unit.communications.ids_under_key("key-a", 9, after=name(1)) == [name(2)]
        assert unit.communications.wrapped_by([name(1)]) == {name(1): ("key-a", "key-b")}
        unit.commit()
    assert stored(database, 1) == communication(1, wrapped_key=b"back")


def test_data_keys_move_in_bulk_and_each_key_is_remembered_once(database: SqlDatabase) -> None:
    kit.add(database, *(communication(number) for number in (1, 2, 3)))
    with database.begin() as unit:
        assert [one.communication_id for one in unit.period_keys.wrapped_under("key-a", 2)] == [name(1), name(2)]
        wrapped = {name(1): b"one", name(2): b"two\x00", name(9): b"nobody's"}
        assert unit.period_keys.move(wrapped, old="key-a", new="key-b") == 2
        assert unit.period_keys.move(wrapped, old="key-a", new="key-b") == 0
        assert unit.period_keys.counts() == {"key-a": 1, "key-b": 2}
        assert unit.period_keys.move({name(2): b"back"}, old="key-b", new="key-a") == 1
        assert unit.communications.wrapped_by([name(2), name(3)]) == {
            name(2): ("key-a", "key-b"),
            name(3): ("key-a",),
        }
        assert unit.period_keys.late([name(1), name(9)], communication(1).destroy_at) == {name(1)}
        assert not unit.period_keys.late([name(1)], communication(1).destroy_at - DAY)
        unit.commit()
    assert stored(database, 1) == communication(1, key_id="key-b", wrapped_key=b"one")
    assert stored(database, 2) == communication(2, wrapped_key=b"back")


def test_attention(database: SqlDatabase) -> None:
    kit.add(database, communication(1, attention=frozenset({MARK})), communication(2), communication(3))
    with database.begin() as unit:
        unit.communications.add_attention(name(1), [MARK, Attention.EMPTY_CONTENT, MARK])
        unit.communications.add_attention(name(2), [MARK])
        assert unit.communications.count_attention() == 2
        assert unit.communications.get(name(1)).attention == {MARK, Attention.EMPTY_CONTENT}
        unit.communications.clear_attention(name(1))
        assert unit.communications.count_attention() == 1
        unit.commit()
    assert stored(database, 1).attention == frozenset()


def test_all_of_a_customer(database: SqlDatabase) -> None:
    kit.add(database, communication(2), communication(1), communication(3, customer_id="customer-2"))
    with database.read() as unit:
        assert unit.communications.ids_of_customer("customer-1") == [name(1), name(2)]
        assert unit.communications.ids_of_customer("no") == []


def test_conflicting_uploads_are_counted(database: SqlDatabase) -> None:
    kit.add(
        database,
        communication(1),
        communication(2, conflict_of=name(1), source_ref_hash=None),
        communication(3, conflict_of=name(1), source_ref_hash=None),
    )
    with database.read() as unit:
        assert unit.communications.conflicts_of_source("source-1") == 2
        assert unit.communications.conflicts_of_source("source-2") == 0


def shredded(number: int) -> Communication:
    """What a row still tells when it is shredded."""
    full = communication(number)
    return replace(
        full,
        source_ref_hash=None, conflict_of=None, started_at=full.stored_at, ended_at=None, customer_id=None,
        customer_kind=None, contact_point_id=None, agent_id=None, team=None, queue=None, case_ref=None,
        tags=frozenset(), answered=None, purposes=(), attention=frozenset(), state=State.DESTROYING,
        wrapped_key=None, sealed_fields=None, sealed_manifest=None, do_not_keep_at=None, case_closed_at=None,
        relationship_ended_at=None,
    )  # fmt: skip


def test_a_shredded_row_points_to_nobody_and_still_loads(database: SqlDatabase) -> None:
    kit.add(database, communication(1, attention=frozenset({MARK})), communication(2))
    with database.begin() as unit:
        unit.accounts.release_to(name(1), "user-1", NOW + DAY)
        claimed = unit.communications.claim_due(now=NOW + 400 * DAY, limit=1, worker="w", lease_until=NOW + 401 * DAY)
        unit.communications.shred([item(1, claimed[0].fence)], worker="w")
        unit.commit()
    assert stored(database, 1) == shredded(1)
    assert stored(database, 2) == communication(2)
    with database.begin() as unit:
        assert unit.communications.lock([name(1)]) == [shredded(1)]
        assert unit.communications.wrapped_by([name(1)]) == {name(1): ("key-a",)}
        assert unit.communications.ids_under_key("key-a", 10) == [name(2)]
        assert not unit.accounts.released_to(name(1), "user-1", NOW)
        assert unit.communications.count_attention() == 0
        with pytest.raises(NotFound):
            unit.communications.rewrap(name(1), key_id="key-b", wrapped_key=b"x")
        with pytest.raises(NotFound):
            unit.communications.set_do_not_keep(name(1), NOW)
    with database.begin() as unit:
        unit.communications.remove([item(1, 1)], worker="w")
        unit.commit()
    with database.read() as unit:
        assert unit.communications.find([name(1)]) == []
        assert unit.communications.wrapped_by([name(1)]) == {}


def test_guards_are_the_customers_and_points_of_what_exists(database: SqlDatabase) -> None:
    kit.add(database, communication(1), communication(2, customer_id=None), communication(3, contact_point_id=None))
    one = communication(1)
    with database.begin() as unit:
        assert unit.communications.guards([name(1), name(9)]) == ({one.customer_id}, {one.contact_point_id})
        assert unit.communications.guards([name(2)]) == (set(), {one.contact_point_id})
        assert unit.communications.guards([name(3)]) == ({one.customer_id}, set())
        assert unit.communications.guards([]) == (set(), set())
