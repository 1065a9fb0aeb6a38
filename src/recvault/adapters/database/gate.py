"""One at a time within this process.

SQLite lets one writer in at a time and makes the others poll; queueing them here first is fair and needs no
polling. A database in memory has one connection, so there everybody queues. Beginning a second unit inside
the first of the same thread would wait for itself: that is a mistake of the program, and is said so at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from recvault.domain.errors import DatabaseUnavailable


class Gate:
    """A lock with patience (seconds) that knows who holds it."""

    def __init__(self, *, patience_seconds: float) -> None:
        self._lock = threading.Lock()
        self._patience = patience_seconds
        self._holder: int | None = None

    @contextmanager
    def passing(self) -> Iterator[None]:
        """RuntimeError when this thread is inside already; DatabaseUnavailable when patience ends."""
        me = threading.get_ident()
        if self._holder == me:
            raise RuntimeError("this thread has a unit of work open already; leave it before beginning another")
        if not self._lock.acquire(timeout=self._patience):
            raise DatabaseUnavailable("the database is busy and gave up waiting for its turn; try again")
        self._holder = me
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()
