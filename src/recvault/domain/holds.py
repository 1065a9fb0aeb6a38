"""Holds (tuhoamiskielto): what must not be destroyed for now, whatever its retention says.

Many may cover one communication; releasing one leaves the others. A hold names a communication or a whole customer; a
customer's hold also covers what arrives or is linked later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One hold. Exactly one of ``communication_id`` and ``customer_id`` is set; ``review_on`` reminds, never ends."""

    id: str
    communication_id: str | None
    customer_id: str | None
    reason: str
    authority: str | None
    placed_by: str
    placed_at: datetime
    review_on: date
    released_at: datetime | None = None
    released_by: str | None = None

    def __post_init__(self) -> None:
        if (self.communication_id is None) == (self.customer_id is None):
            raise ValueError("a hold covers either one communication or one customer")


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldAnswer:
    """What placing a hold did: how many it covers now, and which of the wanted were already shredded."""

    hold: Hold
    covered: int
    already_destroyed: tuple[str, ...]
