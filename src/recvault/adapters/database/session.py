"""Running statements inside one transaction.

Invariants: every failure passes :mod:`failures`; after a failed statement the transaction cannot be committed
any more (PostgreSQL would answer such a COMMIT with a quiet ROLLBACK); after commit or the end of the unit
nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    Table,
    any_,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.selectable import TypedReturnsRows
from typing_extensions import TypeVarTuple

from recvault.adapters.database.beginning import leave, lost
from recvault.adapters.database.failures import attempt, attempt_commit
from recvault.adapters.database.together import SMALL, Addition, insert_together
from recvault.adapters.database.types import TEXTS
from recvault.domain.errors import Conflict, DatabaseUnavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Both databases take more parameters; plans and locks stay small this way.
IDS_PER_STATEMENT = 1000


def batches(ids: Collection[str]) -> Iterator[list[str]]:
    """The distinct ids in order, in portions for one IN."""
    ordered = iter(sorted(set(ids)))
    while batch := list(islice(ordered, IDS_PER_STATEMENT)):
        yield batch


class Session:
    """One transaction of one connection."""

    def __init__(self, connection: Connection, *, renew: Callable[[], Connection] | None = None) -> None:
        """``renew`` gives another connection when this one is lost: only where statements read, and stand for
        themselves."""
        self._connection = connection
        self._renew = renew
        self._failed = False
        self._finished = False
        self._soon: list[Addition] = []

    @property
    def connection(self) -> Connection:
        """The connection it runs on now."""
        return self._connection

    def rows(self, statement: TypedReturnsRows[*Ts], parameters: Mapping[str, Any] | None = None) -> Sequence[Row[*Ts]]:
        """All rows."""
        return self._run(lambda: self._connection.execute(statement, parameters).all())

    def first(self, statement: TypedReturnsRows[*Ts], parameters: Mapping[str, Any] | None = None) -> Row[*Ts] | None:
        """The first row, or None."""
        return self._run(lambda: self._connection.execute(statement, parameters).first())

    def one(self, statement: TypedReturnsRows[T, *tuple[Any, ...]]) -> T:
        """The first column of the only row."""
        row = self._run(lambda: self._connection.execute(statement).one())
        found: T = row[0]
        return found

    def raw(self, statement: Executable, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """All rows as the driver gives them, for very many of them."""

        def fetched() -> Sequence[tuple[Any, ...]]:
            return list(self._connection.execute(statement, parameters).cursor.fetchall())

        return self._run(fetched)

    def column(self, statement: TypedReturnsRows[T, *tuple[Any, ...]]) -> list[T]:
        """The first column of all rows."""
        return self._run(lambda: list(self._connection.execute(statement).scalars()))

    def count(self, table: Table[Any], *conditions: Any) -> int:
        """How many rows of the table meet the conditions."""
        statement = select(func.count()).select_from(table).where(*conditions)
        return self._run(lambda: self._connection.execute(statement).scalar_one())

    def scalar(self, statement: Executable, parameters: Mapping[str, Any]) -> Any:
        """The one value of the one row."""
        return self._run(lambda: self._connection.execute(statement, parameters).scalar_one())

    def change(self, statement: Executable, parameters: Sequence[Mapping[str, Any]] | None = None) -> int:
        """Runs an INSERT, UPDATE or DELETE; how many rows it touched."""
        self._require_writing()
        return self._run(lambda: self._connection.execute(statement, parameters).rowcount)

    def change_each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Runs a statement of SQLite's own words for each row of values; how many rows it touched."""
        return self._run(lambda: self._connection.exec_driver_sql(statement, list(rows)).rowcount) if rows else 0

    def insert(self, table: Table[Any], rows: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
        """Inserts one row or many; Conflict for broken uniqueness."""
        many = [rows] if isinstance(rows, Mapping) else list(rows)
        if many:
            self._require_writing()
            self._run(lambda: self._connection.execute(insert(table), _plain_if_one(many)))

    def insert_soon(self, table: Table[Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts the rows before anything else runs here, at the latest with the commit; Conflict comes then."""
        if len(rows) > SMALL:
            self.insert(table, rows)
        elif rows:
            self._require_writing()
            self._soon.append(Addition(table=table, rows=rows))

    def insert_together(self, *additions: Addition) -> None:
        """Inserts rows of several tables, and what was to be inserted soon, at once; Conflict for broken uniqueness."""
        self._require_writing()
        pending, self._soon = [*additions, *self._soon], []
        self._run(lambda: insert_together(self._connection, pending))

    def insert_missing(self, table: Table[Any], rows: Iterable[Mapping[str, Any]]) -> None:
        """Inserts the rows whose key is not there yet."""
        many = list(rows)
        if many:
            self._require_writing()
            statement = self._upsert(table).on_conflict_do_nothing()
            self._run(lambda: self._connection.execute(statement, _plain_if_one(many)))

    def insert_if_missing(self, table: Table[Any], row: Mapping[str, Any]) -> int:
        """Inserts the row unless its key is there; how many rows that were. On PostgreSQL it waits for another
        transaction that is inserting the same key."""
        return self.change(self._upsert(table).values(dict(row)).on_conflict_do_nothing())

    def put(self, table: Table[Any], row: Mapping[str, Any], *, key: Sequence[str]) -> None:
        """Inserts the row, or replaces the one with the same key."""
        self._require_writing()
        statement = self._upsert(table).values(dict(row))
        others = {name: statement.excluded[name] for name in row if name not in key}
        final = statement.on_conflict_do_update(index_elements=list(key), set_=others)
        self._run(lambda: self._connection.execute(final))

    def count_up(self, table: Table[Any], row: Mapping[str, Any], *, key: Sequence[str], column: str) -> Row[Any]:
        """Inserts the row, or adds one to ``column`` of the one with the same key; the row as it is then, locked until the
        end of the transaction."""
        self._require_writing()
        statement = self._upsert(table).values(dict(row))
        more = {column: table.c[column] + 1}
        final = statement.on_conflict_do_update(index_elements=list(key), set_=more).returning(*table.c)
        return self._run(lambda: self._connection.execute(final).one())

    def commit(self) -> None:
        """Conflict when a statement of this transaction has failed; DatabaseUnavailable when the outcome is
        unknown.
        """
        if self._finished:
            raise RuntimeError("this unit of work is over; begin another")
        if self._soon and not self._failed:
            self.insert_together()
        if self._failed:
            raise Conflict("a statement of this unit of work failed, so nothing of it can be kept; begin again")
        self._finished = True
        attempt_commit(self._connection.commit)

    def finish(self) -> None:
        """Nothing runs from here on."""
        self._finished = True

    def among(
        self, column: ColumnElement[str] | ColumnElement[str | None], ids: Collection[str]
    ) -> ColumnElement[bool]:
        """The column is one of the ids; PostgreSQL takes them as one array, where a list would be a parameter for each."""
        if self.on_postgresql:
            return column == any_(literal(ids, TEXTS))
        return column.in_(ids)

    @property
    def on_postgresql(self) -> bool:
        """Whether it is PostgreSQL; else SQLite."""
        return self._connection.dialect.name == "postgresql"

    def _require_writing(self) -> None:
        if self._renew is not None:
            raise DatabaseUnavailable("the database takes no writes here; write in a unit that began for writing")

    def _upsert(self, table: Table[Any]) -> postgresql.Insert | sqlite.Insert:
        return postgresql.insert(table) if self.on_postgresql else sqlite.insert(table)

    def _run(self, call: Callable[[], T]) -> T:
        if self._finished:
            raise RuntimeError("this unit of work is over; begin another")
        if self._soon:
            self.insert_together()
        succeeded = False
        try:
            result = attempt(call if self._renew is None else partial(self._persist, call, self._renew))
            succeeded = True
        finally:
            self._failed = self._failed or not succeeded
        return result

    def _persist(self, call: Callable[[], T], renew: Callable[[], Connection]) -> T:
        try:
            return call()
        except DBAPIError as error:
            if not lost(error):
                raise
        leave(self._connection, kept=False)
        self._connection = renew()
        return call()


def _plain_if_one(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
    """A list makes psycopg enter and leave its pipeline: for a single row that is three times the round trips."""
    return rows[0] if len(rows) == 1 else rows
