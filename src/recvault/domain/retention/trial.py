"""A policy tried on what is stored, before it is put in force: what would be destroyed now, sooner, later, and when.

Invariants: memory grows with days and kinds of customers, never with rows; what is counted is exactly what the job that
applies the policy will write (both ask :func:`~recvault.domain.retention.evaluate` with the same facts); nothing of a
customer but the kind.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from enum import StrEnum


class Shift(StrEnum):
    """What a policy does to one end. ``now``: it is due at once and was not."""

    NOW = "now"
    SOONER = "sooner"
    LATER = "later"
    SAME = "same"


def shift_of(before: datetime, after: datetime, now: datetime) -> Shift:
    """How the end moves, seen from ``now``."""
    if after == before:
        return Shift.SAME
    if after > before:
        return Shift.LATER
    return Shift.NOW if after <= now < before else Shift.SOONER


@dataclass(kw_only=True, slots=True)
class Trial:
    """The tally. ``shifts`` by customer kind; ``days``: how many are destroyed on a local day by kind, before and after,
    of those whose end moves; ``frozen``: of those that would be due now, how many a hold keeps. Unknown kinds are ``""``.
    """

    version: str
    rows: int = 0
    frozen: int = 0
    shifts: Counter[tuple[Shift, str]] = field(default_factory=Counter)
    before: Counter[tuple[date, str]] = field(default_factory=Counter)
    after: Counter[tuple[date, str]] = field(default_factory=Counter)

    def count(self, shift: Shift, kind: str | None, before: datetime, after: datetime, zone: tzinfo) -> None:
        """Counts one communication."""
        self.rows += 1
        self.shifts[(shift, kind or "")] += 1
        if shift is not Shift.SAME:
            self.before[(before.astimezone(zone).date(), kind or "")] += 1
            self.after[(after.astimezone(zone).date(), kind or "")] += 1

    def total(self, shift: Shift) -> int:
        """How many ends shift so, over all kinds."""
        return sum(number for (found, _), number in self.shifts.items() if found is shift)

    def by_day(self) -> list[tuple[date, str, int, int]]:
        """(day, customer kind, before, after) in order of days."""
        return [(day, kind, self.before[day, kind], self.after[day, kind]) for day, kind in self._keys()]

    def _keys(self) -> list[tuple[date, str]]:
        return sorted({*self.before, *self.after})
