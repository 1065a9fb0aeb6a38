"""Port to what stops automatic destruction: suspensions, signed forecasts, and the counts they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from recvault.domain.brakes import Suspension


class Brakes(Protocol):
    """Suspensions and forecasts; both stay as evidence."""

    def add_suspension(self, suspension: Suspension) -> None:
        """Conflict when one stands that nobody ended."""

    def suspension(self, *, lock: bool = False) -> Suspension | None:
        """The one that nobody ended yet, its time over or not; with ``lock`` FOR UPDATE."""

    def suspensions(self, limit: int) -> list[Suspension]:
        """Newest first."""

    def extend_suspension(self, suspension_id: str, until: datetime) -> None:
        """NotFound when it does not stand."""

    def end_suspension(self, suspension_id: str, *, at: datetime, by: str) -> None:
        """NotFound when it does not stand."""

    def add_forecast(self, number: int, made_at: datetime, envelope: str) -> None:
        """Conflict when another worker wrote this number."""

    def forecasts(self, limit: int) -> list[tuple[int, str]]:
        """Numbers and envelopes, newest number first."""

    def drop_forecasts(self, before: int) -> None:
        """Deletes those of lower numbers."""

    def count_ends(self, edges: Sequence[datetime]) -> list[int]:
        """How many stored communications end at or before the first of the rising edges, then after each edge and at or
        before the next; whatever freezes them."""

    def count_known_ends(self, edges: Sequence[datetime], *, since: datetime) -> list[int]:
        """The same without those that were stored, or whose end an audited act moved, after ``since``."""
