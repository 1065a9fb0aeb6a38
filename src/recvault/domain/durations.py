"""Periods of time as the law and a policy write them: ISO 8601 durations, added in local calendar time.

Invariants: two periods that are equal have the same effect (a year is 12 months, a week 7 days, an hour 3600
seconds; a month is never a number of days, a day never a number of hours); the result of an addition depends
on nothing but its arguments. Periods have no order, because one month is shorter or longer than 30 days;
:meth:`Period.fits_within` answers the one question a policy needs.

Left to others: which zone counts (it comes in as an argument; its table is read by whoever made it).
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from recvault.domain.errors import InvalidInput
from recvault.domain.ids import require_aware

# Nothing in a policy lasts longer; it also keeps additions within the years that a datetime knows.
_LONGEST_MONTHS = 1200
_LONGEST_DAYS = 36_525
_LONGEST_SECONDS = 36_525 * 86_400

_FORM = re.compile(
    r"P(?=[0-9]|T[0-9])(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?"
    r"(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?"
)
_LONGEST_TEXT = 64

# With and without a leap day, across 2000 (which has one) and 2100 (which has none): the shortest and the
# longest that some months can be occur from here.
_PROBE_YEARS = (*range(1997, 2001), *range(2024, 2028), *range(2096, 2101))
# Clocks move by an hour at most, so a day of the calendar has 23 to 25 hours.
_CLOCK_CHANGE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A length of time in three units that do not convert into each other; all are zero or more, at most 100
    years."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    def __post_init__(self) -> None:
        if min(self.months, self.days, self.seconds) < 0:
            raise ValueError("a period has no negative part")
        if self.months > _LONGEST_MONTHS or self.days > _LONGEST_DAYS or self.seconds > _LONGEST_SECONDS:
            raise ValueError("a period is at most 100 years long")

    @property
    def text(self) -> str:
        """The shortest ISO 8601 form without years and weeks: ``P24M``, ``P1DT2H``, ``P0D``."""
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        calendar = _written((self.months, "M"), (self.days, "D"))
        clock = _written((hours, "H"), (minutes, "M"), (seconds, "S"))
        if not calendar and not clock:
            return "P0D"
        return f"P{calendar}T{clock}" if clock else f"P{calendar}"

    @property
    def is_zero(self) -> bool:
        """Whether adding it changes nothing."""
        return self == NOTHING

    @property
    def exact(self) -> timedelta:
        """The same length on a stopwatch; ValueError when months or days make that depend on the calendar."""
        if self.months or self.days:
            raise ValueError(f"{self.text} depends on the calendar; write hours, minutes or seconds")
        return timedelta(seconds=self.seconds)

    def add_to(self, moment: datetime, zone: tzinfo) -> datetime:
        """The moment this much later, in UTC, reckoned on the calendar of ``zone``.

        Months first (a day that the month lacks becomes its last: 31 January + P1M is 28 or 29 February),
        then days, both keeping the local time of day; then hours, minutes and seconds as elapsed time. A
        local time that is skipped by a clock change is moved on by the length of the gap; one that occurs
        twice means the first. ValueError when ``moment`` carries no zone; OverflowError beyond the year 9999.
        """
        start = require_aware(moment, "moment")
        if self.months or self.days:
            local = start.astimezone(zone)
            day = _months_later(local.date(), self.months) + timedelta(days=self.days)
            start = datetime.combine(day, _time_of_day(local), tzinfo=zone).astimezone(UTC)
        return start + timedelta(seconds=self.seconds)

    @property
    def shortest(self) -> timedelta:
        """The least that adding it can amount to, on any calendar."""
        return self._extremes()[0]

    def fits_within(self, other: Period) -> bool:
        """Whether this is, from whatever moment it is counted, never longer than ``other``. When only some
        moments make it longer (P3M and P91D), the answer is no."""
        if self.months <= other.months and self.days <= other.days and self.seconds <= other.seconds:
            return True
        return self._extremes()[1] <= other._extremes()[0]

    def _extremes(self) -> tuple[timedelta, timedelta]:
        spans = [
            (_months_later(start, self.months) - start).days + self.days
            for year in _PROBE_YEARS
            for month in range(1, 13)
            for start in (date(year, month, 1), _months_later(date(year, 1, 31), month - 1))
        ]
        clock, slack = (
            timedelta(seconds=self.seconds),
            _CLOCK_CHANGE if self.months or self.days else timedelta(),
        )
        return timedelta(days=min(spans)) + clock - slack, timedelta(days=max(spans)) + clock + slack


NOTHING = Period()


def parse(text: str) -> Period:
    """Reads an ISO 8601 duration in whole numbers: ``P6M``, ``P1Y2M3W4D``, ``PT3S``, ``P1DT12H``.

    InvalidInput for anything else (signs, fractions, lower case, no number at all, more than 100 years).
    """
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        raise InvalidInput(
            f"{text[:_LONGEST_TEXT]!r} is no period; write an ISO 8601 duration such as P6M, P14D or PT3S"
        )
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return Period(
            months=years * 12 + months,
            days=weeks * 7 + days,
            seconds=hours * 3600 + minutes * 60 + seconds,
        )
    except ValueError as error:
        raise InvalidInput(f"{text!r} cannot be used: {error}; write a shorter one") from error


def _written(*parts: tuple[int, str]) -> str:
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _time_of_day(local: datetime) -> time:
    # Without the fold: which of two equal local times the start was says nothing about the end's.
    return local.time().replace(fold=0)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        raise OverflowError("the period ends beyond the year 9999")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
