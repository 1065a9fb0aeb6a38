"""Rows that came back with a restored database: marked, unmarked, claimed for their second destruction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, case, select, true, update

from recvault.adapters.database.claims import Claims
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import communications
from recvault.domain.communication import Awaiting, State
from recvault.domain.destruction import DueItem

_c = communications.c


class SqlRestoration:
    """Implements the port's ``Restoration``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def mark_intended(self, communication_ids: Collection[str], at: datetime) -> list[str]:
        """See the port."""
        mark = case((_c.destroy_at <= at, Awaiting.INTENDED.value), else_=Awaiting.UNSETTLED.value)
        return self._mark(communication_ids, mark, _c.awaiting_purge.is_(None))

    def mark_destroyed(self, communication_ids: Collection[str]) -> list[str]:
        """See the port."""
        return self._mark(communication_ids, Awaiting.DESTROYED.value, true())

    def unmark(self, communication_ids: Collection[str]) -> list[str]:
        """See the port."""
        freed: list[str] = []
        for batch in batches(communication_ids):
            freed += self._session.column(
                update(communications)
                .where(self._session.among(_c.id, batch), _c.awaiting_purge != Awaiting.DESTROYED.value)
                .values(awaiting_purge=None)
                .returning(_c.id)
            )
        return sorted(freed)

    def marked(self, why: Awaiting, limit: int, *, after: str = "") -> list[str]:
        """See the port."""
        return self._session.column(
            select(_c.id)
            .where(
                _c.awaiting_purge.is_not(None),
                _c.awaiting_purge == why.value,
                _c.state == State.STORED.value,
                _c.id > after,
            )
            .order_by(_c.id)
            .limit(limit)
        )

    def claim(self, communication_ids: Collection[str], *, worker: str, lease_until: datetime) -> list[DueItem]:
        """See the port. A worker that claimed them before the restore does not exist any more in this database's life."""
        claimed: list[DueItem] = []
        held = Claims(self._session)
        held.take_turns()
        for batch in batches(communication_ids):
            waiting = (_c.awaiting_purge == Awaiting.DESTROYED.value, _c.state == State.STORED.value)
            found = self._session.column(
                select(_c.id).where(self._session.among(_c.id, batch), *waiting).with_for_update()
            )
            claimed += held.take(dict.fromkeys(found, State.STORED.value), worker=worker, lease_until=lease_until)
        return claimed

    def forget_source_ref(self, communication_id: str) -> None:
        """See the port."""
        self._session.change(update(communications).where(_c.id == communication_id).values(source_ref_hash=None))

    def _mark(
        self, communication_ids: Collection[str], mark: str | ColumnElement[str], which: ColumnElement[bool]
    ) -> list[str]:
        marked: list[str] = []
        for batch in batches(communication_ids):
            marked += self._session.column(
                update(communications)
                .where(self._session.among(_c.id, batch), _c.state == State.STORED.value, which)
                .values(awaiting_purge=mark)
                .returning(_c.id)
            )
        return sorted(marked)
