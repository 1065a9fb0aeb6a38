"""The most common passwords, from the list that comes with zxcvbn (30,000 of breaches), folded to lower case.

Keeps: loaded when first asked for, once, since it takes a moment and some memory. Left to others: what else makes a
password a bad one (``services.passwords``).
"""

from __future__ import annotations

import threading


class CommonPasswords:
    """See ``domain.ports.credentials.CommonWords``."""

    def __init__(self) -> None:
        self._words: frozenset[str] | None = None
        self._lock = threading.Lock()

    def __contains__(self, word: str) -> bool:
        """See the port."""
        return word in self._all()

    def _all(self) -> frozenset[str]:
        with self._lock:
            if self._words is None:
                from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

                self._words = frozenset(word.casefold() for word in FREQUENCY_LISTS["passwords"])
            return self._words
