"""The machine's clock and randomness, and exact ones for tests and trials.

``SystemClock`` and ``SystemEntropy`` are what an archive runs on. ``FixedClock`` stands still until it is
told to move and ``CountingEntropy`` repeats itself from run to run: whatever was sealed with the latter is
open to everybody, so ``bootstrap`` never builds it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta

from recvault.domain.ids import require_aware

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""Where a FixedClock stands unless told otherwise."""


class SystemClock:
    """The machine's clock; keeping it right (NTP) is left to the machine."""

    def now(self) -> datetime:
        """The time in UTC, aware."""
        return datetime.now(UTC)


class SystemEntropy:
    """The kernel's generator (getrandom(2))."""

    def bytes(self, count: int) -> bytes:
        """``count`` random bytes."""
        return os.urandom(count)


class FixedClock:
    """A clock that stands still. ``moment`` must be aware; safe to share between threads."""

    def __init__(self, moment: datetime = START) -> None:
        self._moment = require_aware(moment, "moment")
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The moment it was set to, UTC."""
        return self._moment

    def advance(self, by: timedelta) -> datetime:
        """Moves the clock (backwards too, as real ones do) and returns the new time."""
        with self._lock:
            self._moment += by
            return self._moment

    def set(self, moment: datetime) -> None:
        """Puts the clock to an aware ``moment``."""
        with self._lock:
            self._moment = require_aware(moment, "moment")


class CountingEntropy:
    """Bytes that look random and are the same in every run: SHAKE-256 of the seed and a counter."""

    def __init__(self, seed: str = "recvault") -> None:
        self._seed = seed.encode()
        self._count = 0
        self._lock = threading.Lock()

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        with self._lock:
            self._count += 1
            number = self._count
        return hashlib.shake_256(self._seed + b"\0" + number.to_bytes(8)).digest(count)
