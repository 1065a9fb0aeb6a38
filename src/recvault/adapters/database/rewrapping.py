"""Data keys under a period key, and moving them to another in bulk.

Invariants: a data key moves only where it still lies under the old key and is not shredded, together with its ``wrapped
by`` record, in one statement; rows that another transaction holds are passed over, never waited for, so that moving takes
part in no deadlock; a reader gets no more rows into memory than it asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, case, func, insert, select, text

from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import communications, wrapped_by
from recvault.domain.period_keys import WrappedKey

_c = communications.c

# The rows are locked in id order before any is changed; one that was moved or shredded meanwhile is not among them. A
# commit that is lost in a crash takes nothing with it but work: that the old key was seen vacant is written after it.
_SOON = text("SET LOCAL synchronous_commit = off")
_MOVE = text(
    """
    WITH given AS (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:keys AS bytea[])) AS g (id, wrapped_key)),
    free AS MATERIALIZED (
        SELECT id, ctid AS place FROM communications
        WHERE id = ANY(CAST(:ids AS text[])) AND key_id = :old AND wrapped_key IS NOT NULL
        ORDER BY id FOR UPDATE SKIP LOCKED
    ),
    moved AS (
        UPDATE communications SET key_id = :new, wrapped_key = given.wrapped_key
        FROM given JOIN free ON free.id = given.id WHERE communications.ctid = free.place
        RETURNING communications.id
    ),
    remembered AS (
        INSERT INTO communication_wrapped_by (communication_id, key_id) SELECT id, :new FROM moved
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM moved
    """
)
_MOVE_ONE = (
    "UPDATE communications SET key_id = ?, wrapped_key = ? WHERE id = ? AND key_id = ? AND wrapped_key IS NOT NULL"
)


class Rewrapping:
    """The part of ``SqlPeriodKeys`` that looks at data keys."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wrapped_under(self, key_id: str, limit: int, *, after: str = "") -> list[WrappedKey]:
        """See the port."""
        due_at = case((_c.destroy_at > _c.stored_at, _c.destroy_at), else_=_c.stored_at)
        rows = self._session.rows(
            select(_c.id, _c.wrapped_key, due_at.label("due_at"))
            .join(wrapped_by, and_(wrapped_by.c.communication_id == _c.id, wrapped_by.c.key_id == key_id))
            .where(_c.key_id == key_id, _c.wrapped_key.is_not(None), wrapped_by.c.communication_id > after)
            .order_by(wrapped_by.c.communication_id)
            .limit(limit)
        )
        return [WrappedKey(communication_id=row.id, wrapped_key=row.wrapped_key, due_at=row.due_at) for row in rows]

    def move(self, wrapped: Mapping[str, bytes], *, old: str, new: str) -> int:
        """See the port. On SQLite no other transaction writes meanwhile."""
        if self._session.on_postgresql:
            ids = sorted(wrapped)
            self._session.change(_SOON)
            parameters = {"ids": ids, "keys": [wrapped[one] for one in ids], "old": old, "new": new}
            return int(self._session.scalar(_MOVE, parameters))
        moved = self._session.change_each(_MOVE_ONE, [(new, key, item, old) for item, key in sorted(wrapped.items())])
        for batch in batches(wrapped):
            there = select(_c.id, _c.key_id).where(_c.id.in_(batch), _c.key_id == new)
            statement = insert(wrapped_by).prefix_with("OR IGNORE")
            self._session.change(statement.from_select(["communication_id", "key_id"], there))
        return moved

    def counts(self) -> dict[str, int]:
        """See the port."""
        rows = self._session.rows(
            select(_c.key_id, func.count().label("under")).where(_c.wrapped_key.is_not(None)).group_by(_c.key_id)
        )
        return {row.key_id: row.under for row in rows}
