"""Locks: who holds whom off, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase, connect
from recvault.domain.errors import DatabaseUnavailable
from recvault.domain.ledger import LedgerHead
from recvault.domain.ports.database import UnitOfWork
from tests.contract import database_kit as kit
from tests.contract.database_kit import NOW, Aside, communication, name

on_postgresql = pytest.mark.parametrize(
    "database", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
on_disk = pytest.mark.parametrize("database", kit.ON_DISK, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


Lock = Callable[[UnitOfWork], object]
EXCLUSIVE: dict[str, tuple[Lock, Lock]] = {
    "customer": (
        lambda unit: unit.register.share_guards(customer_ids=["customer-1"], contact_point_ids=[]),
        lambda unit: unit.register.lock_guards(customer_ids=["customer-1"], contact_point_ids=[]),
    ),
    "point": (
        lambda unit: unit.register.share_guards(customer_ids=[], contact_point_ids=["point-1"]),
        lambda unit: unit.register.lock_guards(customer_ids=[], contact_point_ids=["point-1"]),
    ),
    "period key": (
        lambda unit: unit.period_keys.share("key-a"),
        lambda unit: unit.period_keys.lock("key-a"),
    ),
    "source": (
        lambda unit: unit.accounts.share_source("source-1"),
        lambda unit: unit.accounts.revoke_source("source-1", NOW),
    ),
}


def locking(database: SqlDatabase, lock: Lock) -> Callable[[], bool]:
    def work() -> bool:
        with database.begin() as unit:
            lock(unit)
        return True

    return work


@on_postgresql
@pytest.mark.parametrize("what", EXCLUSIVE)
def test_shared_locks_share_and_hold_off_the_exclusive(database: SqlDatabase, what: str) -> None:
    share, lock = EXCLUSIVE[what]
    with database.begin() as unit:
        share(unit)
        assert Aside(locking(database, share)).join()
        closing = Aside(locking(database, lock))
        assert closing.waits()
        unit.commit()
    assert closing.join()
    with database.begin() as unit:
        lock(unit)
        writer = Aside(locking(database, share))
        assert writer.waits()
    assert writer.join()


@on_disk
def test_a_lock_on_communications_holds_the_next_off(database: SqlDatabase) -> None:
    kit.add(database, communication(1), communication(2))
    with database.begin() as unit:
        unit.communications.lock([name(1)])
        second = Aside(locking(database, lambda other: other.communications.lock([name(2), name(1)])))
        assert second.waits()
        unit.commit()
    assert second.join()


@on_disk
def test_the_ledger_has_one_writer(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.settings.lock_ledger_head()
        second = Aside(locking(database, lambda other: other.settings.lock_ledger_head()))
        assert second.waits()
        with database.read() as reader:
            assert reader.settings.ledger_head() == LedgerHead()
        unit.settings.set_ledger_head(LedgerHead(sequence=1, digest="aa" * 32))
        unit.commit()
    assert second.join()


@on_disk
def test_a_lock_is_not_waited_for_without_end(
    database: SqlDatabase, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/archive.db"
    if database.is_postgresql:
        url = request.getfixturevalue("pg_url")
    hasty = kit.open_database(url, statement_timeout_seconds=0.5)
    with database.begin() as unit:
        unit.communications.lock([])
        unit.settings.lock_ledger_head()
        with pytest.raises(DatabaseUnavailable, match="busy"), hasty.begin() as other:
            other.settings.lock_ledger_head()
    hasty.close()


@pytest.mark.postgresql
def test_connections_that_are_all_taken(pg_url: str) -> None:
    small = connect(pg_url, pool_size=1, connect_timeout_seconds=0.3, statement_timeout_seconds=5)
    with small.begin(), pytest.raises(DatabaseUnavailable, match="pool size"), small.begin():
        pass
    small.close()


@on_postgresql
def test_a_data_key_moves_before_its_communication_is_locked_or_not_at_all(database: SqlDatabase) -> None:
    """Else a destruction would not know of the last key that wrapped it, and be certified complete while that lives."""
    kit.add(database, communication(1), communication(2))

    def destroyer() -> tuple[str, object]:
        with database.begin() as unit:
            (row,) = unit.communications.lock([name(1)])
            return row.key_id, unit.communications.wrapped_by([name(1)])

    with database.begin() as unit:
        assert unit.period_keys.move({name(1): b"moved"}, old="key-a", new="key-b") == 1
        locking_it = Aside(destroyer)
        assert locking_it.waits()
        unit.commit()
    assert locking_it.join() == ("key-b", {name(1): ("key-a", "key-b")})
    with database.begin() as unit:
        unit.communications.lock([name(2)])
        with database.begin() as other:
            assert other.period_keys.move({name(2): b"moved"}, old="key-a", new="key-b") == 0
