"""Counts of listening, authorisations and reviews of access in the database.

A count is one statement that inserts or adds and tells the new sum: the row's lock makes processes count one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables_access import access_reviews, authorisations, listened_customers, listening
from recvault.adapters.database.tables_register import tokens
from recvault.adapters.database.types import Moment
from recvault.domain.approvals import ProposalKind
from recvault.domain.coverage import read_coverage
from recvault.domain.grants import Authorisation
from recvault.domain.listening import Counted, Day, day_of
from recvault.domain.ports.database.grants import Confirmation
from recvault.domain.purpose import Purpose

_l, _c, _a = listening.c, listened_customers.c, authorisations.c
_LOOKS = "looks"


class SqlListening:
    """Implements the port's ``Listening``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, person: str, hour: datetime) -> Counted:
        """See the port."""
        return self._count(person, hour, _LOOKS)

    def opening(self, person: str, hour: datetime, purpose: Purpose, customer_id: str | None) -> Counted:
        """See the port."""
        if customer_id is not None:
            row = {"person": person, "day": day_of(hour), "customer_id": customer_id}
            self._session.insert_missing(listened_customers, [row])
        return self._count(person, hour, purpose.value)

    def days(
        self, since: datetime, until: datetime, *, least: int = 0, people: Collection[str] | None = None
    ) -> list[Day]:
        """See the port."""
        asked: list[ColumnElement[bool]] = [] if people is None else [self._session.among(_l.person, people)]
        hours = self._session.rows(select(listening).where(_l.hour >= since, _l.hour < until, *asked))
        sums: dict[tuple[datetime, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in hours:
            for name in (_LOOKS, *(purpose.value for purpose in Purpose)):
                sums[day_of(row.hour), row.person][name] += row._mapping[name]
        customers = self._customers(since, until, people)
        days = [
            Day(
                person=person,
                day=day,
                opens={purpose: many for purpose in Purpose if (many := counts[purpose.value])},
                looks=counts[_LOOKS],
                customers=customers.get((day, person), 0),
            )
            for (day, person), counts in sorted(sums.items())
        ]
        return [day for day in days if max(day.opened, day.customers) >= least]

    def _customers(
        self, since: datetime, until: datetime, people: Collection[str] | None
    ) -> dict[tuple[datetime, str], int]:
        asked: list[ColumnElement[bool]] = [] if people is None else [self._session.among(_c.person, people)]
        counted = (
            select(_c.day, _c.person, func.count().label("many"))
            .where(_c.day >= day_of(since), _c.day < until, *asked)
            .group_by(_c.day, _c.person)
        )
        return {(row.day, row.person): row.many for row in self._session.rows(counted)}

    def any(self, since: datetime, until: datetime) -> bool:
        """See the port."""
        asked = select(_l.person).where(_l.hour >= since, _l.hour < until).limit(1)
        return self._session.first(asked) is not None

    def usual(self, person: str, day: datetime, days: int) -> float | None:
        """See the port."""
        found = self.days(day - timedelta(days=days), day, people=[person])
        opened = [one.opened for one in found if one.opened]
        return sum(opened) / len(opened) if opened else None

    def forget(self, before: datetime) -> int:
        """See the port."""
        gone = self._session.change(delete(listened_customers).where(_c.day < before))
        return gone + self._session.change(delete(listening).where(_l.hour < before))

    def _count(self, person: str, hour: datetime, name: str) -> Counted:
        names = (_LOOKS, *(purpose.value for purpose in Purpose))
        row = {"person": person, "hour": hour, **{one: int(one == name) for one in names}}
        counted = self._session.count_up(listening, row, key=["person", "hour"], column=name)
        values = counted._mapping
        return Counted(opens=sum(values[purpose.value] for purpose in Purpose), looks=values[_LOOKS])


class SqlAuthorisations:
    """Implements the port's ``Authorisations``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, authorisation: Authorisation) -> None:
        """See the port."""
        covers = None if authorisation.covers is None else authorisation.covers.written()
        row = asdict(authorisation) | {"kind": authorisation.kind.value, "covers": covers}
        self._session.insert(authorisations, row)

    def get(self, authorisation_id: str) -> Authorisation:
        """See the port."""
        row = self._session.first(select(authorisations).where(_a.id == authorisation_id))
        if row is None:
            raise missing("authorisation")
        return _authorisation(row)

    def issued(self, kind: ProposalKind, *, since: datetime, until: datetime) -> list[Authorisation]:
        """See the port."""
        rows = self._session.rows(
            select(authorisations)
            .where(_a.kind == kind.value, _a.issued_at >= since, _a.issued_at < until)
            .order_by(_a.issued_at, _a.id)
        )
        return [_authorisation(row) for row in rows]

    def live(self, kind: ProposalKind, now: datetime) -> int:
        """See the port."""
        return self._session.count(
            authorisations, _a.kind == kind.value, _a.issued_at <= now, _a.valid_until > now, _a.ended_at.is_(None)
        )

    def end(self, authorisation_id: str, at: datetime) -> None:
        """See the port."""
        self._session.change(
            update(authorisations).where(_a.id == authorisation_id, _a.ended_at.is_(None)).values(ended_at=at)
        )


class SqlReviews:
    """Implements the port's ``Reviews``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def confirm(self, confirmation: Confirmation) -> None:
        """See the port."""
        self._session.insert(access_reviews, asdict(confirmation))

    def of_week(self, week: str) -> list[Confirmation]:
        """See the port."""
        rows = self._session.rows(
            select(access_reviews)
            .where(access_reviews.c.week == week)
            .order_by(access_reviews.c.confirmed_at, access_reviews.c.reviewer)
        )
        return [Confirmation(**row._mapping) for row in rows]

    def last_used(self) -> dict[str, datetime]:
        """See the port."""
        asked = select(tokens.c.user_id, func.max(tokens.c.last_used_at, type_=Moment()).label("at"))
        return {row.user_id: row.at for row in self._session.rows(asked.group_by(tokens.c.user_id))}


def _authorisation(row: Row[Any]) -> Authorisation:
    values = dict(row._mapping)
    values["kind"] = ProposalKind(values["kind"])
    values["covers"] = None if values["covers"] is None else read_coverage(values["covers"])
    return Authorisation(**values)
