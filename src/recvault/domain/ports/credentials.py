"""Port to password hashing and tokens."""

from __future__ import annotations

from typing import Protocol


class PasswordHasher(Protocol):
    """Argon2id (RFC 9106) with at least 19 MiB, two passes, one lane."""

    def hash(self, password: str) -> str:
        """The encoded hash with its parameters and salt."""

    def verify(self, encoded: str, password: str) -> None:
        """Returns when it matches; raises NotAuthenticated otherwise."""

    def needs_rehash(self, encoded: str) -> bool:
        """Whether the parameters have moved since it was made."""

    def dummy(self) -> str:
        """An encoded hash of nothing anybody knows, so that unknown users take as long as known ones."""
