"""The life of a period key: when it stops wrapping, and when it may die.

A key is *open* while new data keys may come under it. It is *superseded* when a destruction before its day asked for the
next generation of the same day, and its neighbours move there. *Waiting*: nothing lies under it any more, but what left it
alive may stand in backups under this key alone, so that it dies only after a newer backup was verified, at the latest when
the wait is over. *Closing*: it dies now. *Destroyed*: gone from every place of the keyring, by the keyring's word.

Invariants: a key under which nothing alive ever left goes from open to closing without a wait; a key never dies before it
was seen empty; no configuration makes the wait longer than ``LONGEST_WAIT``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.accounts import PeriodKey
from recvault.domain.ids import require_aware

LONGEST_WAIT = timedelta(days=7)
"""The most that a superseded key may wait for a verified backup, from the destruction that asked for its end."""


class KeyState(StrEnum):
    """How far a period key has come."""

    OPEN = "open"
    SUPERSEDED = "superseded"
    WAITING = "waiting"
    CLOSING = "closing"
    DESTROYED = "destroyed"


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitLimits:
    """``longest``: how long a key waits for a newer verified backup, at most ``LONGEST_WAIT``. ``settling``: how long a
    transaction that re-wraps may take to commit. ``skew``: what the clocks of two hosts may differ by."""

    longest: timedelta = LONGEST_WAIT
    settling: timedelta = timedelta(hours=1)
    skew: timedelta = timedelta(minutes=2)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.longest <= LONGEST_WAIT:
            raise ValueError(f"a superseded key waits more than nothing and at most {LONGEST_WAIT.days} days")

    @property
    def gather(self) -> timedelta:
        """How long destructions of one day are gathered while an older generation of it still waits."""
        return self.longest / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class WrappedKey:
    """A wrapped data key and whose it is."""

    communication_id: str
    wrapped_key: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyStanding:
    """A key as a person sees it: ``under`` data keys lie under it now, and it dies at the latest at ``dies_by`` (None
    while that is not known)."""

    key: PeriodKey
    state: KeyState
    under: int
    dies_by: datetime | None


def state_of(key: PeriodKey) -> KeyState:
    """The state its row tells."""
    if key.destroyed_at is not None:
        return KeyState.DESTROYED
    if key.closing_at is not None:
        return KeyState.CLOSING
    if key.vacant_at is not None:
        return KeyState.WAITING
    return KeyState.OPEN if key.superseded_at is None else KeyState.SUPERSEDED


def dies_by(key: PeriodKey, left_at: datetime | None, limits: WaitLimits) -> datetime | None:
    """When a superseded or vacant key dies at the latest: counted from the destruction that asked for its end, though half
    of the wait always comes after it was superseded, however late that was. ``left_at``: when something alive was last
    re-wrapped from it to another key (None: never, then it dies as soon as it is vacant)."""
    if state_of(key) is KeyState.OPEN:
        return None
    if key.superseded_at is not None and key.demanded_at is not None:
        return max(key.demanded_at + limits.longest, key.superseded_at + limits.longest - limits.gather)
    since = left_at or key.vacant_at
    return None if since is None else since + limits.longest


def may_die(
    key: PeriodKey, left_at: datetime | None, verified_at: datetime | None, now: datetime, limits: WaitLimits
) -> bool:
    """Whether a key that was seen vacant may be destroyed: nothing alive ever left it, or a backup begun after the last
    departure was verified (``verified_at`` is when the newest verified one was begun), or the wait is over."""
    now = require_aware(now, "now")
    if key.vacant_at is None:
        return False
    if left_at is None:
        return True
    # A departure is dated before its commit: only what was seen vacant, or is long past, is surely in a backup.
    settled = min(key.vacant_at, left_at + limits.settling) + limits.skew
    if verified_at is not None and settled < verified_at <= now + limits.skew:
        return True
    until = dies_by(key, left_at, limits)
    return until is not None and now >= until
