"""Ports to time and randomness: the domain and the services have none of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The machine's clock."""

    def now(self) -> datetime:
        """The time in UTC, aware."""


class Entropy(Protocol):
    """A cryptographically strong source of randomness."""

    def bytes(self, count: int) -> bytes:
        """``count`` random bytes."""
