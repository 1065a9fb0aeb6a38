"""Engines for the two databases, set up so that neither can lose or leak what it was given.

PostgreSQL: psycopg 3, UTC, statement and lock timeouts, durable commits even where the server's default is
lax; transactions begin in :mod:`beginning`. SQLite: WAL with ``synchronous=FULL`` (a commit is on the disk),
foreign keys enforced, deleted content overwritten (``secure_delete``), temporary tables in memory, file mode
0600; the driver's own transaction handling is switched off and every transaction starts here: BEGIN IMMEDIATE
to write, BEGIN with ``query_only`` to read.
"""

from __future__ import annotations

import math
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool, StaticPool

from recvault.adapters.database.beginning import watch_server
from recvault.adapters.database.incarnation import watch_file
from recvault.domain.errors import ConfigurationError

# Execution option of a SQLite engine: set for transactions that only read.
READING = "recvault_reading"
# Likewise for transactions that change the schema. Recreating a table, SQLite's only way to alter much of it, drops the
# old one, and with enforced foreign keys that would delete, without a word, all that belongs to its rows.
MIGRATING = "recvault_migrating"

_SYNCHRONOUS = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


def parse(url: str, password: str | None) -> URL:
    """The address with its password; ConfigurationError, without the address (it may hold a password), when
    unusable.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError:
        parsed, backend = None, ""
    if parsed is None or backend not in ("postgresql", "sqlite"):
        raise ConfigurationError(
            "the database's address cannot be used; write postgresql://user@host/name or sqlite:////path/to/file.db"
        )
    if password is not None and backend == "postgresql":
        parsed = parsed.set(password=password)
    return parsed.set(drivername="postgresql+psycopg" if backend == "postgresql" else "sqlite+pysqlite")


def in_memory(url: URL) -> bool:
    """Whether the address is SQLite without a file."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def postgresql_engine(
    url: URL, *, pool_size: int, connect_timeout_seconds: float, statement_timeout_seconds: float
) -> Engine:
    """An engine with its pool. A lock is waited for a little less long than a statement may run, so that the
    error tells the one from the other.
    """
    statement = max(1, math.ceil(statement_timeout_seconds * 1000))
    asked = url.query.get("options", ())
    options = " ".join(
        (
            *((asked,) if isinstance(asked, str) else asked),
            f"-c statement_timeout={statement}",
            f"-c lock_timeout={max(1, statement * 9 // 10)}",
            "-c timezone=UTC",
        )
    )
    engine = create_engine(
        url.difference_update_query(["options"]),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connect_timeout_seconds,
        hide_parameters=True,
        connect_args={
            "autocommit": True,
            "connect_timeout": max(1, math.ceil(connect_timeout_seconds)),
            "application_name": "recvault",
            "options": options,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "connect", _commit_durably)
    watch_server(engine)
    return engine


def sqlite_engine(url: URL, *, pool_size: int, patience_seconds: float) -> Engine:
    """An engine on a file (created 0600), or on memory with a single connection."""
    memory = in_memory(url)
    if url.query:
        raise ConfigurationError("the address of a SQLite database takes no options; remove what follows the '?'")
    pool: dict[str, Any] = (
        {"poolclass": StaticPool}
        if memory
        else {
            "poolclass": QueuePool,
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": patience_seconds,
        }
    )
    if not memory:
        _own_file(Path(url.database or ""))
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": patience_seconds},
        **pool,
    )
    event.listen(engine, "connect", _settle_memory if memory else _settle_file)
    event.listen(engine, "begin", _begin)
    watch_file(engine, None if memory else Path(url.database or ""))
    return engine


def _own_file(path: Path) -> None:
    """Never opens a file that is there: closing it again would drop the locks that SQLite holds on it in this process
    (sqlite.org/howtocorrupt.html, 2.2)."""
    try:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            path.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the database file {path} cannot be opened for writing ({error.strerror}); create its directory,"
            " owned by the user that recvault runs as"
        ) from None


def _settle_memory(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")


def _settle_file(connection: Any, _record: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    reading = bool(options.get(READING))
    driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    # Straight to the driver: these two cannot fail, and through SQLAlchemy they cost more than a small query.
    driver.execute(f"PRAGMA foreign_keys={'OFF' if options.get(MIGRATING) else 'ON'}")
    driver.execute(f"PRAGMA query_only={'ON' if reading else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _commit_durably(connection: Any, _record: object) -> None:
    connection.execute(_SYNCHRONOUS)


def refuse_dangling(connection: Connection) -> None:
    """ConfigurationError when a row names another that is not there; tells tables, not rows."""
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if found:
        tables = ", ".join(sorted({str(row[0]) for row in found}))
        raise ConfigurationError(
            f"the database would name rows that are not there (in {tables}), so its schema was not changed; restore it"
            " from a backup, or report it"
        )
