"""Suspensions, forecasts and the counting of ends.

Invariant: counting reads an index over ends, never the whole table; what is stopped lies in an index of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, literal, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import audit_entries, communications, forecasts, suspensions
from recvault.adapters.database.types import Moment
from recvault.domain.audit import MOVES_ENDS
from recvault.domain.brakes import Suspension
from recvault.domain.communication import State

_c = communications.c
_s = suspensions.c
_a = audit_entries.c
_SUSPENSION = [column for column in _s if column is not _s.standing]


class SqlBrakes:
    """Implements the port's ``Brakes``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_suspension(self, suspension: Suspension) -> None:
        """See the port."""
        self._session.insert(suspensions, {**asdict(suspension), "standing": 1})

    def suspension(self, *, lock: bool = False) -> Suspension | None:
        """See the port."""
        statement = select(*_SUSPENSION).where(_s.standing == 1)
        row = self._session.first(statement.with_for_update() if lock else statement)
        return None if row is None else Suspension(**row._mapping)

    def suspensions(self, limit: int) -> list[Suspension]:
        """See the port."""
        rows = self._session.rows(select(*_SUSPENSION).order_by(_s.placed_at.desc(), _s.id.desc()).limit(limit))
        return [Suspension(**row._mapping) for row in rows]

    def extend_suspension(self, suspension_id: str, until: datetime) -> None:
        """See the port."""
        self._change(suspension_id, until=until)

    def end_suspension(self, suspension_id: str, *, at: datetime, by: str) -> None:
        """See the port."""
        self._change(suspension_id, ended_at=at, ended_by=by, standing=None)

    def add_forecast(self, number: int, made_at: datetime, envelope: str) -> None:
        """See the port."""
        self._session.insert(forecasts, {"number": number, "made_at": made_at, "envelope": envelope})

    def forecasts(self, limit: int) -> list[tuple[int, str]]:
        """See the port."""
        rows = self._session.rows(
            select(forecasts.c.number, forecasts.c.envelope).order_by(forecasts.c.number.desc()).limit(limit)
        )
        return [(row.number, row.envelope) for row in rows]

    def drop_forecasts(self, before: int) -> None:
        """See the port."""
        self._session.change(delete(forecasts).where(forecasts.c.number < before))

    def count_ends(self, edges: Sequence[datetime]) -> list[int]:
        """See the port."""
        return self._count(edges)

    def count_known_ends(self, edges: Sequence[datetime], *, since: datetime) -> list[int]:
        """See the port."""
        moved = exists().where(_a.target == _c.id, _a.at > since, _a.act.in_(sorted(MOVES_ENDS)))
        return self._count(edges, _c.stored_at <= since, ~moved)

    def _count(self, edges: Sequence[datetime], *conditions: ColumnElement[bool]) -> list[int]:
        total = [0] * len(edges)
        sums = [func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in _between(edges)]
        for index in (_c.stopped_reason.is_(None), _c.stopped_reason.is_not(None)):
            row = self._session.first(
                select(*sums).where(
                    _c.state == State.STORED.value, index, _c.destroy_at <= _moment(edges[-1]), *conditions
                )
            )
            if row is not None:
                total = [before + int(more) for before, more in zip(total, row, strict=True)]
        return total

    def _change(self, suspension_id: str, **values: object) -> None:
        if not self._session.change(
            update(suspensions).where(_s.id == suspension_id, _s.ended_at.is_(None)).values(**values)
        ):
            raise missing("standing suspension")


def _between(edges: Sequence[datetime]) -> list[ColumnElement[bool]]:
    first = _c.destroy_at <= _moment(edges[0])
    later = [and_(_c.destroy_at > _moment(one), _c.destroy_at <= _moment(after)) for one, after in pairwise(edges)]
    return [first, *later]


def _moment(value: datetime) -> ColumnElement[datetime]:
    return literal(value, Moment())
