"""Brakes on automatic destruction: what must not stand in the way before anything is destroyed.

Invariants: asked before each batch and before keys are closed; a suspension counts at once, in every worker; the forecast's
word is asked anew after some minutes, or when the clock moved otherwise than forwards by little, so that a clock that
jumps in the middle of a run is seen and ten million rows are not counted for each batch.

Leaves to others: the signed policy and the agreement of the three clocks (``services.purge``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock

from recvault.services.forecast import ForecastGuard
from recvault.services.suspension import Suspensions

TRUSTED = timedelta(minutes=5)
"""How long after a comparison with the forecast its good outcome still holds."""


class Brakes:
    """Suspension and forecast guard together."""

    def __init__(self, *, suspensions: Suspensions, forecast: ForecastGuard) -> None:
        self._suspensions = suspensions
        self._forecast = forecast
        self._compared_at: datetime | None = None
        self._lock = Lock()

    def obstacle(self, now: datetime) -> str | None:
        """Why nothing may be destroyed at ``now``; None when nothing is in the way."""
        suspension = self._suspensions.standing(now)
        if suspension is not None:
            return (
                f"destruction is suspended until {suspension.until:%Y-%m-%d %H:%M} UTC; "
                "'recvault purge unsuspend' ends it before"
            )
        with self._lock:
            if self._compared_at is not None and timedelta(0) <= now - self._compared_at < TRUSTED:
                return None
            found = self._forecast.obstacle(now)
            self._compared_at = now if found is None else None
        return found
