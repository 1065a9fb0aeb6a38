"""The database: transactions on an engine, and the factory that opens one.

Invariants: a unit of work that is left without ``commit`` is rolled back, whatever happened inside; a unit
that reads sees one snapshot and cannot write; a database whose schema is newer than this program is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, func, select

from recvault.adapters.database import beginning
from recvault.adapters.database.beginning import begun, leave
from recvault.adapters.database.engines import (
    MIGRATING,
    READING,
    in_memory,
    parse,
    postgresql_engine,
    refuse_dangling,
    sqlite_engine,
)
from recvault.adapters.database.failures import attempt, attempt_commit
from recvault.adapters.database.gate import Gate
from recvault.adapters.database.incarnation import Door, Leave, witness
from recvault.adapters.database.log_seals import LogSeals
from recvault.adapters.database.migration import refuse_newer
from recvault.adapters.database.session import Session
from recvault.adapters.database.types import Moment
from recvault.adapters.database.uow import SqlUnitOfWork
from recvault.domain.errors import RecvaultError
from recvault.domain.incarnation import Witness
from recvault.domain.ports.database import Judge
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Entropy

_CLOCK = select(func.clock_timestamp(type_=Moment()))


class SqlDatabase:
    """Implements the port's ``Database`` on PostgreSQL and SQLite; safe to share between threads."""

    def __init__(self, *, engine: Engine, write_gate: Gate | None = None, read_gate: Gate | None = None) -> None:
        self._engine = engine
        self._write_gate = write_gate
        self._read_gate = read_gate
        self._door: Door | None = None
        self._seals: LogSeals | None = None
        self._leave = Leave()
        self._reader = engine.execution_options(**{READING: True})

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL; else SQLite."""
        return self._engine.dialect.name == "postgresql"

    def begin(self) -> AbstractContextManager[SqlUnitOfWork]:
        """A transaction that may write. On SQLite it waits here until no other writes."""
        return self._unit(self._engine, self._write_gate)

    def read(self) -> AbstractContextManager[SqlUnitOfWork]:
        """A transaction that only reads, on one snapshot; writing in it fails."""
        return self._unit(self._reader, self._read_gate)

    def guard(self, judge: Judge) -> None:
        """See the port."""
        self._door = Door(judge)

    def seal_log(self, keyring: Keyring, entropy: Entropy) -> None:
        """See the port."""
        self._seals = LogSeals(keyring=keyring, entropy=entropy)

    def unjudged(self) -> AbstractContextManager[None]:
        """See the port."""
        return self._leave.taken()

    def witness(self) -> Witness:
        """See the port."""
        with self._transaction(self._reader, self._read_gate) as connection:
            return witness(connection)

    def look(self) -> AbstractContextManager[SqlUnitOfWork]:
        """Single statements that read, each for itself: see the port. On SQLite the same as :meth:`read`."""
        return self._looking(self._looker) if self.is_postgresql else self.read()

    def now(self) -> datetime:
        """The database's clock, UTC (on SQLite the machine's)."""
        if not self.is_postgresql:
            return datetime.now(UTC)
        with self._looking(lambda: attempt(lambda: begun(self._engine, None))) as unit:
            return unit.now()

    def clock_of(self, session: Session) -> datetime:
        """The database's clock as a transaction sees it now."""
        return session.one(_CLOCK) if self.is_postgresql else datetime.now(UTC)

    def check(self) -> None:
        """One round trip; DatabaseUnavailable, and DatabaseBehind when it may not be served."""
        with self._transaction(self._reader, self._read_gate) as connection:
            self._admit(connection)
            attempt(lambda: connection.execute(select(1)).scalar_one())

    def close(self) -> None:
        """Gives connections back; the database in memory is gone with its last."""
        self._engine.dispose()

    @contextmanager
    def schema_work(self) -> Iterator[Connection]:
        """A writing transaction on the bare connection, for migrations; commits when the body succeeds. SQLite
        looks at foreign keys once, at the end: ConfigurationError when the body left one that leads nowhere.
        """
        engine = self._engine.execution_options(**{MIGRATING: True})
        with self._transaction(engine, self._write_gate) as connection:
            yield connection
            if not self.is_postgresql:
                attempt(lambda: refuse_dangling(connection))
            attempt_commit(connection.commit)

    @contextmanager
    def schema_reading(self) -> Iterator[Connection]:
        """A reading transaction on the bare connection."""
        with self._transaction(self._reader, self._read_gate) as connection:
            yield connection

    @contextmanager
    def _unit(self, engine: Engine, gate: Gate | None) -> Iterator[SqlUnitOfWork]:
        with self._transaction(engine, gate) as connection:
            self._admit(connection)
            session = Session(connection)
            try:
                yield SqlUnitOfWork(session, clock=self.clock_of, seals=self._seals)
            finally:
                session.finish()

    def _admit(self, connection: Connection) -> None:
        if self._door is not None and not self._leave.given:
            self._door.admit(connection)

    @contextmanager
    def _looking(self, connecting: Callable[[], Connection]) -> Iterator[SqlUnitOfWork]:
        session = Session(connecting(), renew=connecting)
        try:
            yield SqlUnitOfWork(session, clock=self.clock_of, seals=self._seals)
        finally:
            session.finish()
            leave(session.connection, kept=False)

    def _looker(self) -> Connection:
        connection = attempt(lambda: begun(self._engine, None))
        try:
            self._admit(connection)
        except RecvaultError:
            leave(connection, kept=False)
            raise
        return connection

    @contextmanager
    def _transaction(self, engine: Engine, gate: Gate | None) -> Iterator[Connection]:
        reading = engine is self._reader
        order = (beginning.READING if reading else beginning.WRITING) if self.is_postgresql else None
        with gate.passing() if gate is not None else nullcontext():
            connection = attempt(lambda: begun(engine, order))
            kept = False
            try:
                yield connection
                kept = reading
            finally:
                leave(connection, kept=kept)


def connect(
    url: str,
    *,
    pool_size: int,
    connect_timeout_seconds: float,
    statement_timeout_seconds: float,
    password: str | None = None,
) -> SqlDatabase:
    """Opens ``postgresql://…`` (TLS by ``sslmode`` and its companions in the address), ``sqlite:////file``
    or, for tests and trials, ``sqlite://`` in memory. A password given apart wins over one in the address. On
    SQLite the statement timeout is how long a writer waits for its turn.

    Raises ConfigurationError for an address that cannot be used or a schema that is newer than this program;
    DatabaseUnavailable when it cannot be reached.
    """
    parsed = parse(url, password)
    if parsed.get_backend_name() == "postgresql":
        database = SqlDatabase(
            engine=postgresql_engine(
                parsed,
                pool_size=pool_size,
                connect_timeout_seconds=connect_timeout_seconds,
                statement_timeout_seconds=statement_timeout_seconds,
            )
        )
    else:
        gate = Gate(patience_seconds=statement_timeout_seconds)
        engine = sqlite_engine(parsed, pool_size=pool_size, patience_seconds=statement_timeout_seconds)
        database = SqlDatabase(engine=engine, write_gate=gate, read_gate=gate if in_memory(parsed) else None)
    try:
        with database.schema_reading() as connection:
            refuse_newer(connection)
    except RecvaultError:
        database.close()
        raise
    return database
