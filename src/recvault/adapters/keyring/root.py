"""What seals the keyring: a root key, of which the keyring knows an id and what it derives, and no more."""

from __future__ import annotations

from typing import Protocol


class RootKey(Protocol):
    """A root key in a file (``root_keyfile``) or in a token. It never lies beside what it seals."""

    @property
    def id(self) -> str:
        """16 hex digits that tell one root key from another and reveal nothing of it."""

    def derive(self, salt: bytes, info: bytes) -> bytes:
        """32 bytes for this salt and this use, the same ones each time."""
