"""The schema without its migrations: databases of tests are copies of one that was migrated in this process.

What migrations do is tested where they are the subject (``tests/contract/test_database_migrations.py``,
``tests/upgrade``); everywhere else they are the same seconds over and over.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from functools import cache

import psycopg
from sqlalchemy import make_url

from recvault.adapters.database import SqlDatabase, connect, head_revision, migrate
from tests.servers.postgresql import programs


def give_schema(database: SqlDatabase) -> None:
    """Brings the database to this program's schema: an empty one by a copy, any other by its migrations."""
    if database.is_postgresql:
        _give_postgresql(database)
    else:
        _give_sqlite(database)


# --- SQLite


def _give_sqlite(database: SqlDatabase) -> None:
    connection = database._engine.raw_connection()
    try:
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        empty = driver.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if empty:
            _template().backup(driver)
    finally:
        connection.close()
    if not empty:
        migrate(database)


@cache
def _template() -> sqlite3.Connection:
    source = connect("sqlite://", pool_size=1, connect_timeout_seconds=5, statement_timeout_seconds=30)
    migrate(source)
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    connection = source._engine.raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.backup(copy)
    connection.close()
    source.close()
    return copy


# --- PostgreSQL

_scripts: list[bytes] = []
"""What makes an empty database into a migrated one; taken from the first that this process migrated."""


def _give_postgresql(database: SqlDatabase) -> None:
    address = database._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        found = _revision(connection)
        if found is None and _scripts:
            connection.execute(_scripts[0])
            return
    if found == _head():
        return
    migrate(database)
    if found is None:
        _scripts.append(_dump(address))


def _revision(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return None if row is None else str(row[0])


@cache
def _head() -> str:
    return head_revision()


def _dump(address: str) -> bytes:
    url = make_url(address)
    words = [os.fspath(programs() / "pg_dump"), "--inserts", "--no-owner", f"--host={url.host}", f"--port={url.port}"]
    done = subprocess.run(
        [*words, f"--username={url.username}", str(url.database)],
        env=os.environ | {"PGPASSWORD": str(url.password)},
        check=True,
        capture_output=True,
    )
    # Commands of psql, which newer minor releases add, are not for the server.
    return b"\n".join(line for line in done.stdout.splitlines() if not line.startswith(b"\\"))
