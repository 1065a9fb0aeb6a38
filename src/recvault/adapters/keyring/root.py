"""What seals the keyring: a root key, of which the keyring knows an id and what it gives for a file, and no more."""

from __future__ import annotations

from typing import Protocol

from recvault.domain.ports.system import Entropy


class RootKey(Protocol):
    """A root key in a file (``root_keyfile``) or in a token (``root_pkcs11``). It never lies beside what it seals.

    ``form`` is the name and version of the file's format: a handle serves in that format only. KeyringError tells of a
    root key that is away.
    """

    @property
    def id(self) -> str:
        """16 hex digits that tell one root key from another and reveal nothing of it."""

    @property
    def place(self) -> str:
        """Where it is, in words for a person: ``the key file /etc/...``, ``the key ... in the token ...``."""

    def new_key(self, form: str, entropy: Entropy) -> tuple[bytes, bytes]:
        """A key for one file: a handle that may be read by anyone, and the 32 bytes that only this root key gives for it."""

    def key_of(self, handle: bytes, form: str) -> bytes:
        """The 32 bytes for a handle; Tampered when this root key never gave it (where it can tell)."""

    def destroy(self) -> None:
        """Makes an end of the root key: from here on it opens nothing, here or in a copy of the keyring."""
