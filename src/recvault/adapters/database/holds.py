"""Holds in the database. Rows stay after their release: that a hold stood is evidence.

Invariant: what a hold covers is asked of the database in one statement, whatever its scope; ids are never gathered for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, case, func, literal, select, union_all, update

from recvault.adapters.database import search
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import communications, hold_items, holds
from recvault.adapters.database.types import Moment
from recvault.domain.communication import SearchQuery, State, VisibleSet
from recvault.domain.errors import Conflict
from recvault.domain.holds import Hold, HoldCount, HoldKind

_c = communications.c
_h = holds.c
_HOLD = [column for column in _h if column is not _h.release_noted_at]


class SqlHolds:
    """Implements the port's ``Holds``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, hold: Hold) -> None:
        """See the port."""
        self._session.insert(holds, asdict(hold) | {"kind": hold.kind.value})

    def add_items(self, hold_id: str, communication_ids: Collection[str]) -> None:
        """See the port."""
        for batch in batches(communication_ids):
            self._session.insert_missing(hold_items, [{"hold_id": hold_id, "communication_id": one} for one in batch])

    def found(self, query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> list[str]:
        """See the port."""
        if not visible:
            return []
        return self._session.column(search.statement(replace(query, after=None), visible, now).with_only_columns(_c.id))

    def lock_standing(self, communication_ids: Collection[str]) -> list[str]:
        """See the port."""
        standing: list[str] = []
        for batch in batches(communication_ids):
            rows = self._session.rows(
                select(_c.id, (_c.state == State.STORED.value).label("readable"))
                .where(self._session.among(_c.id, batch))
                .order_by(_c.id)
                .with_for_update(of=communications)
            )
            standing += [row.id for row in rows if row.readable]
        return standing

    def get(self, hold_id: str) -> Hold:
        """See the port."""
        row = self._session.first(select(*_HOLD).where(_h.id == hold_id))
        if row is None:
            raise missing("hold")
        return _hold(row)

    def release(self, hold_id: str, *, by: str, at: datetime) -> None:
        """NotFound when unknown; Conflict when it was released before (the first release stands)."""
        if self._session.change(
            update(holds).where(_h.id == hold_id, _h.released_at.is_(None)).values(released_at=at, released_by=by)
        ):
            return
        self.get(hold_id)
        raise Conflict("the hold was released before; its first release stands")

    def releases_not_noted(self) -> list[Hold]:
        """See the port."""
        rows = self._session.rows(
            select(*_HOLD).where(_h.released_at.is_not(None), _h.release_noted_at.is_(None)).order_by(_h.id)
        )
        return [_hold(row) for row in rows]

    def note_release(self, hold_id: str, at: datetime) -> None:
        """See the port."""
        self._session.change(update(holds).where(_h.id == hold_id).values(release_noted_at=at))

    def active(self) -> list[Hold]:
        """See the port."""
        rows = self._session.rows(select(*_HOLD).where(_h.released_at.is_(None)).order_by(_h.placed_at, _h.id))
        return [_hold(row) for row in rows]

    def covering(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See the port; the hold ids in order."""
        found: dict[str, set[str]] = {}
        for communication_id, hold_id in self._standing_on(communication_ids):
            found.setdefault(communication_id, set()).add(hold_id)
        return {communication_id: tuple(sorted(ids)) for communication_id, ids in found.items()}

    def restricted(self, communication_ids: Collection[str]) -> frozenset[str]:
        """See the port."""
        restriction = _h.kind == HoldKind.RESTRICTION.value
        return frozenset(communication_id for communication_id, _ in self._standing_on(communication_ids, restriction))

    def _standing_on(self, communication_ids: Collection[str], *only: ColumnElement[bool]) -> Iterator[tuple[str, str]]:
        """Communication and hold: directly, through its customer, through a search."""
        for batch in batches(communication_ids):
            direct = select(_h.communication_id, _h.id).where(self._session.among(_h.communication_id, batch))
            through_customer = (
                select(_c.id, _h.id)
                .join(holds, _h.customer_id == _c.customer_id)
                .where(self._session.among(_c.id, batch))
            )
            through_snapshot = (
                select(hold_items.c.communication_id, _h.id)
                .join(holds, _h.id == hold_items.c.hold_id)
                .where(self._session.among(hold_items.c.communication_id, batch))
            )
            ways = (direct, through_customer, through_snapshot)
            for row in self._session.rows(union_all(*(way.where(_h.released_at.is_(None), *only) for way in ways))):
                yield str(row[0]), str(row[1])

    def count_covered(self, hold_id: str) -> int:
        """See the port. NotFound when unknown; what is shredded is not stored any more."""
        row = self._session.first(select(_covered()).where(_h.id == hold_id))
        if row is None:
            raise missing("hold")
        return int(row[0])

    def report(self, now: datetime) -> list[HoldCount]:
        """See the port."""
        due = _c.destroy_at <= literal(now, Moment())
        rows = self._session.rows(
            select(*_HOLD, _covered().label("covered"), _covered(due).label("kept_back"))
            .where(_h.released_at.is_(None))
            .order_by(_h.placed_at, _h.id)
        )
        return [HoldCount(hold=_hold(row), covered=int(row.covered), kept_back=int(row.kept_back)) for row in rows]


def _hold(row: Row[*tuple[Any, ...]]) -> Hold:
    values = {column.name: row._mapping[column] for column in _HOLD}
    return Hold(**values | {"kind": HoldKind(values["kind"])})


def _covered(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """How many stored communications the hold of the surrounding statement covers; only the branch of its scope is run."""
    stored = (_c.state == State.STORED.value, *conditions)

    def counted(*where: ColumnElement[bool]) -> ScalarSelect[int]:
        return (
            select(func.count()).select_from(communications).where(*where, *stored).correlate(holds).scalar_subquery()
        )

    found = (
        select(func.count())
        .select_from(communications.join(hold_items, hold_items.c.communication_id == _c.id))
        .where(hold_items.c.hold_id == _h.id, *stored)
        .correlate(holds)
        .scalar_subquery()
    )
    return case(
        (_h.communication_id.is_not(None), counted(_c.id == _h.communication_id)),
        (_h.customer_id.is_not(None), counted(_c.customer_id == _h.customer_id)),
        else_=found,
    )
