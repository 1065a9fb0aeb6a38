"""Counters of failed sign-ins."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, update

from recvault.adapters.database.session import Session
from recvault.adapters.database.tables_sign_in import sign_in_attempts as attempts
from recvault.domain.attempts import Counted, Secret, Tally

# What every try asks, let through or not; made once, because making a statement costs as much as running it.
_FIND = select(attempts).where(attempts.c.key.in_(bindparam("keys", expanding=True)))
_CHANGES = ("failures", "last_at", "until", "told")


class SqlAttempts:
    """Implements the port's ``Attempts``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, keys: Collection[bytes]) -> list[Tally]:
        """See the port."""
        return [_tally(row) for row in self._session.rows(_FIND, {"keys": sorted(keys)})]

    def lock(self, blank: Iterable[Tally]) -> list[Tally]:
        """See the port."""
        rows = [asdict(one) for one in sorted(blank, key=lambda one: one.key)]
        self._session.insert_missing(attempts, rows)
        mine = select(attempts).where(attempts.c.key.in_([row["key"] for row in rows]))
        return [_tally(row) for row in self._session.rows(mine.order_by(attempts.c.key).with_for_update())]

    def put(self, tallies: Collection[Tally]) -> None:
        """See the port."""
        statement = (
            update(attempts)
            .where(attempts.c.key == bindparam("its_key"))
            .values({name: bindparam(f"its_{name}") for name in _CHANGES})
        )
        rows = [{f"its_{name}": getattr(one, name) for name in ("key", *_CHANGES)} for one in tallies]
        if rows:
            self._session.change(statement, rows)

    def tell(self, keys: Collection[bytes], now: datetime) -> bool:
        """See the port."""
        refusing = (attempts.c.key.in_(sorted(keys)), attempts.c.until > now, attempts.c.told.is_(False))
        return self._session.change(update(attempts).where(*refusing).values(told=True)) > 0

    def crowded(self, kinds: Collection[Counted], *, failures: int, since: datetime) -> int:
        """See the port."""
        return self._session.count(
            attempts,
            attempts.c.counted.in_([kind.value for kind in kinds]),
            attempts.c.failures >= failures,
            attempts.c.last_at >= since,
        )

    def tidy(self, *, before: datetime, most: int) -> int:
        """See the port."""
        over = select(attempts.c.key).where(attempts.c.last_at < before).with_for_update(skip_locked=True)
        gone = self._session.change(delete(attempts).where(attempts.c.key.in_(over)))
        surplus = self._session.one(select(func.count()).select_from(attempts)) - most
        if surplus > 0:
            fewest = select(attempts.c.key).order_by(attempts.c.failures, attempts.c.last_at).limit(surplus)
            fewest = fewest.with_for_update(skip_locked=True)
            gone += self._session.change(delete(attempts).where(attempts.c.key.in_(fewest)))
        return gone


def _tally(row: Row[Any]) -> Tally:
    values = dict(row._mapping)
    return Tally(**values | {"secret": Secret(values["secret"]), "counted": Counted(values["counted"])})
