"""Rows for several tables in one round trip.

On PostgreSQL a single statement (each table's INSERT is a WITH of its own; foreign keys are looked at when the whole is
done, so that parents and children may come together), on SQLite one statement a table. Values pass the same types as
everywhere else. Left to others: rows by the thousand, which the driver's own batches carry better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.exc import StatementError

SMALL = 32
"""Rows of one table up to which they are carried together."""

_Shape = tuple[tuple[str, tuple[str, ...], int, bool], ...]
_Bind = Callable[[Any], Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """Rows of one table, all with the same columns; ``missing``: those whose key is there are passed over."""

    table: Table[Any]
    rows: Sequence[Mapping[str, Any]]
    missing: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the order of the first row."""
        return tuple(self.rows[0])


def insert_together(connection: Connection, additions: Sequence[Addition]) -> None:
    """Inserts all of them; raises SQLAlchemy's errors."""
    wanted = [one for one in additions if one.rows]
    groups = [wanted] if connection.dialect.name == "postgresql" else [[one] for one in wanted]
    for group in groups:
        if group:
            shape = tuple((one.table.name, one.columns, len(one.rows), one.missing) for one in group)
            connection.exec_driver_sql(_text(shape, _mark(connection.dialect)), _values(connection.dialect, group))


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"


@lru_cache(maxsize=512)
def _text(shape: _Shape, mark: str) -> str:
    """Names come from the declared tables, never from a value."""
    inserts: list[str] = []
    for table, columns, count, missing in shape:
        row = f"({', '.join([mark] * len(columns))})"
        conflict = " ON CONFLICT DO NOTHING" if missing else ""
        inserts.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}{conflict}")  # noqa: S608
    *first, last = inserts
    withs = ", ".join(f"part_{number} AS ({insert})" for number, insert in enumerate(first))
    return f"WITH {withs} {last}" if withs else last


def _values(dialect: Dialect, group: Sequence[Addition]) -> tuple[Any, ...]:
    values: list[Any] = []
    try:
        for one in group:
            binds = [(name, _bind(one.table, name, dialect)) for name in one.columns]
            values += [bind(row[name]) if bind else row[name] for row in one.rows for name, bind in binds]
    except ValueError as fault:
        raise StatementError("a value does not fit its column", None, None, fault) from fault
    return tuple(values)


@lru_cache(maxsize=1024)
def _bind(table: Table[Any], name: str, dialect: Dialect) -> _Bind:
    found: _Bind = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
    return found
