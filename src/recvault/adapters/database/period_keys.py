"""Rows that stand for day keys and frozen-month keys: the locks that a writer and a closing meet at."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import and_, func, literal, or_, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import period_keys
from recvault.adapters.database.types import Moment
from recvault.domain.accounts import PeriodKey

_k = period_keys.c
_DAY, _MONTH = len("2026-11-22"), len("2026-11")


class SqlPeriodKeys:
    """Implements the port's ``PeriodKeys``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open_for(self, period: str) -> PeriodKey | None:
        """See the port."""
        row = self._session.first(
            select(period_keys)
            .where(_k.period == period, _k.closing_at.is_(None), _k.destroyed_at.is_(None))
            .order_by(_k.generation.desc())
            .limit(1)
        )
        return None if row is None else PeriodKey(**row._mapping)

    def last_generation(self, period: str) -> int:
        """See the port."""
        row = self._session.first(select(func.max(_k.generation)).where(_k.period == period))
        return (row[0] if row else None) or 0

    def add(self, key: PeriodKey) -> None:
        """See the port."""
        self._session.insert(period_keys, asdict(key))

    def get(self, key_id: str) -> PeriodKey:
        """See the port."""
        row = self._session.first(select(period_keys).where(_k.key_id == key_id))
        if row is None:
            raise missing("period key")
        return PeriodKey(**row._mapping)

    def share(self, key_id: str) -> PeriodKey:
        """See the port."""
        return self._locked(key_id, shared=True)

    def lock(self, key_id: str) -> PeriodKey:
        """See the port."""
        return self._locked(key_id, shared=False)

    def mark_closing(self, key_id: str, at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, closing_at=func.coalesce(_k.closing_at, literal(at, Moment())))

    def mark_destroyed(self, key_id: str, at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, destroyed_at=func.coalesce(_k.destroyed_at, literal(at, Moment())))

    def closable(self, *, day_before: str, month_before: str) -> list[PeriodKey]:
        """In period order."""
        rows = self._session.rows(
            select(period_keys)
            .where(
                _k.destroyed_at.is_(None),
                or_(
                    and_(func.length(_k.period) == _DAY, _k.period < day_before),
                    and_(func.length(_k.period) == _MONTH, _k.period < month_before),
                ),
            )
            .order_by(_k.period, _k.generation)
        )
        return [PeriodKey(**row._mapping) for row in rows]

    def in_closing(self) -> list[PeriodKey]:
        """See the port."""
        rows = self._session.rows(
            select(period_keys).where(_k.closing_at.is_not(None), _k.destroyed_at.is_(None)).order_by(_k.key_id)
        )
        return [PeriodKey(**row._mapping) for row in rows]

    def _locked(self, key_id: str, *, shared: bool) -> PeriodKey:
        row = self._session.first(select(period_keys).where(_k.key_id == key_id).with_for_update(read=shared))
        if row is None:
            raise missing("period key")
        return PeriodKey(**row._mapping)

    def _mark(self, key_id: str, **values: object) -> None:
        if not self._session.change(update(period_keys).where(_k.key_id == key_id).values(**values)):
            raise missing("period key")
