"""A ledger in memory, for tests and trials; it passes the same contract as the one in two places."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from recvault.domain.errors import LedgerFailure


class MemoryLedger:
    """See ``domain.ports.ledger.LedgerStore``."""

    def __init__(self) -> None:
        self._entries: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def append(self, sequence: int, envelope: bytes) -> None:
        """See the port."""
        with self._lock:
            if not 1 <= sequence <= len(self._entries) + 1:
                raise LedgerFailure(
                    f"ledger entry {sequence} does not follow {len(self._entries)}; replay the ledger first"
                )
            if self._entries.setdefault(sequence, envelope) != envelope:
                raise LedgerFailure(f"ledger entry {sequence} exists with other content; replay the ledger first")

    def read(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """See the port."""
        yield from [(sequence, self._entries[sequence]) for sequence in range(max(first, 1), self.last() + 1)]

    def last(self) -> int:
        """See the port."""
        return len(self._entries)

    def heal(self, first: int = 1) -> int:
        """See the port; there is only one place."""
        return 0
