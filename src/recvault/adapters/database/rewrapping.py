"""Data keys under a period key, and moving them to another in bulk.

Invariants: a data key moves only where it still lies under the old key and is not shredded, together with its ``wrapped
by`` record, in one statement; rows that another transaction holds are passed over, never waited for, so that moving takes
part in no deadlock; a reader gets no more rows into memory than it asked for. Only the narrow rows of ``communication_keys``
are read and written here, a tenth of a communication's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import func, literal, select, text

from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import communication_keys, communications
from recvault.adapters.database.types import Moment
from recvault.domain.period_keys import WrappedKey

_c, _k = communications.c, communication_keys.c

_UNDER = text(
    "SELECT communication_id, wrapped_key FROM communication_keys"
    " WHERE key_id = :key AND wrapped_key IS NOT NULL AND communication_id > :after"
    " ORDER BY communication_id LIMIT :limit"
)
# The rows are locked in id order before any is changed; one that was moved or shredded meanwhile is not among them. A
# commit that is lost in a crash takes nothing with it but work: that the old key was seen vacant is written after it.
_SOON = text("SET LOCAL synchronous_commit = off")
_MOVE = text(
    """
    WITH given AS (
        SELECT id, decode(hex, 'hex') AS wrapped_key
        FROM unnest(string_to_array(:ids, ' '), string_to_array(:keys, ' ')) AS g (id, hex)
    ),
    free AS MATERIALIZED (
        SELECT communication_id AS id, ctid AS place FROM communication_keys
        WHERE communication_id = ANY(string_to_array(:ids, ' ')) AND key_id = :old AND wrapped_key IS NOT NULL
        ORDER BY communication_id FOR UPDATE SKIP LOCKED
    )
    UPDATE communication_keys SET key_id = :new, wrapped_key = given.wrapped_key, wrapped_by =
        CASE WHEN strpos(' ' || wrapped_by || ' ', ' ' || :new || ' ') > 0 THEN wrapped_by ELSE wrapped_by || ' ' || :new END
    FROM given JOIN free ON free.id = given.id WHERE communication_keys.ctid = free.place
    """
)
_MOVE_ONE = """
    UPDATE communication_keys SET key_id = ?1, wrapped_key = ?2, wrapped_by =
        CASE WHEN instr(' ' || wrapped_by || ' ', ' ' || ?1 || ' ') > 0 THEN wrapped_by ELSE wrapped_by || ' ' || ?1 END
    WHERE communication_id = ?3 AND key_id = ?4 AND wrapped_key IS NOT NULL
"""


class Rewrapping:
    """The part of ``SqlPeriodKeys`` that looks at data keys."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def wrapped_under(self, key_id: str, limit: int, *, after: str = "") -> list[WrappedKey]:
        """See the port."""
        rows = self._session.raw(_UNDER, {"key": key_id, "after": after, "limit": limit})
        return [WrappedKey(communication_id=one, wrapped_key=wrapped) for one, wrapped in rows]

    def late(self, communication_ids: Collection[str], before: datetime) -> set[str]:
        """See the port."""
        found: set[str] = set()
        for batch in batches(communication_ids):
            moment = literal(before, Moment())
            due = (self._session.among(_c.id, batch), _c.destroy_at <= moment, _c.stored_at <= moment)
            found.update(self._session.column(select(_c.id).where(*due)))
        return found

    def move(self, wrapped: Mapping[str, bytes], *, old: str, new: str) -> int:
        """See the port. On SQLite no other transaction writes meanwhile."""
        if self._session.on_postgresql:
            ids = sorted(wrapped)
            keys = " ".join([wrapped[one].hex() for one in ids])  # an array of as many would take the driver longer
            self._session.change(_SOON)
            return self._session.change(_MOVE.bindparams(ids=" ".join(ids), keys=keys, old=old, new=new))
        return self._session.change_each(_MOVE_ONE, [(new, key, item, old) for item, key in sorted(wrapped.items())])

    def counts(self) -> dict[str, int]:
        """See the port."""
        rows = self._session.rows(
            select(_k.key_id, func.count().label("under")).where(_k.wrapped_key.is_not(None)).group_by(_k.key_id)
        )
        return {row.key_id: row.under for row in rows}
