"""Port to what a replay does to rows that came back with a restored database."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from recvault.domain.communication import Awaiting
from recvault.domain.destruction import DueItem


class Restoration(Protocol):
    """Rows whose destruction the ledger knows and the database does not. Marked, nobody opens or finds them."""

    def mark_intended(self, communication_ids: Collection[str], at: datetime) -> list[str]:
        """Marks those that are stored and unmarked: ``INTENDED`` where the row was due at the moment of the intent, else
        ``UNSETTLED``. Returns them in id order."""

    def mark_destroyed(self, communication_ids: Collection[str]) -> list[str]:
        """Marks those that are stored, whatever mark they had. Returns them in id order."""

    def unmark(self, communication_ids: Collection[str]) -> list[str]:
        """The destruction was dropped: takes every mark but ``DESTROYED`` away; returns those that had one, in id order."""

    def marked(self, why: Awaiting, limit: int, *, after: str = "") -> list[str]:
        """Up to ``limit`` stored rows with the mark, in id order, ids greater than ``after``."""

    def claim(self, communication_ids: Collection[str], *, worker: str, lease_until: datetime) -> list[DueItem]:
        """Claims those marked ``DESTROYED`` whatever their end, in id order; raises each fence by one."""

    def forget_source_ref(self, communication_id: str) -> None:
        """The source may send what it stored here anew: the row cannot be opened any more, and never was destroyed."""
