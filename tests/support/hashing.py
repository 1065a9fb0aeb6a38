"""A password hasher that costs nothing and counts, for tests of what surrounds it."""

from __future__ import annotations

import hashlib
import hmac

from recvault.domain.errors import NotAuthenticated


class CountingHasher:
    """See ``domain.ports.credentials.PasswordHasher``. ``checks``: how often a password was looked at."""

    def __init__(self) -> None:
        self.checks = 0
        self.version = 1

    def hash(self, password: str) -> str:
        """A plain digest with the version of its parameters."""
        return f"{self.version}${hashlib.sha256(password.encode()).hexdigest()}"

    def verify(self, encoded: str, password: str) -> None:
        """Counts, and compares."""
        self.checks += 1
        if not hmac.compare_digest(encoded.partition("$")[2], self.hash(password).partition("$")[2]):
            raise NotAuthenticated("name or password is wrong")

    def needs_rehash(self, encoded: str) -> bool:
        """Whether the version moved."""
        return not encoded.startswith(f"{self.version}$")

    def dummy(self) -> str:
        """Matches nothing."""
        return f"{self.version}$"
