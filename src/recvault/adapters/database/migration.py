"""Bringing the schema to this program's version.

Invariants: a migration runs in one transaction together with its version mark, so that it happened or it did
not; two processes never migrate at once (an advisory lock on PostgreSQL, BEGIN IMMEDIATE on SQLite); a schema
that is newer than the program is refused before anything is read through it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from recvault.adapters.database.failures import attempt
from recvault.domain.errors import ConfigurationError

# Any constant will do, as long as nothing else in the same PostgreSQL database locks on it.
_MIGRATION_LOCK = 0x7265637661756C74


class Migratable(Protocol):
    """A database that lends its bare connection."""

    def schema_work(self) -> AbstractContextManager[Connection]:
        """In a writing transaction that commits when the body succeeds."""

    def schema_reading(self) -> AbstractContextManager[Connection]:
        """In a reading transaction."""


def migrate(database: Migratable) -> None:
    """Upgrades to this program's schema; nothing happens when it is there. Waits for another process that
    migrates.

    Raises ConfigurationError when the schema is newer than the program, DatabaseUnavailable when it cannot be
    reached.
    """
    with database.schema_work() as connection:
        if connection.dialect.name == "postgresql":
            attempt(lambda: _wait_for_lock(connection))
        refuse_newer(connection)
        attempt(lambda: command.upgrade(alembic_config(connection), "head"))


def schema_revision(database: Migratable) -> str | None:
    """The revision the database stands at, None when it has no schema yet."""
    with database.schema_reading() as connection:
        return _current(connection)


def head_revision() -> str:
    """The revision this program works with."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise ConfigurationError("the program came without its migrations; install it again")
    return head


def refuse_newer(connection: Connection) -> None:
    """ConfigurationError when the schema's revision is not one that this program knows."""
    current = _current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if current is not None and current not in known:
        raise ConfigurationError(
            f"the database's schema (revision {current}) is newer than this program, which knows up to"
            f" {head_revision()}; install the version of recvault that wrote it, or a newer one"
        )


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file: the packaged migrations on the given connection."""
    config = Config()
    config.set_main_option("script_location", "recvault.adapters.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    return attempt(lambda: MigrationContext.configure(connection).get_current_revision())


def _wait_for_lock(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
