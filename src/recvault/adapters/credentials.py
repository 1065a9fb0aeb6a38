"""Passwords as Argon2id hashes (RFC 9106), through argon2-cffi.

Invariants: verifying raises NotAuthenticated, whatever was wrong (an unreadable stored hash too); no fewer
than OWASP's least (19 MiB, two passes, one lane); the same characters are the same password however a
keyboard composes them (Unicode NFC, as RFC 8265, 4.2). At most ``concurrency`` hashes run at once, so that
a burst of sign-ins cannot take the machine's memory.

Salts (16 bytes, RFC 9106, 3.1) come from the kernel through argon2-cffi.

Left to others: how often one may try, what a good password is, and where hashes are kept.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from recvault.domain.errors import ConfigurationError, InvalidInput, NotAuthenticated

PASSWORD_LIMIT = 1024
"""Bytes of UTF-8, at most."""

LEAST_MEMORY_KIB = 19 * 1024
"""OWASP Password Storage Cheat Sheet: 19 MiB with two passes and one lane."""

LEAST_PASSES = 2

MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 4
"""RFC 9106, 4: the second recommended option. One check costs 0.24 s of one core of the test machine; ``CONCURRENCY`` at once
take 256 MiB. To move them is to change them here: each hash is made anew at its person's next sign-in."""

CONCURRENCY = 4
"""Hashes computed at the same time; further ones wait."""


class Argon2Hasher:
    """See ``domain.ports.credentials.PasswordHasher``.

    ``concurrency`` times ``memory_kib`` is the most memory it uses. ConfigurationError below the least.
    """

    def __init__(
        self,
        *,
        memory_kib: int = MEMORY_KIB,
        passes: int = PASSES,
        lanes: int = LANES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        if memory_kib < LEAST_MEMORY_KIB or passes < LEAST_PASSES or lanes < 1 or concurrency < 1:
            raise ConfigurationError(
                f"Argon2id takes at least {LEAST_MEMORY_KIB} KiB, {LEAST_PASSES} passes and 1 lane; raise the values"
            )
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=argon2.Type.ID
        )
        self._slots = threading.BoundedSemaphore(concurrency)
        self._dummy: str | None = None
        self._dummy_lock = threading.Lock()

    def hash(self, password: str) -> str:
        """See the port; InvalidInput for a password longer than PASSWORD_LIMIT or with broken characters."""
        data = _prepared(password)
        with self._slots:
            return self._argon2.hash(data)

    def verify(self, encoded: str, password: str) -> None:
        """See the port."""
        try:
            data = _prepared(password)
            with self._slots:
                self._argon2.verify(encoded, data)
        except (VerificationError, InvalidHashError, InvalidInput) as fault:
            raise NotAuthenticated("name or password is wrong; try again, or ask for a new password") from fault

    def needs_rehash(self, encoded: str) -> bool:
        """See the port; True for a hash that cannot be read."""
        try:
            return self._argon2.check_needs_rehash(encoded)
        except InvalidHashError:
            return True

    def dummy(self) -> str:
        """See the port; made once, at first use."""
        with self._dummy_lock:
            if self._dummy is None:
                self._dummy = self.hash(secrets.token_urlsafe(32))
            return self._dummy


def _prepared(password: str) -> bytes:
    try:
        data = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError as fault:
        raise InvalidInput("the password holds characters that cannot be stored; choose others") from fault
    if len(data) > PASSWORD_LIMIT:
        raise InvalidInput(f"the password is longer than {PASSWORD_LIMIT} bytes; choose a shorter one")
    return data
