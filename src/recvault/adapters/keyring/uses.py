"""What every keyring does with the table it holds: all of the port that changes nothing, and how a key is made.

Left to others: where the table comes from and how it is changed (``file``, ``memory_keyring``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recvault.adapters.keyring.records import SECRET, KeyRecord, KeyTable
from recvault.adapters.keyring.register import ANCHOR, lost_places, offline_copies
from recvault.domain.errors import InvalidInput, KeyringError
from recvault.domain.ports.keyring import KeyInfo, KeyKind, LostPlace, OfflineCopy
from recvault.domain.ports.system import Entropy
from recvault.sealing import edge, wrapping

ANCHOR_LIMIT = 1024
"""Characters of an anchor's value, at most."""


class KeyUses:
    """See ``domain.ports.keyring.Keyring``, the part that changes nothing."""

    def __init__(self, *, current: Callable[[], KeyTable], entropy: Entropy) -> None:
        self._table_now = current
        self._entropy = entropy

    def info(self, key_id: str) -> KeyInfo:
        """See the port."""
        return self._table_now().find(key_id).info()

    def list(self, prefix: str = "") -> tuple[KeyInfo, ...]:
        """See the port."""
        keys = self._table_now().keys
        return tuple(keys[key_id].info() for key_id in sorted(keys) if key_id.startswith(prefix))

    def wrap(self, key_id: str, secret: bytes, aad: bytes) -> bytes:
        """See the port."""
        key = self._table_now().secret(key_id, KeyKind.WRAP)
        return wrapping.wrap(key, secret, aad, self._entropy.bytes(wrapping.NONCE))

    def unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes:
        """See the port."""
        return wrapping.unwrap(self._table_now().secret(key_id, KeyKind.WRAP), wrapped, aad)

    def rewrap_many(
        self, old_id: str, new_id: str, items: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Sequence[bytes | None]:
        """See the port."""
        table = self._table_now()
        old, new = table.secret(old_id, KeyKind.WRAP), table.secret(new_id, KeyKind.WRAP)
        return wrapping.rewrap_many(old, new, items, self._entropy.bytes)

    def sign(self, key_id: str, message: bytes) -> bytes:
        """See the port."""
        secret = self._table_now().secret(key_id, KeyKind.SIGN)
        return Ed25519PrivateKey.from_private_bytes(secret).sign(message)

    def public(self, key_id: str) -> bytes:
        """See the port."""
        table = self._table_now()
        secret = table.secret(key_id, KeyKind.SIGN, KeyKind.EDGE)
        if table.keys[key_id].kind is KeyKind.SIGN:
            return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()

    def open_edge(self, key_id: str, enc: bytes) -> bytes:
        """See the port."""
        return edge.edge_unwrap(self._table_now().secret(key_id, KeyKind.EDGE), key_id, enc)

    def mac(self, key_id: str, message: bytes) -> bytes:
        """See the port."""
        return hmac.digest(self._table_now().secret(key_id, KeyKind.MAC), message, hashlib.sha256)

    def anchor(self, name: str) -> str | None:
        """See the port."""
        return self._table_now().note(ANCHOR + name)

    def offline_copies(self) -> tuple[OfflineCopy, ...]:
        """See the port."""
        return offline_copies(self._table_now())

    def lost_places(self) -> tuple[LostPlace, ...]:
        """See the port."""
        return lost_places(self._table_now())

    def backup_confirmed(self) -> bool:
        """See the port."""
        return self._table_now().backup_confirmed_at is not None


def new_record(key_id: str, kind: KeyKind, *, now: datetime, entropy: Entropy) -> KeyRecord:
    """A fresh key; InvalidInput for its id. 32 random bytes are a key of every kind (RFC 8032, RFC 7748)."""
    return KeyRecord(id=wrapping.check_key_id(key_id), kind=kind, created_at=now, secret=entropy.bytes(SECRET))


def existing(table: KeyTable, key_id: str, kind: KeyKind) -> KeyRecord | None:
    """The live key that ``ensure`` asks for, None when it is to be made; KeyDestroyed, KeyringError."""
    if key_id not in table.keys:
        return None
    record = table.live(key_id)
    if record.kind is not kind:
        raise KeyringError(f"the key {key_id} exists as a {record.kind} key, not a {kind} key; choose another id")
    return record


def anchored(table: KeyTable, name: str, value: str) -> KeyTable:
    """The table with an anchor; InvalidInput."""
    wrapping.check_key_id(name)
    if not value or len(value) > ANCHOR_LIMIT:
        raise InvalidInput(f"an anchor is 1 to {ANCHOR_LIMIT} characters; anchor a digest of what is longer")
    return table.with_notes({ANCHOR + name: value})
