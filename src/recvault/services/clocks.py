"""The three clocks: worker, database, object store. What a moment decides counts only while they agree.

Leaves to others: what stops when they do not, and three clocks that are wrong together (``services.brakes``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recvault.domain.errors import Unavailable
from recvault.domain.ports.database import Database
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock


class Clocks:
    """Reads all three; ``limit`` is how far they may differ."""

    def __init__(self, *, clock: Clock, database: Database, store: ObjectStore, limit: timedelta) -> None:
        self._clock = clock
        self._database = database
        self._store = store
        self._limit = limit

    def agreed(self) -> datetime:
        """The worker's time, UTC, when no other clock contradicts it; Unavailable otherwise."""
        now = self._clock.now()
        if max(abs(now - self._database.now()), abs(now - self._store.now())) > self._limit:
            raise Unavailable(
                "the clocks of worker, database and object store differ by more than the limit; set them right"
            )
        return now
