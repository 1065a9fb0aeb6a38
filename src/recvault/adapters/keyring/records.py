"""The keys themselves, as values: one record a key, one table of all of them, and what a key can do.

Invariants: a record without a secret never gets one again, and merging two tables keeps that (gone beats
present); merging loses no key; a table is a value, a change makes a new one. A key whose secret is gone
from here is unusable at once, but counts as destroyed (``destroyed_at``) only once every place has
confirmed it.

Leaves to others: where tables lie (``sealed``, ``place``), who may change them at the same time
(``file``), and time. Secrets live in ordinary Python memory while the process runs; no claim is made to
wipe them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recvault.domain.errors import InvalidInput, KeyDestroyed, KeyNotFound, KeyringError, Tampered
from recvault.domain.ids import canonical_json, require_aware
from recvault.domain.ports.keyring import KeyInfo, KeyKind
from recvault.domain.ports.system import Entropy
from recvault.sealing import edge, wrapping

SECRET = 32
"""Bytes of every secret, whatever its kind."""

ANCHOR_LIMIT = 1024
"""Characters of an anchor's value, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """One key. ``secret`` is None once it is gone, ``destroyed_at`` is set when all places confirmed that."""

    id: str
    kind: KeyKind
    created_at: datetime
    destroyed_at: datetime | None = None
    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_aware(self.created_at, "created_at")
        if self.destroyed_at is not None:
            require_aware(self.destroyed_at, "destroyed_at")
        if self.secret is not None and (self.destroyed_at is not None or len(self.secret) != SECRET):
            raise ValueError(f"a live key has {SECRET} secret bytes, a destroyed one has none")

    def info(self) -> KeyInfo:
        """The record without its secret."""
        return KeyInfo(id=self.id, kind=self.kind, created_at=self.created_at, destroyed_at=self.destroyed_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """A small named value kept with the keys, and the ``serial`` of the table it came with: the later one stands."""

    value: str
    serial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTable:
    """All keys by id. ``serial`` grows with each change, ``backup_confirmed_at``: a person stored the kit."""

    serial: int = 0
    backup_confirmed_at: datetime | None = None
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    anchors: Mapping[str, Anchor] = field(default_factory=dict)

    def find(self, key_id: str) -> KeyRecord:
        """The record; KeyNotFound."""
        try:
            return self.keys[key_id]
        except KeyError:
            raise KeyNotFound(
                f"the key {key_id} was never in this keyring; check that the keyring belongs to this archive"
            ) from None

    def live(self, key_id: str) -> KeyRecord:
        """The record of a key that can be used; KeyNotFound, KeyDestroyed."""
        record = self.find(key_id)
        if record.secret is None:
            raise KeyDestroyed(f"the key {key_id} has been destroyed; what it wrapped is beyond reach")
        return record

    def secret(self, key_id: str, *kinds: KeyKind) -> bytes:
        """The secret of a key of one of these kinds; KeyNotFound, KeyDestroyed, KeyringError."""
        record = self.live(key_id)
        if record.kind not in kinds or record.secret is None:
            wanted = " or ".join(kind.value for kind in kinds)
            raise KeyringError(f"the key {key_id} is a {record.kind} key; this use needs a {wanted} key")
        return record.secret

    def with_new(self, record: KeyRecord) -> KeyTable:
        """The table with one key more, serial one up."""
        return replace(self, serial=self.serial + 1, keys={**self.keys, record.id: record})

    def without_secrets(self, key_ids: Collection[str]) -> KeyTable:
        """The table after the first step of destruction; the same table when nothing is left to take."""
        left = [key_id for key_id in key_ids if self.keys[key_id].secret is not None]
        return self._changed({key_id: replace(self.keys[key_id], secret=None) for key_id in left})

    def confirmed_gone(self, key_ids: Collection[str], at: datetime) -> KeyTable:
        """The table after the second step; keys that were confirmed before keep their time."""
        fresh = [key_id for key_id in key_ids if self.keys[key_id].destroyed_at is None]
        return self._changed({key_id: replace(self.keys[key_id], destroyed_at=at) for key_id in fresh})

    def with_backup_confirmed(self, at: datetime) -> KeyTable:
        """The table with the person's confirmation, serial one up."""
        return replace(self, serial=self.serial + 1, backup_confirmed_at=at)

    def with_anchor(self, name: str, value: str) -> KeyTable:
        """The table with this value under this name; the same table when it is there. InvalidInput."""
        wrapping.check_key_id(name)
        if not value or len(value) > ANCHOR_LIMIT:
            raise InvalidInput(f"an anchor is 1 to {ANCHOR_LIMIT} characters; anchor a digest of what is longer")
        held = self.anchors.get(name)
        if held is not None and held.value == value:
            return self
        serial = self.serial + 1
        return replace(self, serial=serial, anchors={**self.anchors, name: Anchor(value=value, serial=serial)})

    def _changed(self, changes: Mapping[str, KeyRecord]) -> KeyTable:
        if not changes:
            return self
        return replace(self, serial=self.serial + 1, keys={**self.keys, **changes})


def merge(one: KeyTable, other: KeyTable) -> KeyTable:
    """Both tables' keys: gone beats present, the earlier time of destruction stands, no key is lost.

    The serial is the higher one; when the result is not the table that carried it, one more. KeyringError
    when two live secrets stand under one id: either may have wrapped something, so a person decides.
    """
    keys = dict(one.keys)
    for key_id, record in other.keys.items():
        held = keys.get(key_id)
        if held is None:
            keys[key_id] = record
        elif held != record:
            keys[key_id] = _merge_records(held, record)
    newer = one if one.serial >= other.serial else other
    confirmed = max((at for at in (one.backup_confirmed_at, other.backup_confirmed_at) if at is not None), default=None)
    anchors = _merge_anchors(one.anchors, other.anchors)
    merged = replace(newer, keys=keys, backup_confirmed_at=confirmed, anchors=anchors)
    return newer if merged == newer else replace(merged, serial=newer.serial + 1)


def _merge_records(one: KeyRecord, other: KeyRecord) -> KeyRecord:
    if one.kind is not other.kind or (one.secret and other.secret and one.secret != other.secret):
        raise KeyringError(
            f"two places hold different keys under the id {one.id}: one was away while the other went on; "
            "take keyring.sealed away from the place that was away, then bring that place in again"
        )
    destroyed = min((at for at in (one.destroyed_at, other.destroyed_at) if at is not None), default=None)
    gone = destroyed is not None or one.secret is None or other.secret is None
    return KeyRecord(
        id=one.id,
        kind=one.kind,
        created_at=min(one.created_at, other.created_at),
        destroyed_at=destroyed,
        secret=None if gone else one.secret,
    )


def _merge_anchors(one: Mapping[str, Anchor], other: Mapping[str, Anchor]) -> dict[str, Anchor]:
    """The later value of each name. Two of one serial cannot come about under the lock; then the greater text."""
    merged = dict(one)
    for name, anchor in other.items():
        held = merged.get(name, anchor)
        merged[name] = max(held, anchor, key=lambda each: (each.serial, each.value))
    return merged


def encode(table: KeyTable) -> bytes:
    """Canonical JSON of a table, secrets in base64: only ever inside a seal."""
    return canonical_json(
        {
            "serial": table.serial,
            "backup_confirmed_at": _moment_text(table.backup_confirmed_at),
            "keys": [
                {
                    "id": record.id,
                    "kind": record.kind.value,
                    "created_at": record.created_at.isoformat(),
                    "destroyed_at": _moment_text(record.destroyed_at),
                    "secret": None if record.secret is None else base64.b64encode(record.secret).decode(),
                }
                for _, record in sorted(table.keys.items())
            ],
            "anchors": {name: {"value": a.value, "serial": a.serial} for name, a in sorted(table.anchors.items())},
        }
    )


def decode(body: bytes) -> KeyTable:
    """The table of :func:`encode`; Tampered when it is none (being authentic, another program wrote it)."""
    try:
        value = json.loads(body)
        records = [
            KeyRecord(
                id=item["id"],
                kind=KeyKind(item["kind"]),
                created_at=datetime.fromisoformat(item["created_at"]),
                destroyed_at=_moment(item["destroyed_at"]),
                secret=None if item["secret"] is None else base64.b64decode(item["secret"], validate=True),
            )
            for item in value["keys"]
        ]
        return KeyTable(
            serial=int(value["serial"]),
            backup_confirmed_at=_moment(value["backup_confirmed_at"]),
            keys={record.id: record for record in records},
            anchors={
                name: Anchor(value=item["value"], serial=int(item["serial"]))
                for name, item in value.get("anchors", {}).items()  # version 1 had none
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as fault:
        raise Tampered(
            "the keyring opens, but this version cannot read what it holds; use the version that wrote it"
        ) from fault


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _moment_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


class KeyUses:
    """What every keyring does with the table it holds: all of the port that changes nothing."""

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
        held = self._table_now().anchors.get(name)
        return None if held is None else held.value

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
