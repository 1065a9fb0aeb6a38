"""Port to the keyring: keys that wrap data keys, sign and authenticate. Keys never leave it.

Invariants every implementation keeps: a key is confirmed by every live replica before it is first used, and destroyed only
once all of them have confirmed that; a replica is live until it is taken off the register, in order or as lost (then
``lost_places`` tells, for good); a destroyed key is never usable again under the same id (``KeyDestroyed``, apart from
``KeyNotFound``); no other process serves a destroyed key for longer than ``cache_seconds`` (at most 60).

Key ids: ``day/2026-11-22/1`` and ``frozen/2026-11/1`` (kind WRAP: day and frozen-month keys with their generation),
``backup/2026-11-22/1`` (kind WRAP: the backup of that day, the how-many-eth),
``log-entries/2026-11``, ``log-kept/2026-11`` and ``log-counts/2026-11`` (MAC: entries of the audit log, by month),
``edge/2026-11`` (X25519), ``index/1`` (MAC), ``factors/1`` (WRAP) and ``sign-in/1`` (MAC),
``sign/certificate/1``, ``sign/ledger/1``, ``sign/audit/1`` (Ed25519).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


class Loss(StrEnum):
    """How a place of the keyring was lost, as a person declared it."""

    BROKEN = "broken"
    STOLEN = "stolen"
    MISSING = "missing"
    REPLACED = "replaced"


@dataclass(frozen=True, kw_only=True, slots=True)
class LostPlace:
    """A place that left the keyring without having confirmed that its file is gone. It may hold every key that lived
    between ``added_at`` and ``lost_at``. ``found_at`` is set when it was found and wiped."""

    place: str
    added_at: datetime
    lost_at: datetime
    loss: Loss
    found_at: datetime | None = None

    def may_hold(self, key: KeyInfo) -> bool:
        """Whether the key may still be there, under the root key of that time."""
        return self.found_at is None and _lived(key, self.added_at, self.lost_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfflineCopy:
    """A sealed copy that a person took away at ``made_at``, to be destroyed at ``expires_at`` at the latest. ``ended_at``
    is set when a person said that it is destroyed."""

    id: str
    made_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None

    def may_hold(self, key: KeyInfo) -> bool:
        """Whether the key may still be there, under the root key of that time."""
        return self.ended_at is None and _lived(key, self.made_at, self.made_at)


def _lived(key: KeyInfo, first: datetime, last: datetime) -> bool:
    return key.created_at <= last and (key.destroyed_at is None or key.destroyed_at >= first)


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

    def rewrap_many(
        self, old_id: str, new_id: str, items: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Sequence[bytes | None]:
        """Many secrets from one key to another: each item is what is wrapped, its associated data under the old key, and
        that under the new. None in the place of what does not open. KeyDestroyed, KeyNotFound."""

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

    def offline_copies(self) -> tuple[OfflineCopy, ...]:
        """All sealed copies that were ever taken away, the oldest first. A certificate names, of those that
        ``may_hold`` one of its keys, the newest and the latest ``expires_at``: until then that copy and the root key of its
        time would open what the key wrapped."""

    def lost_places(self) -> tuple[LostPlace, ...]:
        """The places that left without confirming, in no order. A certificate names those that ``may_hold`` one of
        its keys, and since when they are lost."""

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
