"""How much people look and listen: limits of an hour, and what is unusual enough that somebody should ask.

Keeps: hours and days are UTC, so that no change of clocks makes one twice as long. Counting is left to the database, telling
to ``services.notices`` and the weekly review.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.ids import require_aware
from recvault.domain.purpose import Purpose

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
USUAL_DAYS = 28
"""Days before today whose openings make somebody's usual day."""


class Look(StrEnum):
    """What is counted."""

    OPEN = "open"
    LOOK = "look"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many times one person may open content, and search or view, in one hour of the clock."""

    opens_per_hour: int = 60
    looks_per_hour: int = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusualRule:
    """Unusual is a day with at least ``least`` openings that are more than ``times`` the person's usual day (the mean of the
    days of the last four weeks on which they opened anything), or with recordings of ``customers`` different customers."""

    least: int = 20
    times: int = 3
    customers: int = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What one person did in one hour, with the act just counted."""

    opens: int
    looks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """One person's day: openings by purpose, how many different customers, and the usual day before it (openings; None where
    there was none)."""

    person: str
    day: datetime
    opens: dict[Purpose, int]
    looks: int = 0
    customers: int = 0
    usual: float | None = None

    @property
    def opened(self) -> int:
        """All openings."""
        return sum(self.opens.values())


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour of the clock."""
    return require_aware(moment, "moment").replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """The beginning of the day."""
    return require_aware(moment, "moment").replace(hour=0, minute=0, second=0, microsecond=0)


def until_next_hour(now: datetime) -> int:
    """Whole seconds until the count begins anew, at least one."""
    return max(1, -(-(hour_of(now) + HOUR - now) // timedelta(seconds=1)))


def is_unusual(day: Day, rule: UnusualRule) -> bool:
    """Whether somebody should ask about this day."""
    if day.customers >= rule.customers:
        return True
    return day.opened >= rule.least and day.opened > rule.times * (day.usual or 0)
