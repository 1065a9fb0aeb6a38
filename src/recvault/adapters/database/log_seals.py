"""Seals and opens entries of the audit log with keys that the keyring makes, and finds them by tags.

Keeps: no entry is written in clear; without a keyring none is written at all, and none that is sealed is read. What was
made from a key is remembered no longer than the keyring itself may remember the key (``cache_seconds``). A key that is gone
is told as what it is, and what to do.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recvault.domain.audit import Act, Entry, entry_body
from recvault.domain.errors import AuditFailure, KeyDestroyed, KeyNotFound, Tampered
from recvault.domain.log_keys import NAMES_COMMUNICATION, SERIES, log_key, month_of
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Entropy
from recvault.sealing.log_entries import DAY, SALT, TAG_LABEL, seal_aad, seal_label, tag
from recvault.sealing.wrapping import NONCE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_KEYRING = "the audit log is sealed under keys of the keyring; open the archive with its keyring"

TAGGED = ("actor", "target", "purpose")
"""What entries are found by."""


class LogSeals:
    """Seals of the log; safe to share between threads."""

    def __init__(self, *, keyring: Keyring, entropy: Entropy) -> None:
        self._keyring = keyring
        self._entropy = entropy
        self._lock = threading.Lock()
        self._until = 0.0
        self._ciphers: dict[tuple[str, int], AESGCM] = {}
        self._tag_keys: dict[str, bytes] = {}

    def row(self, entry: Entry, leaf: bytes) -> dict[str, Any]:
        """The entry as it is stored; its key is made before its first use. KeyringError: no key, no entry."""
        return self.sealed(entry) | {"id": entry.id, "at": entry.at, "act": entry.act.value, "leaf": leaf}

    def sealed(self, entry: Entry) -> dict[str, Any]:
        """The columns that a seal fills and empties."""
        key_id, micros = log_key(entry.act, entry.at), micros_of(entry.at)
        nonce = self._entropy.bytes(NONCE)
        closing = self._cipher(key_id, micros // DAY, writing=True)
        tags = self._tags_of(entry, self._tag_key(key_id))
        target = entry.target if entry.act in NAMES_COMMUNICATION else None
        aad = seal_aad(entry.id, entry.act.value, micros, key_id, tags=tags, target=target)
        return {
            "key_id": key_id,
            "sealed": nonce + closing.encrypt(nonce, entry.salt + entry_body(entry), aad),
            "target": target,
            **{f"{name}_tag": one for name, one in zip(TAGGED, tags, strict=True)},
        }

    @staticmethod
    def _tags_of(entry: Entry, key: bytes) -> list[bytes | None]:
        values = (entry.actor, entry.target, entry.purpose)
        return [None if value is None else tag(key, name, value) for name, value in zip(TAGGED, values, strict=True)]

    def open(
        self,
        sealed: bytes,
        entry_id: str,
        act: str,
        micros: int,
        key_id: str,
        target: str | None,
        *tags: bytes | None,
    ) -> bytes:
        """Salt and canonical entry; Tampered, AuditFailure when its key is gone."""
        aad = seal_aad(entry_id, act, micros, key_id, tags=tags, target=target)
        try:
            return self._cipher(key_id, micros // DAY).decrypt(sealed[:NONCE], sealed[NONCE:], aad)
        except (InvalidTag, ValueError) as fault:  # ValueError: too short to hold a nonce
            raise Tampered(
                f"the audit entry {entry_id} does not open: it was altered; 'recvault audit verify' names its place, compare "
                "the database with a backup"
            ) from fault

    def tags(self, name: str, values: Iterable[str], since: datetime | None, until: datetime | None) -> list[bytes]:
        """The tags of the values under every living key whose month meets the span."""
        wanted = list(values)
        keys = self.keys(since, until)
        return [tag(self._tag_key(key_id), name, value) for key_id in keys for value in wanted]

    def keys(self, since: datetime | None = None, until: datetime | None = None) -> list[str]:
        """Ids of the living log keys whose month meets the span."""
        living = [info.id for series in SERIES for info in self._keyring.list(series) if info.destroyed_at is None]
        met = []
        for key_id in living:
            begin, end = month_of(key_id)
            if (since is None or since < end) and (until is None or begin < until):
                met.append(key_id)
        return met

    # --- keys

    def _cipher(self, key_id: str, day: int, *, writing: bool = False) -> AESGCM:
        self._forget_old()
        known = self._ciphers.get((key_id, day))
        if known is None:
            known = AESGCM(self._first(key_id, seal_label(day)) if writing else self._made(key_id, seal_label(day)))
            self._ciphers[(key_id, day)] = known
        return known

    def _tag_key(self, key_id: str) -> bytes:
        self._forget_old()
        known = self._tag_keys.get(key_id)
        if known is None:
            known = self._tag_keys[key_id] = self._made(key_id, TAG_LABEL)
        return known

    def _first(self, key_id: str, label: bytes) -> bytes:
        """For writing: a key that is not there is made. One that is there is used though a place of the keyring be away."""
        try:
            return self._keyring.mac(key_id, label)
        except KeyNotFound:
            self._keyring.ensure(key_id, KeyKind.MAC)
            return self._keyring.mac(key_id, label)

    def _made(self, key_id: str, label: bytes) -> bytes:
        try:
            return self._keyring.mac(key_id, label)
        except KeyDestroyed as fault:
            raise AuditFailure(
                f"the log key {key_id} was destroyed when its entries had ended, and the database holds some again: it was put "
                "back from a backup; the worker ends them"
            ) from fault
        except KeyNotFound as fault:
            raise AuditFailure(
                f"the log key {key_id} is not in the keyring: the keyring is older than the database; put back a newer copy of "
                "it with 'recvault keys restore'"
            ) from fault

    def _forget_old(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            with self._lock:
                self._ciphers, self._tag_keys = {}, {}
                self._until = now + self._keyring.cache_seconds


def require(seals: LogSeals | None) -> LogSeals:
    """The seals; AuditFailure where the database was opened without a keyring."""
    if seals is None:
        raise AuditFailure(_NO_KEYRING)
    return seals


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def opened(row: Any, seals: LogSeals | None) -> Entry:
    """The entry of a row, sealed or (of an earlier version, not sealed yet) clear; Tampered, AuditFailure."""
    if row.sealed is None:
        names = ("id", "at", "actor", "target", "purpose", "detail", "salt")
        return Entry(**{name: getattr(row, name) for name in names}, act=Act(row.act))
    plain = require(seals).open(
        row.sealed, row.id, row.act, micros_of(row.at), row.key_id, row.target,
        row.actor_tag, row.target_tag, row.purpose_tag,
    )  # fmt: skip
    said: Mapping[str, Any] = json.loads(plain[SALT:])
    return Entry(
        id=row.id,
        at=row.at,
        act=Act(row.act),
        actor=said["actor"],
        target=said["target"],
        purpose=said["purpose"],
        detail=said["detail"],
        salt=plain[:SALT],
    )
