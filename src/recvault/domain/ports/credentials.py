"""Ports to password hashing, to lists of bad passwords, and to one-time codes."""

from __future__ import annotations

from collections.abc import Iterable
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


class CommonWords(Protocol):
    """Passwords that everybody tries first."""

    def __contains__(self, word: str) -> bool:
        """Whether the word, in folded case (``str.casefold``), is one of them."""


class KnownPasswords(Protocol):
    """Passwords known from breaches elsewhere."""

    def __contains__(self, password: str) -> bool:
        """Whether it is known; ConfigurationError when the list cannot tell."""


class CodeMaker(Protocol):
    """One-time codes of authenticator apps (RFC 6238: SHA-1, six digits). ``secret``: 20 bytes."""

    def matching(self, secret: bytes, code: str, steps: Iterable[int]) -> list[int]:
        """Those of the steps whose code this is, in their order."""

    def letters(self, secret: bytes) -> str:
        """The secret as letters and digits (base32), for who types it into an app."""

    def address(self, secret: bytes, *, account: str, issuer: str) -> str:
        """What an app is told: the secret, and under which names it shows it."""

    def picture(self, address: str) -> str:
        """The address as a QR code: an ``svg`` element for a page."""
