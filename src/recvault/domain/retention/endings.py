"""Purposes that were ended before their time: by an objection, or by a person who no longer needs the recordings.

An objection (GDPR Art. 21) ends training at once, also for what arrives later from the customer. A person ends a purpose
for chosen recordings: early destruction, approved by another, 14 days ahead and open to see until then; it can be taken
back while the days run. What has ended is over for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.ids import require_aware

DELAY = timedelta(days=14)
"""Between the approval of an early end and the end."""


class EndingKind(StrEnum):
    """Who ended it."""

    OBJECTION = "objection"
    PERSON = "person"


@dataclass(frozen=True, kw_only=True, slots=True)
class PurposeEnding:
    """One end of one purpose: for a customer (``customer_id``, what arrives later too) or for chosen recordings, whose ids
    stand beside it. ``reason`` is a person's text; ``approved_by`` None for an objection, which nobody has to approve."""

    id: str
    purpose: str
    kind: EndingKind
    customer_id: str | None
    reason: str
    placed_by: str
    approved_by: str | None
    placed_at: datetime
    ends_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None

    def __post_init__(self) -> None:
        for name in ("placed_at", "ends_at"):
            object.__setattr__(self, name, require_aware(getattr(self, name), name))

    def open_at(self, now: datetime) -> bool:
        """Whether it can still be taken back at ``now``."""
        return self.withdrawn_at is None and now < self.ends_at
