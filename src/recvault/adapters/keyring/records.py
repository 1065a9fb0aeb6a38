"""The keys themselves, as values: one record a key, one table of all of them and of what is noted beside them.

Invariants: a record without a secret never gets one again, and merging two tables keeps that (gone beats
present); merging loses no key; of two notes under one name the later stands; a table is a value, a change makes a new
one. A key whose secret is gone from here is unusable at once, but counts as destroyed (``destroyed_at``) only once
every place has confirmed it.

Leaves to others: what can be done with keys (``uses``), what notes mean (``register``), the bytes of a table
(``encoding``), where tables lie (``sealed``, ``place``), who may change them at the same time (``places``), and time.
Secrets live in ordinary Python memory while the process runs; no claim is made to wipe them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from recvault.domain.errors import KeyDestroyed, KeyNotFound, KeyringError
from recvault.domain.ids import require_aware
from recvault.domain.ports.keyring import KeyInfo, KeyKind

SECRET = 32
"""Bytes of every secret, whatever its kind."""

CONFIRMED = "kit/confirmed"
"""The note that a person has stored the recovery kit, and when; empty after the root key was changed."""


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
class Note:
    """A value under a name, and the ``serial`` of the table it came with: of two the later stands. Empty is none."""

    value: str
    serial: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTable:
    """All keys by id, all notes by name. ``serial`` grows with each change."""

    serial: int = 0
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    notes: Mapping[str, Note] = field(default_factory=dict)

    @property
    def backup_confirmed_at(self) -> datetime | None:
        """When a person said to have stored the recovery kit of the present root key."""
        held = self.note(CONFIRMED)
        return None if held is None else datetime.fromisoformat(held)

    def note(self, name: str) -> str | None:
        """What is noted under the name."""
        held = self.notes.get(name)
        return None if held is None or not held.value else held.value

    def noted(self, prefix: str) -> dict[str, str]:
        """All notes whose name starts with ``prefix``, by the rest of the name, in its order."""
        found = {name: note.value for name, note in self.notes.items() if name.startswith(prefix) and note.value}
        return {name.removeprefix(prefix): found[name] for name in sorted(found)}

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
        return self.with_notes({CONFIRMED: at.isoformat()})

    def with_notes(self, values: Mapping[str, str]) -> KeyTable:
        """The table with these values, serial one up; the same table when it has them all."""
        fresh = {name: value for name, value in values.items() if (self.note(name) or "") != value}
        if not fresh:
            return self
        serial = self.serial + 1
        notes = {name: Note(value=value, serial=serial) for name, value in fresh.items()}
        return replace(self, serial=serial, notes={**self.notes, **notes})

    def _changed(self, changes: Mapping[str, KeyRecord]) -> KeyTable:
        if not changes:
            return self
        return replace(self, serial=self.serial + 1, keys={**self.keys, **changes})


def merge(one: KeyTable, other: KeyTable) -> KeyTable:
    """Both tables' keys and notes: gone beats present, the earlier time of destruction stands, no key is lost, of two
    notes the later one stands.

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
    merged = replace(newer, keys=keys, notes=_merge_notes(one.notes, other.notes))
    return newer if merged == newer else replace(merged, serial=newer.serial + 1)


def _merge_notes(one: Mapping[str, Note], other: Mapping[str, Note]) -> dict[str, Note]:
    """Two of one serial cannot come about under the lock; should they, the greater text is as good as the other."""
    merged = dict(one)
    for name, note in other.items():
        held = merged.get(name, note)
        merged[name] = max(held, note, key=lambda each: (each.serial, each.value))
    return merged


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
