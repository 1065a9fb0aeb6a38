"""Holds in the database. Rows stay after their release: that a hold stood is evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import communications, holds
from recvault.domain.communication import State
from recvault.domain.errors import Conflict
from recvault.domain.holds import Hold

_c = communications.c


class SqlHolds:
    """Implements the port's ``Holds``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, hold: Hold) -> None:
        """See the port."""
        self._session.insert(holds, asdict(hold))

    def get(self, hold_id: str) -> Hold:
        """See the port."""
        row = self._session.first(select(holds).where(holds.c.id == hold_id))
        if row is None:
            raise missing("hold")
        return Hold(**row._mapping)

    def release(self, hold_id: str, *, by: str, at: datetime) -> None:
        """NotFound when unknown; Conflict when it was released before (the first release stands)."""
        if self._session.change(
            update(holds)
            .where(holds.c.id == hold_id, holds.c.released_at.is_(None))
            .values(released_at=at, released_by=by)
        ):
            return
        self.get(hold_id)
        raise Conflict("the hold was released before; its first release stands")

    def active(self) -> list[Hold]:
        """See the port."""
        rows = self._session.rows(
            select(holds).where(holds.c.released_at.is_(None)).order_by(holds.c.placed_at, holds.c.id)
        )
        return [Hold(**row._mapping) for row in rows]

    def covering(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See the port; the hold ids in order."""
        found: dict[str, set[str]] = {}
        for batch in batches(communication_ids):
            direct = select(holds.c.communication_id, holds.c.id).where(
                holds.c.communication_id.in_(batch), holds.c.released_at.is_(None)
            )
            through_customer = (
                select(_c.id, holds.c.id)
                .join(holds, holds.c.customer_id == _c.customer_id)
                .where(_c.id.in_(batch), holds.c.released_at.is_(None))
            )
            for statement in (direct, through_customer):
                for communication_id, hold_id in self._session.rows(statement):
                    found.setdefault(str(communication_id), set()).add(hold_id)
        return {communication_id: tuple(sorted(ids)) for communication_id, ids in found.items()}

    def count_covered(self, hold_id: str) -> int:
        """See the port. NotFound when unknown; what is shredded is not stored any more."""
        hold = self.get(hold_id)
        # Comparing with None would ask for IS NULL: a hold on one communication would count all those unmatched.
        covered = (
            _c.customer_id == hold.customer_id if hold.communication_id is None else _c.id == hold.communication_id
        )
        return self._session.count(communications, _c.state == State.STORED.value, covered)
