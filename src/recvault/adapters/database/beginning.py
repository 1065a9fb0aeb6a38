"""How a connection is taken from the pool and a transaction begun on it.

Invariants: a connection that the server has given up while it lay in the pool costs nobody anything: what is already
known to be gone is not handed out (its socket would have something to read), and what turns out to be gone at BEGIN, when
nothing has happened yet, is replaced. PostgreSQL's driver is in autocommit mode, and BEGIN, with isolation and mode, is
sent here; without one every statement stands for itself. That a ROLLBACK makes the driver forget its prepared statements
is why transactions that only read end with COMMIT.
"""

from __future__ import annotations

import select
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError

WRITING = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
READING = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

TRIES = 3
"""Connections tried before the database counts as gone."""


def begun(engine: Engine, order: bytes | None) -> Connection:
    """A connection on which ``order`` has begun a transaction (PostgreSQL), or on which the engine itself does; raises
    SQLAlchemy's errors."""
    if order is None:
        connection = engine.connect()
        connection.begin()
        return connection
    import psycopg  # not needed, and slow to load, where SQLite serves
    from psycopg.pq import ExecStatus

    for _ in range(TRIES):
        connection = engine.connect()
        driver = connection.connection.driver_connection
        assert driver is not None
        result = driver.pgconn.exec_(order)
        if result.status == ExecStatus.COMMAND_OK:
            connection.begin()
            return connection
        connection.invalidate()
        connection.close()
    raise DBAPIError.instance(
        None, None, psycopg.OperationalError("the connection was lost"), psycopg.Error, dialect=engine.dialect
    )


def lost(error: BaseException) -> bool:
    """Whether the connection went with the error."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def leave(connection: Connection, *, kept: bool) -> None:
    """Ends what was not committed and gives the connection back; ``kept`` when it only read. When even that fails the
    connection is broken: the server has rolled back by itself, and the pool has dropped it. What the body raised goes on
    unhidden.
    """
    try:
        if kept:
            connection.commit()
        connection.close()
    except SQLAlchemyError:
        if not connection.closed:
            connection.invalidate()
            connection.close()


def watch_server(engine: Engine) -> None:
    """Has the pool drop connections that the server has closed."""
    event.listen(engine, "checkout", _refuse_gone)


def _refuse_gone(connection: Any, _record: object, _proxy: object) -> None:
    """PostgreSQL says nothing on a connection that rests, but goodbye (or that a setting changed: then a new connection
    is as good)."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError
