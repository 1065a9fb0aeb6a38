"""How much one person may look and listen in an hour, and whose day is unusual.

Keeps: the count is made in the transaction of the act and shared by all processes, so that nobody gets more by asking many of
them at once; it is by person, not by account. A refused act is not counted, and its transaction undoes the count.

Leaves to others: whether the person may at all (``domain.access``), telling people (``services.alarms``,
``services.access_review``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from recvault.domain.access import Actor
from recvault.domain.errors import LimitReached
from recvault.domain.listening import (
    DAY,
    USUAL_DAYS,
    Day,
    Limits,
    UnusualRule,
    day_of,
    hour_of,
    is_unusual,
    until_next_hour,
)
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.domain.purpose import Purpose

KEPT = timedelta(days=100)
"""How long counts stay: a review looks back at a week and its usual days, and accounts unused for 90 days."""


class ListeningLimits:
    """Counts and refuses."""

    def __init__(self, *, database: Database, clock: Clock, limits: Limits, unusual: UnusualRule) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._unusual = unusual

    def look(self, unit: UnitOfWork, actor: Actor, now: datetime) -> None:
        """Counts a search or a view; LimitReached when it is one too many."""
        counted = unit.listening.look(actor.who, hour_of(now))
        if counted.looks > self._limits.looks_per_hour:
            raise _reached("searching and viewing", self._limits.looks_per_hour, actor, now)

    def opening(self, unit: UnitOfWork, actor: Actor, purpose: Purpose, customer_id: str | None, now: datetime) -> None:
        """Counts an opening; LimitReached when it is one too many."""
        counted = unit.listening.opening(actor.who, hour_of(now), purpose, customer_id)
        if counted.opens > self._limits.opens_per_hour:
            raise _reached("opening", self._limits.opens_per_hour, actor, now)

    def unusual_days(self, unit: UnitOfWork, since: datetime, until: datetime) -> list[Day]:
        """The unusual days of everybody, each with the usual day it was compared with."""
        least = min(self._unusual.least, self._unusual.customers)
        found = unit.listening.days(since, until, least=least)
        usual = [replace(day, usual=unit.listening.usual(day.person, day.day, USUAL_DAYS)) for day in found]
        return [day for day in usual if is_unusual(day, self._unusual)]

    def unusual_today(self, unit: UnitOfWork, now: datetime) -> int:
        """How many people listen unusually much today."""
        today = day_of(now)
        return len(self.unusual_days(unit, today, today + DAY))

    def forget(self) -> int:
        """Drops counts that nobody asks for any more; how many rows (a tick of the worker)."""
        with self._database.begin() as unit:
            gone = unit.listening.forget(day_of(self._clock.now() - KEPT))
            unit.commit()
        return gone


def _reached(what: str, limit: int, actor: Actor, now: datetime) -> LimitReached:
    wait = until_next_hour(now)
    return LimitReached(
        f"this is enough {what} for one hour (at most {limit}); go on in {-(-wait // 60)} minutes, or ask an administrator "
        "to raise the limit ([access])",
        retry_after_seconds=wait,
        person=actor.id,
    )
