"""How often somebody may try to sign in: counters of failures, and the waits that follow from them.

Keeps: every try counts as failed until it has succeeded, so that many at once are no way around; what is counted is the
account from one network, the network, and the account from everywhere. A browser or program that has signed in to the
account before (a *known device*) is counted by itself alone: whoever tries from outside delays strangers, never the person.
Waits grow by doubling up to a bound; failures are forgiven at a steady pace, which is then the most tries there can be.
Left to others: who a client is and what a counter is called (``services.throttle``), storing.

Source: OWASP Authentication Cheat Sheet (device cookies); NIST SP 800-63B, 5.2.2 (rate limiting).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.ids import require_aware

FORGET = timedelta(days=1)
"""A counter dies when nothing failed for so long."""


class Counted(StrEnum):
    """Whose failures a counter counts."""

    PAIR = "pair"
    """One account from one network."""
    NETWORK = "network"
    """One network, whatever the account."""
    ACCOUNT = "account"
    """One account from everywhere, unknown devices only."""
    DEVICE = "device"
    """One account from one known device."""


class Secret(StrEnum):
    """What is tried; each is counted apart."""

    PASSWORD = "password"
    CODE = "code"
    """A second factor: only who knows the password gets as far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """``free`` failures cost nothing; the next costs a wait of ``first``, each further one twice as much, ``most`` at
    most. One failure is forgiven every ``forgiven``."""

    free: int
    first: timedelta
    most: timedelta
    forgiven: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long to wait after so many failures."""
        over = failures - self.free
        if over <= 0:
            return timedelta(0)
        return min(self.first * (1 << min(over - 1, 30)), self.most)


_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)

RULES: Mapping[tuple[Secret, Counted], Rule] = {
    (Secret.PASSWORD, Counted.PAIR): Rule(free=5, first=2 * _SECOND, most=_HOUR, forgiven=_HOUR),
    (Secret.PASSWORD, Counted.NETWORK): Rule(free=50, first=_SECOND, most=15 * _MINUTE, forgiven=5 * _MINUTE),
    (Secret.PASSWORD, Counted.ACCOUNT): Rule(free=100, first=10 * _SECOND, most=_HOUR, forgiven=10 * _MINUTE),
    (Secret.PASSWORD, Counted.DEVICE): Rule(free=10, first=_SECOND, most=15 * _MINUTE, forgiven=30 * _MINUTE),
    (Secret.CODE, Counted.PAIR): Rule(free=5, first=2 * _SECOND, most=_HOUR, forgiven=_HOUR),
    (Secret.CODE, Counted.NETWORK): Rule(free=50, first=_SECOND, most=15 * _MINUTE, forgiven=5 * _MINUTE),
    (Secret.CODE, Counted.ACCOUNT): Rule(free=20, first=10 * _SECOND, most=_HOUR, forgiven=_HOUR),
    (Secret.CODE, Counted.DEVICE): Rule(free=10, first=2 * _SECOND, most=15 * _MINUTE, forgiven=30 * _MINUTE),
}

ALARMING = 20
"""So many failures on one account are worth a person's look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """A counter. ``key`` is a keyed hash: neither an account nor an address can be read from it. ``until``: nothing is
    tried before; ``told``: that it refuses stands in the log."""

    key: bytes
    secret: Secret
    counted: Counted
    failures: int
    last_at: datetime
    until: datetime | None = None
    told: bool = False

    def __post_init__(self) -> None:
        require_aware(self.last_at, "last_at")

    def refuses(self, now: datetime) -> bool:
        """Whether it is too early to try."""
        return self.until is not None and now < self.until

    def failed(self, now: datetime) -> Tally:
        """After one more failure."""
        rule = RULES[self.secret, self.counted]
        forgiven = max(now - self.last_at, timedelta(0)) // rule.forgiven
        failures = max(self.failures - forgiven, 0) + 1
        wait = rule.wait(failures)
        return replace(self, failures=failures, last_at=now, until=now + wait if wait else None, told=False)

    def succeeded(self, counted_as: Tally) -> Tally:
        """After the try that ``counted_as`` counted as failed turned out well; what others failed meanwhile stays."""
        until = None if self.until == counted_as.until else self.until
        own = self.counted in (Counted.PAIR, Counted.DEVICE)
        return replace(self, failures=0 if own else max(self.failures - 1, 0), until=None if own else until)


def waits(tallies: Iterable[Tally], now: datetime) -> timedelta:
    """How long all of them together make one wait; zero when none refuses."""
    return max((one.until - now for one in tallies if one.until is not None and now < one.until), default=timedelta(0))
