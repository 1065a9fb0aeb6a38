"""Randomness whose identifiers sort in the order in which they were made, for worlds whose clock stands still.

Real identifiers of one millisecond sort at random (RFC 9562, 5.7, leaves that free). No test is about that order, and one that
compares lists would fail now and then.
"""

from __future__ import annotations

import itertools
import os

UUID_BYTES = 10
"""What :func:`recvault.domain.ids.uuid7` takes."""


class OrderedEntropy:
    """The kernel's randomness; of 10 bytes, the part that sorts first after the time is a count."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def bytes(self, count: int) -> bytes:
        """``count`` bytes, the last four of them random at least."""
        if count != UUID_BYTES:
            return os.urandom(count)
        number = next(self._numbers)
        # Version and variant overwrite bits 76 to 79 and 62 to 63: the count stands in the 12 bits and 30 bits between.
        value = (number >> 30 & 0xFFF) << 64 | (number & 0x3FFFFFFF) << 32 | int.from_bytes(os.urandom(4))
        return value.to_bytes(UUID_BYTES)
