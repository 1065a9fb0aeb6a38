"""Port to the keyring: keys that wrap data keys, sign and authenticate. Keys never leave it.

Invariants every implementation keeps: a key is confirmed by every live replica before it is first used; a destroyed key
is never usable again under the same id (``KeyDestroyed``, apart from ``KeyNotFound``); no other process serves a
destroyed key for longer than ``cache_seconds`` (at most 60).

Key ids: ``day/2026-11-22/1`` and ``frozen/2026-11/1`` (kind WRAP: day and frozen-month keys with their generation),
``backup/2026-11-22/1`` (kind WRAP: the backup of that day, the how-many-eth),
``edge/2026-11`` (X25519), ``index/1`` (MAC), ``sign/certificate/1``, ``sign/ledger/1``, ``sign/audit/1`` (Ed25519).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class KeyKind(StrEnum):
    """What a key can do: wrap (AES-256-GCM), sign (Ed25519, RFC 8032), edge (X25519 for HPKE, RFC 9180), mac (HMAC-SHA-256)."""

    WRAP = "wrap"
    SIGN = "sign"
    EDGE = "edge"
    MAC = "mac"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyInfo:
    """One key without its secret. ``destroyed_at`` is set once it is gone."""

    id: str
    kind: KeyKind
    created_at: datetime
    destroyed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaStatus:
    """One place that holds the keyring: ``place`` is its declared name, ``serial`` the state it holds, ``fault`` why it
    is not in step (None when it is)."""

    place: str
    serial: int
    fault: str | None = None


class Keyring(Protocol):
    """All keys of the archive, sealed under a root key."""

    @property
    def cache_seconds(self) -> int:
        """How long, at most, another process may still hold a destroyed key."""

    def ensure(self, key_id: str, kind: KeyKind) -> bool:
        """Makes the key unless it exists; True when it was made. KeyDestroyed when the id was used and destroyed."""

    def info(self, key_id: str) -> KeyInfo:
        """The key's facts, of destroyed ones too; KeyNotFound."""

    def list(self, prefix: str = "") -> tuple[KeyInfo, ...]:
        """All keys whose id starts with ``prefix``, destroyed ones included, in id order."""

    def wrap(self, key_id: str, secret: bytes, aad: bytes) -> bytes:
        """AES-256-GCM of a 32-byte secret with associated data; the nonce stands in front."""

    def unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes:
        """The secret; Tampered, KeyDestroyed or KeyNotFound."""

    def sign(self, key_id: str, message: bytes) -> bytes:
        """An Ed25519 signature, 64 bytes."""

    def public(self, key_id: str) -> bytes:
        """The raw 32-byte public half of a sign or edge key."""

    def open_edge(self, key_id: str, enc: bytes) -> bytes:
        """The 32-byte stream key that a hook sealed to this edge key (``sealing.edge``)."""

    def mac(self, key_id: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""

    def destroy(self, key_ids: Collection[str]) -> None:
        """Destroys the keys in every replica; returns when all live replicas confirmed. Repeating it is harmless."""

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """The places that hold the keyring, and whether they are in step."""

    def set_anchor(self, name: str, value: str) -> None:
        """Keeps a small value (1 to 1024 characters, no personal data) under a name, durable in every live place on
        return, so that what it describes cannot be rolled back unseen. Setting the value it has changes nothing.
        Whether a value may follow another is the caller's to know. InvalidInput, KeyringError when no place took it.
        """

    def anchor(self, name: str) -> str | None:
        """The value last set under this name, None when there never was one."""

    def confirm_backup(self) -> None:
        """Notes that a person has stored the recovery kit."""

    def backup_confirmed(self) -> bool:
        """Whether a person confirmed to have stored the recovery kit."""
