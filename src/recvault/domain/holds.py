"""Holds (tuhoamiskielto): what must not be destroyed for now, whatever its retention says.

Three kinds freeze in the same way: a hold that a person or an authority asked for; a restriction of processing (Art. 18
GDPR), under which what it covers is stored and nothing else: nobody opens it; and an open request of a customer, from its
receipt to its closure, so that what they ask for does not end meanwhile.
Many may cover one communication; releasing one leaves the others. A hold names a communication, or a whole customer (and
then also covers what arrives or is linked later), or what a search found at the moment it was placed, and nothing after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class HoldKind(StrEnum):
    """Why it freezes."""

    HOLD = "hold"
    RESTRICTION = "restriction"
    REQUEST = "request"


class HoldScope(StrEnum):
    """What a hold covers."""

    COMMUNICATION = "communication"
    CUSTOMER = "customer"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """One hold. Exactly one of ``communication_id``, ``customer_id`` and ``snapshot`` is set; ``snapshot`` is
    :func:`snapshot_digest` of what was found. ``review_on`` reminds ``owner`` (who placed it, when unset), never ends.
    ``authority``: the reference of the authority that asked, or of the customer's request; an open request has one."""

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
    snapshot: str | None = None
    owner: str | None = None
    kind: HoldKind = HoldKind.HOLD

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.communication_id, self.customer_id, self.snapshot)) != 1:
            raise ValueError("a hold covers one communication, or one customer, or what one search found")

    @property
    def scope(self) -> HoldScope:
        """Which of the three it names."""
        if self.communication_id is not None:
            return HoldScope.COMMUNICATION
        return HoldScope.CUSTOMER if self.customer_id is not None else HoldScope.SNAPSHOT

    @property
    def responsible(self) -> str:
        """Whom a review date reminds: an account's id."""
        return self.owner or self.placed_by


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldAnswer:
    """What placing a hold did: how many it covers now, and which of the wanted were already shredded."""

    hold: Hold
    covered: int
    already_destroyed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldCount:
    """One line of the hold report: ``covered`` stored communications, of which ``kept_back`` would be due without holds."""

    hold: Hold
    covered: int
    kept_back: int


def snapshot_digest(communication_ids: Iterable[str]) -> str:
    """Hex SHA-256 over the distinct ids in order, each followed by a line feed."""
    digest = hashlib.sha256()
    for one in sorted(set(communication_ids)):
        digest.update(f"{one}\n".encode())
    return digest.hexdigest()
