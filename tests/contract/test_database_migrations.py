"""Migrations: up, down and up again with data; the migrated schema is the declared one; a newer one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, inspect, text

from recvault.adapters.database import SqlDatabase, head_revision, migrate, schema_revision
from recvault.adapters.database.migration import alembic_config
from recvault.adapters.database.migration import revisions as named
from recvault.adapters.database.tables import metadata
from recvault.domain.errors import ConfigurationError, Conflict, RecvaultError
from tests.contract import database_kit as kit
from tests.contract.database_kit import CUSTOMER, Aside, communication, destruction, hold, name


@pytest.fixture(params=kit.KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return kit.address(request.param, request, tmp_path)


@pytest.fixture
def database(url: str) -> Iterator[SqlDatabase]:
    opened = kit.open_database(url)
    yield opened
    opened.close()


def step(database: SqlDatabase, revision: str, *, down: bool = False) -> None:
    with database.schema_work() as connection:
        (command.downgrade if down else command.upgrade)(alembic_config(connection), revision)


def revisions() -> list[str]:
    scripts = ScriptDirectory.from_config(alembic_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def tables(database: SqlDatabase) -> set[str]:
    with database.schema_reading() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_before_the_first_migration_the_mend_is_told(database: SqlDatabase) -> None:
    assert schema_revision(database) is None
    with database.begin() as unit, pytest.raises(ConfigurationError, match="recvault init"):
        unit.audit.head()


def test_the_migrated_schema_is_the_declared_one(database: SqlDatabase) -> None:
    migrate(database)
    assert schema_revision(database) == head_revision() == revisions()[-1]
    with database.schema_reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_files_are_named_after_the_revisions_they_hold() -> None:
    assert list(named()) == revisions()


def test_the_rules_of_the_rows_are_the_declared_ones(database: SqlDatabase) -> None:
    """Alembic compares neither CHECK constraints nor the conditions of partial indexes."""
    migrate(database)
    with database.schema_reading() as connection:
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            found = {one["name"]: one for one in inspector.get_check_constraints(table.name)}
            declared = {str(one.name) for one in table.constraints if type(one).__name__ == "CheckConstraint"}
            assert set(found) == declared, table.name
            partial = {
                one["name"]
                for one in inspector.get_indexes(table.name)
                if any(option.endswith("_where") for option in one.get("dialect_options", {}))
            }
            wanted = {one.name for one in table.indexes if one.dialect_options["sqlite"]["where"] is not None}
            assert partial == wanted, table.name


def test_checks_say_the_same_in_both(tmp_path: Path) -> None:
    migrated = kit.open_database(f"sqlite:///{tmp_path}/migrated.db")
    declared = kit.open_database(f"sqlite:///{tmp_path}/declared.db")
    migrate(migrated)
    with declared.schema_work() as connection:
        metadata.create_all(connection)
    texts = []
    for database in (migrated, declared):
        with database.schema_reading() as connection:
            inspector = inspect(connection)
            texts.append(
                {
                    one["name"]: " ".join(str(one["sqltext"]).split())
                    for table in metadata.tables
                    for one in inspector.get_check_constraints(table)
                }
            )
        database.close()
    assert texts[0] == texts[1]


def test_one_step_after_the_other_down_and_up_again(database: SqlDatabase) -> None:
    heights = []
    for revision in revisions():
        step(database, revision)
        assert schema_revision(database) == revision
        heights.append(tables(database))
    assert heights[-1] == set(metadata.tables)
    for below in reversed([set(), *heights[:-1]]):
        step(database, "-1", down=True)
        assert tables(database) == below
    migrate(database)
    assert tables(database) == set(metadata.tables)


def test_data_lives_through_a_repeated_migration_and_a_return(database: SqlDatabase) -> None:
    migrate(database)
    fill(database)
    migrate(database)
    with database.read() as unit:
        assert unit.communications.get(name(1)) == communication(1)
        assert unit.destructions.get(name(2)) == destruction(2)
    step(database, "0001", down=True)
    assert tables(database) & {"communications", "destructions", "holds"} == set()
    migrate(database)
    with database.read() as unit:
        assert unit.register.customer("customer-1") == CUSTOMER
        assert unit.communications.find([name(1)]) == []
        assert unit.audit.head().size == 0
    step(database, "base", down=True)
    assert tables(database) == set()


def test_data_keys_and_all_that_wrapped_them_go_to_their_own_table_and_back(database: SqlDatabase) -> None:
    migrate(database)
    fill(database)
    with database.begin() as unit:
        unit.communications.rewrap(name(1), key_id="key-b", wrapped_key=b"anew")
        unit.commit()
    step(database, "0021", down=True)
    with database.schema_reading() as connection:
        row = connection.execute(text("SELECT key_id, wrapped_key FROM communications")).one()
        ever = connection.execute(text("SELECT key_id FROM communication_wrapped_by ORDER BY key_id")).scalars()
        assert (row.key_id, bytes(row.wrapped_key)) == ("key-b", b"anew") and [*ever] == ["key-a", "key-b"]
    migrate(database)
    with database.read() as unit:
        assert unit.communications.get(name(1)) == communication(1, key_id="key-b", wrapped_key=b"anew")
        assert unit.communications.wrapped_by([name(1)]) == {name(1): ("key-a", "key-b")}


def fill(database: SqlDatabase) -> None:
    kit.prepare(database)
    with database.begin() as unit:
        unit.communications.add(communication(1))
        unit.destructions.add(destruction(2))
        unit.holds.add(hold(1))
        unit.commit()


def test_a_schema_newer_than_the_program_is_refused(database: SqlDatabase, url: str) -> None:
    migrate(database)
    with database.schema_work() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=r"9999.*newer than this program"):
        migrate(database)
    if url != "sqlite://":
        with pytest.raises(ConfigurationError, match="newer"):
            kit.open_database(url)


def test_two_that_migrate_at_once_migrate_once(database: SqlDatabase, url: str) -> None:
    others = [database] if url == "sqlite://" else [kit.open_database(url) for _ in range(3)]
    for thread in [Aside(partial(migrate, one)) for one in others]:
        thread.join()
    assert schema_revision(database) == head_revision()
    assert tables(database) == set(metadata.tables)
    for one in others:
        one.close()


def test_a_migration_that_fails_leaves_nothing(database: SqlDatabase) -> None:
    with database.schema_work() as connection:
        connection.execute(text("CREATE TABLE holds (x INTEGER)"))
    with pytest.raises(RecvaultError):
        migrate(database)
    assert tables(database) == {"holds"}
    assert schema_revision(database) is None


@pytest.mark.parametrize("url", ["memory", "sqlite"], indirect=True)
def test_a_table_made_anew_keeps_what_belongs_to_its_rows(database: SqlDatabase) -> None:
    migrate(database)
    fill(database)
    with database.schema_work() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("communications", recreate="always") as table:
            table.add_column(Column("later", Integer))
    with database.begin() as unit:
        assert unit.communications.get(name(1)) == communication(1)
        with pytest.raises(Conflict, match="not stored"):
            unit.communications.add(communication(3, customer_id="no"))


@pytest.mark.parametrize("url", ["memory", "sqlite"], indirect=True)
def test_a_change_that_leaves_rows_dangling_is_undone(database: SqlDatabase) -> None:
    migrate(database)
    fill(database)
    with pytest.raises(ConfigurationError, match="communications"), database.schema_work() as connection:
        connection.execute(text("DELETE FROM customers"))
    with database.read() as unit:
        assert unit.register.customer("customer-1") == CUSTOMER
