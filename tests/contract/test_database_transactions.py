"""Transactions: what is left without commit is gone, a lost commit is said to be unknown, no failure tells a value."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from recvault.adapters.database import SqlDatabase, connect, migrate
from recvault.domain.audit import TreeHead
from recvault.domain.customer import Customer
from recvault.domain.errors import (
    ConfigurationError,
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    RecvaultError,
)
from recvault.domain.ledger import LedgerHead
from recvault.domain.log_tree import edge, grow, leaf_hashes
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.services.log_verify import LogVerifier
from recvault.services.sequencer import Sequencer
from tests.contract import database_kit as kit
from tests.contract.database_kit import CUSTOMER, NOW, Aside, communication, name
from tests.contract.test_database_evidence import append, entry

on_postgresql = pytest.mark.parametrize(
    "database", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
on_disk = pytest.mark.parametrize("database", kit.ON_DISK, indirect=True)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def names(database: SqlDatabase) -> list[str]:
    with database.read() as unit:
        return [one.name for one in unit.register.search_customers("", 10)]


def put(unit: UnitOfWork, called: str) -> None:
    unit.register.put_customer(replace(CUSTOMER, name=called))


def test_it_is_the_port(database: SqlDatabase) -> None:
    port: Database = database
    port.check()
    assert abs(port.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert port.now().tzinfo is UTC


# -- ends of a unit of work ----------------------------------------------------------------------------------------


def test_left_without_commit_nothing_happened(database: SqlDatabase) -> None:
    before = names(database)
    with database.begin() as unit:
        put(unit, "Kadonnut")
    with pytest.raises(KeyError), database.begin() as unit:
        put(unit, "Kadonnut")
        raise KeyError
    assert names(database) == before


def test_what_is_committed_stays_even_when_the_block_fails_afterwards(database: SqlDatabase) -> None:
    with pytest.raises(KeyError), database.begin() as unit:
        put(unit, "Pysyvä")
        unit.commit()
        raise KeyError
    assert "Pysyvä" in names(database)


def test_nothing_runs_after_the_end(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.commit()
        for act in (unit.commit, unit.audit.head):
            with pytest.raises(RuntimeError, match="over"):
                act()
    with database.read() as unit:
        pass
    with pytest.raises(RuntimeError, match="over"):
        unit.audit.head()


def test_a_unit_with_a_failed_statement_cannot_be_committed(database: SqlDatabase) -> None:
    with database.begin() as unit:
        put(unit, "Kadonnut")
        with pytest.raises(Conflict):
            unit.register.put_customer(Customer(id="customer-3", number="10042", name="x"))
        with pytest.raises(Conflict, match="begin again"):
            unit.commit()
    assert "Kadonnut" not in names(database)


def test_a_reading_unit_cannot_write(database: SqlDatabase) -> None:
    before = names(database)
    with database.read() as unit, pytest.raises(DatabaseUnavailable, match="takes no writes"):
        put(unit, "Kadonnut")
    with database.begin() as unit:
        unit.commit()
    assert names(database) == before


@on_disk
def test_a_reading_unit_sees_one_snapshot(database: SqlDatabase) -> None:
    with database.read() as reader:
        assert reader.register.customer("customer-1").name == CUSTOMER.name
        with database.begin() as writer:
            put(writer, "Uusi nimi")
            writer.commit()
        assert reader.register.customer("customer-1").name == CUSTOMER.name
    assert "Uusi nimi" in names(database)


@pytest.mark.parametrize("database", ["memory", "sqlite"], indirect=True)
def test_a_unit_within_a_unit_is_a_mistake_said_at_once(database: SqlDatabase) -> None:
    with database.begin(), pytest.raises(RuntimeError, match="open already"), database.begin():
        pass
    with database.begin() as unit:
        unit.commit()


def test_many_threads_write_at_once(database: SqlDatabase) -> None:
    def count_up() -> None:
        for _ in range(10):
            with database.begin() as unit:
                head = unit.settings.lock_ledger_head()
                unit.settings.set_ledger_head(LedgerHead(sequence=head.sequence + 1, digest=head.digest))
                unit.commit()

    for thread in [Aside(count_up) for _ in range(4)]:
        thread.join()
    with database.read() as unit:
        assert unit.settings.ledger_head().sequence == 40


def test_of_two_sequencers_at_once_one_wins(database: SqlDatabase) -> None:
    append(database, *(entry(number) for number in range(40)))

    def number_them() -> int:
        refused = 0
        while True:
            with database.read() as unit:
                start, waiting = unit.audit.head(), unit.audit.waiting(3)
                growth = grow(start.size, unit.audit.tiles(edge(start.size)), leaf_hashes(one.leaf for one in waiting))
            if not waiting:
                return refused
            try:
                with database.begin() as unit:
                    unit.audit.sequence(start, [one.id for one in waiting], growth)
                    unit.commit()
            except Conflict:
                refused += 1

    for thread in [Aside(number_them) for _ in range(3)]:
        thread.join()
    with database.read() as unit:
        entries = unit.audit.read(0, 100)
        assert [item.index for item in entries] == list(range(40))
        whole = grow(0, {}, leaf_hashes(item.leaf for item in entries))
        assert unit.audit.head() == TreeHead(size=40, root=whole.root)
        assert unit.audit.tiles([(0, 0)]) == whole.tiles


def test_sequencers_at_once_number_everything_once(database: SqlDatabase) -> None:
    append(database, *(entry(number) for number in range(60)))
    sequencers = [Aside(Sequencer(database=database, batch=7).run) for _ in range(3)]
    assert sum(thread.join() for thread in sequencers) >= 60
    assert LogVerifier(database=database).verify().size == 60


# -- what cannot be known, and what must not be told ---------------------------------------------------------------


def told(error: BaseException) -> str:
    """All that a log could print of it: its text, and the errors chained to it."""
    return f"{error!r} {error.__cause__!r} {error.__context__!r}"


def kill_others(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@on_postgresql
def test_a_commit_that_was_not_confirmed_is_unknown(database: SqlDatabase, pg_url: str) -> None:
    with database.begin() as unit:
        put(unit, "Epävarma")
        kill_others(pg_url)
        with pytest.raises(DatabaseUnavailable, match=r"outcome is unknown.*look up") as lost:
            unit.commit()
    assert "Epävarma" not in told(lost.value)
    assert "Epävarma" not in names(database)


@on_postgresql
def test_a_connection_lost_in_the_middle_is_said_and_replaced(database: SqlDatabase, pg_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"), database.begin() as unit:
        put(unit, "Kadonnut")
        kill_others(pg_url)
        unit.audit.head()
    assert "Kadonnut" not in names(database)
    kill_others(pg_url)
    database.check()


@on_postgresql
def test_a_connection_lost_on_the_way_out_hides_nothing(database: SqlDatabase, pg_url: str) -> None:
    """Nothing was to be kept, or something else went wrong: that the rollback finds nobody is no news."""
    with database.read() as unit:
        head = unit.audit.head()
        kill_others(pg_url)
    with pytest.raises(NotFound, match="there is no"), database.begin() as unit:
        put(unit, "Kadonnut")
        kill_others(pg_url)
        raise NotFound("there is no such thing")
    with database.begin() as unit:
        put(unit, "Kadonnut")
        kill_others(pg_url)
        with pytest.raises(DatabaseUnavailable):
            unit.audit.head()
        with pytest.raises(DatabaseUnavailable):
            unit.audit.head()
    assert "Kadonnut" not in names(database)
    with database.read() as unit:
        assert unit.audit.head() == head


@pytest.mark.parametrize(
    "unreachable", ["postgresql://recvault@127.0.0.1:1/none", "postgresql+psycopg://x:secret@127.0.0.1:1/y"]
)
def test_a_server_that_is_not_there(unreachable: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached") as gone:
        kit.open_database(unreachable)
    assert "secret" not in told(gone.value)


@pytest.mark.parametrize(
    "url", ["", "mysql://u:hunter2@h/d", "hunter2", "sqlite:////no/such/place/a.db", "sqlite:///x.db?mode=ro"]
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        kit.open_database(url)
    assert "hunter2" not in told(refused.value)


@pytest.mark.postgresql
def test_the_password_may_come_apart(pg_url: str) -> None:
    password = pg_url.split(":")[2].split("@", maxsplit=1)[0]
    connect(
        pg_url.replace(password, "wrong"),
        pool_size=1,
        connect_timeout_seconds=5,
        statement_timeout_seconds=5,
        password=password,
    ).close()
    with pytest.raises(RecvaultError) as refused:
        kit.open_database(pg_url.replace(password, "hunter2"))
    assert "hunter2" not in told(refused.value)


def test_no_failure_tells_what_was_in_the_row(database: SqlDatabase) -> None:
    secret = "Matti Meikäläinen"
    kit.add(database, communication(1))
    attempts: list[Callable[[UnitOfWork], object]] = [
        lambda unit: unit.register.put_customer(Customer(id=secret, number="10042", name=secret)),
        lambda unit: unit.communications.add(communication(1, team=secret, case_ref=secret)),
        lambda unit: unit.communications.add(communication(2, customer_id=secret)),
        lambda unit: unit.communications.add(communication(2, team=secret, length=-1)),
        lambda unit: unit.communications.add(communication(2, team=secret, length=2**70)),
        lambda unit: unit.register.put_customer(Customer(id="x", number=None, name=f"{secret}\ud800")),
        lambda unit: unit.communications.get(secret),
        lambda unit: unit.register.customer(secret),
        lambda unit: unit.holds.get(secret),
    ]
    for act in attempts:
        with database.begin() as unit, pytest.raises(RecvaultError) as refused:
            act(unit)
        assert secret not in told(refused.value)
        assert "INSERT" not in told(refused.value)


@pytest.mark.parametrize("text", ["nolla\x00", "puolikas \ud800"])
def test_a_value_that_no_text_can_hold(database: SqlDatabase, text: str) -> None:
    with database.begin() as unit, pytest.raises(InvalidInput, match="cannot be stored"):
        put(unit, text)
    with database.begin() as unit, pytest.raises(InvalidInput, match="cannot be stored"):
        unit.settings.put("x", {"text": text.replace("\x00", "\ud800")})


def test_a_naive_moment_is_refused(database: SqlDatabase) -> None:
    with database.begin() as unit, pytest.raises(InvalidInput):
        unit.communications.set_do_not_keep(name(1), NOW.replace(tzinfo=None))


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_file_is_the_owners_alone_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    path.touch(0o644)
    database = kit.open_database(f"sqlite:///{path}")
    migrate(database)
    with database.begin() as unit:
        put(unit, "x")
        unit.commit()
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    with database.schema_reading() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "temp_store": 2}
        found = {of: connection.exec_driver_sql(f"PRAGMA {of}").scalar_one() for of in wanted}
    assert found == wanted
    database.close()


def test_a_writer_of_another_process_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    database = kit.open_database(f"sqlite:///{path}")
    migrate(database)
    holder = subprocess.Popen([sys.executable, "-c", _HOLD_FOR_A_SECOND, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with database.begin() as unit:
        put(unit, "Odotti")
        unit.commit()
    holder.communicate(timeout=10)
    assert holder.returncode == 0
    assert names(database) == ["Odotti"]
    database.close()


_HOLD_FOR_A_SECOND = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(1)
connection.execute("COMMIT")
"""


def test_deleted_content_is_overwritten_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    database = kit.open_database(f"sqlite:///{path}")
    migrate(database)
    with database.begin() as unit:
        unit.register.put_customer(replace(CUSTOMER, address="Kätkettykatu 13"))
        unit.commit()
    with database.begin() as unit:
        unit.register.delete_customer("customer-1")
        unit.commit()
    database.close()
    sqlite3.connect(path).close()
    assert not path.with_name("archive.db-wal").exists()
    assert "Kätkettykatu".encode() not in path.read_bytes()


@on_postgresql
def test_what_a_server_session_is_set_to(database: SqlDatabase) -> None:
    wanted = {
        "application_name": "recvault",
        "statement_timeout": "10s",
        "lock_timeout": "9s",
        "TimeZone": "UTC",
        "transaction_isolation": "repeatable read",
        "transaction_read_only": "on",
    }
    with database.schema_reading() as connection:
        found = {of: connection.exec_driver_sql(f"SHOW {of}").scalar_one() for of in wanted}
    assert found == wanted
    with database.schema_work() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off"
