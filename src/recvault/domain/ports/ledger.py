"""Port to the ledger's storage: two places outside the database, each holding the whole chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class LedgerStore(Protocol):
    """Append-only storage of signed entries by sequence number."""

    def append(self, sequence: int, envelope: bytes) -> None:
        """Makes the entry durable in every place before it returns; the same bytes again are harmless, other bytes under
        a number that is taken raise LedgerFailure."""

    def read(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Entries from ``first`` on, in order, from whichever place has them. A gap, or places that disagree, raise
        LedgerFailure."""

    def last(self) -> int:
        """The highest sequence number in any place, 0 when empty."""

    def heal(self, first: int = 1) -> int:
        """Copies what one place lacks, from entry ``first`` on, from the other (a crash between the two, a place that was
        away); returns how many. LedgerFailure where neither has an entry or they differ."""
