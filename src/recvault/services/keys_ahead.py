"""Day keys made before they are needed, so that a place of the keyring that is away at midnight stops no upload.

A new key must reach every place before its first use (``ports.keyring``). Every day of destruction that the policy in force
can give to a contact of the coming days has its key by then: whichever rules win, the end of a new communication is the
keeping time, the least or the cap of one of them, the ceiling, or the delay of the do-not-keep mark. What falls elsewhere (an
old call brought in, a relationship that ended on another day) still finds or makes its key by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from recvault.domain.ports.system import Clock
from recvault.domain.retention import Policy
from recvault.services.period_keys import PeriodKeys
from recvault.services.retention import Retention

DAYS_AHEAD = 3
"""How long a place of the keyring may be away before the first upload has to wait for a key."""

_HOURS = (time(0), time(12), time(23, 59, 59, 999_999))


class KeysAhead:
    """Makes the keys of the coming days."""

    def __init__(self, *, period_keys: PeriodKeys, retention: Retention, clock: Clock, zone: tzinfo) -> None:
        self._period_keys = period_keys
        self._retention = retention
        self._clock = clock
        self._zone = zone

    def prepare(self) -> int:
        """Makes what is missing; how many days have an open key now. KeyringError when a place is away."""
        now = self._clock.now()
        today = now.astimezone(self._zone).date()
        days = sorted(
            day
            for day in ends_of_contacts(
                self._retention.active(), today - timedelta(days=1), today + timedelta(days=DAYS_AHEAD), self._zone
            )
            if day >= today
        )
        for day in days:
            self._period_keys.open_key("day", day.isoformat())
        return len(days)


def ends_of_contacts(policy: Policy, first: date, last: date, zone: tzinfo) -> set[date]:
    """Every day on which the policy can end a contact of the days ``first`` to ``last``, whichever of its rules win."""
    return {
        end.astimezone(zone).date()
        for number in range((last - first).days + 1)
        for hour in _HOURS
        for end in _ends(policy, datetime.combine(first + timedelta(days=number), hour, zone).astimezone(UTC), zone)
    }


def _ends(policy: Policy, contact_at: datetime, zone: tzinfo) -> Iterator[datetime]:
    ceiling = policy.ceiling.keep.add_to(contact_at, zone)
    yield ceiling
    yield policy.do_not_keep.keep.add_to(contact_at, zone)
    for rule in policy.rules:
        for period in (rule.keep, rule.at_least, rule.cap):
            yield min(period.add_to(contact_at, zone), ceiling)
