"""The schema without its migrations: SQLite databases of tests are copies of one that was migrated in this process.

What migrations do is tested where they are the subject (``tests/contract/test_database_migrations.py``,
``tests/upgrade``); everywhere else they are the same seconds over and over.
"""

from __future__ import annotations

import sqlite3
from functools import cache

from recvault.adapters.database import SqlDatabase, connect, migrate


def give_schema(database: SqlDatabase) -> None:
    """Brings the database to this program's schema: an empty SQLite database by a copy, any other by its migrations."""
    if database.is_postgresql:
        migrate(database)
        return
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
