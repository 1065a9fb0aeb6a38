"""Rows that stand for day keys and frozen-month keys: the locks that a writer and a closing meet at.

What lies under a key, and moving it, is :mod:`rewrapping`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, func, literal, or_, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.rewrapping import Rewrapping
from recvault.adapters.database.tables import destruction_keys, destructions, key_departures, period_keys
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.accounts import PeriodKey

_k = period_keys.c
_SHARED = select(period_keys).where(_k.key_id == bindparam("key", type_=TEXT)).with_for_update(read=True)
_DAY, _MONTH = len("2026-11-22"), len("2026-11")


def _open() -> ColumnElement[bool]:
    return and_(_k.superseded_at.is_(None), _k.vacant_at.is_(None), _k.closing_at.is_(None), _k.destroyed_at.is_(None))


class SqlPeriodKeys(Rewrapping):
    """Implements the port's ``PeriodKeys``."""

    def open_for(self, period: str) -> PeriodKey | None:
        """See the port."""
        row = self._session.first(
            select(period_keys).where(_k.period == period, _open()).order_by(_k.generation.desc()).limit(1)
        )
        return None if row is None else PeriodKey(**row._mapping)

    def last_generation(self, period: str) -> int:
        """See the port."""
        row = self._session.first(select(func.max(_k.generation)).where(_k.period == period))
        return (row[0] if row else None) or 0

    def add(self, key: PeriodKey) -> None:
        """See the port."""
        self._session.insert(period_keys, asdict(key))

    def add_missing(self, key: PeriodKey) -> bool:
        """See the port."""
        return bool(self._session.insert_if_missing(period_keys, asdict(key)))

    def get(self, key_id: str) -> PeriodKey:
        """See the port."""
        row = self._session.first(select(period_keys).where(_k.key_id == key_id))
        if row is None:
            raise missing("period key")
        return PeriodKey(**row._mapping)

    def share(self, key_id: str) -> PeriodKey:
        """See the port."""
        return _found(self._session.first(_SHARED, {"key": key_id}))

    def lock(self, key_id: str) -> PeriodKey:
        """See the port."""
        return _found(self._session.first(select(period_keys).where(_k.key_id == key_id).with_for_update()))

    def supersede(self, key_id: str, *, at: datetime, demanded_at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, superseded_at=at, demanded_at=demanded_at)

    def mark_vacant(self, key_id: str, at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, vacant_at=at)

    def mark_closing(self, key_id: str, at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, closing_at=at)

    def mark_noted(self, key_ids: Collection[str], at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        for key_id in sorted(key_ids):
            self._mark(key_id, noted_at=at)

    def mark_destroyed(self, key_id: str, at: datetime) -> None:
        """The first moment stands. NotFound when unknown."""
        self._mark(key_id, destroyed_at=at)
        self._session.change(delete(key_departures).where(key_departures.c.key_id == key_id))

    def closable(self, *, day_before: str, month_before: str) -> list[PeriodKey]:
        """In period order."""
        return self._keys(
            _k.destroyed_at.is_(None),
            or_(
                and_(func.length(_k.period) == _DAY, _k.period < day_before),
                and_(func.length(_k.period) == _MONTH, _k.period < month_before),
            ),
        )

    def superseded(self) -> list[PeriodKey]:
        """See the port."""
        return self._keys(_k.superseded_at.is_not(None), _k.destroyed_at.is_(None))

    def in_closing(self) -> list[PeriodKey]:
        """See the port."""
        closing = self._keys(_k.closing_at.is_not(None), _k.destroyed_at.is_(None))
        return sorted(closing, key=lambda key: key.key_id)

    def living(self) -> list[PeriodKey]:
        """See the port."""
        return self._keys(_k.destroyed_at.is_(None))

    def demanded(self, *, day_after: str) -> list[tuple[PeriodKey, datetime]]:
        """See the port. One look into an index for each open key, however many tombstones there are."""
        first = (
            select(func.min(destructions.c.shredded_at, type_=Moment()))
            .join(destruction_keys, destruction_keys.c.communication_id == destructions.c.communication_id)
            .where(destruction_keys.c.key_id == _k.key_id)
            .correlate(period_keys)
            .scalar_subquery()
        )
        rows = self._session.rows(
            select(period_keys, first.label("first"))
            .where(_open(), func.length(_k.period) == _DAY, _k.period > day_after)
            .order_by(_k.period, _k.generation)
        )
        return [
            (PeriodKey(**{name: value for name, value in row._mapping.items() if name != "first"}), row.first)
            for row in rows
            if row.first is not None
        ]

    def depart(self, key_id: str, at: datetime) -> None:
        """See the port."""
        self._session.insert_missing(key_departures, [{"key_id": key_id, "at": at}])

    def last_departure(self, key_id: str) -> datetime | None:
        """See the port."""
        statement = select(func.max(key_departures.c.at, type_=Moment())).where(key_departures.c.key_id == key_id)
        row = self._session.first(statement)
        return row[0] if row else None

    def _keys(self, *conditions: ColumnElement[bool]) -> list[PeriodKey]:
        rows = self._session.rows(select(period_keys).where(*conditions).order_by(_k.period, _k.generation))
        return [PeriodKey(**row._mapping) for row in rows]

    def _mark(self, key_id: str, **moments: datetime) -> None:
        first = {name: func.coalesce(_k[name], literal(at, Moment())) for name, at in moments.items()}
        if not self._session.change(update(period_keys).where(_k.key_id == key_id).values(**first)):
            raise missing("period key")


def _found(row: Row[Any] | None) -> PeriodKey:
    if row is None:
        raise missing("period key")
    return PeriodKey(**row._mapping)
