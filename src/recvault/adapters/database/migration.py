"""Bringing the schema to this program's version.

Invariants: a migration runs in one transaction together with its version mark, so that it happened or it did
not; two processes never migrate at once (an advisory lock on PostgreSQL, BEGIN IMMEDIATE on SQLite); a schema
that is newer than the program is refused before anything is read through it.

A migration's file is named after its revision, so that every start can tell how the schema stands without loading them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, inspect, text

from recvault.adapters.database.failures import attempt
from recvault.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

_FILE = re.compile(r"m(\d{4})_\w+\.py")

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
        if _current(connection) != head_revision():
            _upgrade(connection)


def schema_revision(database: Migratable) -> str | None:
    """The revision the database stands at, None when it has no schema yet."""
    with database.schema_reading() as connection:
        return _current(connection)


@cache
def revisions() -> Sequence[str]:
    """Those that this program came with, oldest first."""
    names = (_FILE.fullmatch(file.name) for file in (files(__package__) / "migrations" / "versions").iterdir())
    found = sorted(name[1] for name in names if name)
    if not found:
        raise ConfigurationError("the program came without its migrations; install it again")
    return found


def head_revision() -> str:
    """The revision this program works with."""
    return revisions()[-1]


def refuse_newer(connection: Connection) -> None:
    """ConfigurationError when the schema's revision is not one that this program knows."""
    current = _current(connection)
    if current is not None and current not in revisions():
        raise ConfigurationError(
            f"the database's schema (revision {current}) is newer than this program, which knows up to"
            f" {head_revision()}; install the version of recvault that wrote it, or a newer one"
        )


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file: the packaged migrations on the given connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "recvault.adapters.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    from alembic import command

    attempt(lambda: command.upgrade(alembic_config(connection), "head"))


def _current(connection: Connection) -> str | None:
    """As Alembic notes it; None before the first migration."""

    def ask() -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return found

    return attempt(ask)


def _wait_for_lock(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
