"""Many rows in one statement: what a loop of single statements costs a round trip, a plan and a bind for each.

PostgreSQL takes the rows as one JSON text and makes them a table itself (``json_populate_recordset``); for SQLite, which
runs in this process, the driver's own loop is as good. Values are those of the declared columns; every failure passes the
session as always.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Table, TableValuedAlias, Text, TextClause, cast, column, func, literal, text
from sqlalchemy.dialects.postgresql import JSON

from recvault.adapters.database.session import Session
from recvault.adapters.database.types import TEXT
from recvault.domain.destruction import DueItem
from recvault.domain.ids import canonical_json, require_aware

FEW = 8
"""Rows below which one statement for each is as quick."""


def insert_many(session: Session, table: Table[Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Inserts the rows, all with the same columns; Conflict for broken uniqueness."""
    many = list(rows)
    if len(many) < FEW or not session.on_postgresql:
        session.insert(table, many)
        return
    texts = json.dumps([{name: _as_json(value) for name, value in row.items()} for row in many], ensure_ascii=False)
    session.change(_insert(table.name, tuple(many[0])).bindparams(rows=texts))


def fenced(items: Collection[DueItem]) -> TableValuedAlias:
    """Claimed items as a table of ``item`` and ``fence`` (PostgreSQL)."""
    pairs = json.dumps([{"item": one.communication_id, "fence": one.fence} for one in items])
    rows = func.json_to_recordset(cast(literal(pairs, Text()), JSON))
    return rows.table_valued(column("item", TEXT), column("fence", BigInteger()), name="claimed").render_derived(
        with_types=True
    )


@cache
def _insert(table: str, columns: tuple[str, ...]) -> TextClause:
    names = ", ".join(f'"{name}"' for name in columns)
    return text(
        f'INSERT INTO "{table}" ({names}) '  # noqa: S608 -- names of the declared schema
        f'SELECT {names} FROM json_populate_recordset(NULL::"{table}", CAST(:rows AS json))'
    )


def _as_json(value: object) -> object:
    """As PostgreSQL reads it back into the column's type."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text must not hold the character NUL")
        return value
    if isinstance(value, datetime):
        return require_aware(value, "a stored moment").isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, Mapping):
        return canonical_json(value).decode()
    return value
