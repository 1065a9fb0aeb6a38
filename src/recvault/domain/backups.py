"""Backups of the database: what is known of one, and what looking at one has shown.

A backup holds rows, not recordings: those stay in the object store and are named by their rows. It holds no key that
opens a recording either; the keyring is copied apart. Both together are what a restore needs, and neither is a danger alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from recvault.domain.errors import Tampered
from recvault.domain.ids import canonical_json, require_aware

SCHEMA = "recvault/backup/v1"
SUFFIX = ".recvault-backup"
"""End of the name of every sealed backup."""

VERIFIED = "backup/verified"
"""Setting: the newest backup that was opened and looked through: ``made_at`` (ISO 8601; when reading the
database for it began) and ``id``."""

MADE = "backup/made"
"""Setting: the newest backup that was written, the same way."""


class BackupKind(StrEnum):
    """What the sealed bytes are: a whole SQLite file, or whatever another tool made (``pg_basebackup``, a WAL segment)."""

    SQLITE = "sqlite"
    STREAM = "stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupHeader:
    """What stands in front of the sealed bytes, readable and authenticated. ``made_at`` is when copying began: all that
    was committed before is in it. ``wrapped_key`` opens with ``key_id``, which dies with the backup's keeping time.
    ``ledger_sequence`` tells how far the copied database has followed the ledger (0 when nobody knows)."""

    id: str
    kind: BackupKind
    made_at: datetime
    key_id: str
    wrapped_key: bytes
    program: str
    ledger_sequence: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "made_at", require_aware(self.made_at, "made_at"))

    def aad(self) -> bytes:
        """What the backup's data key is bound to: everything but its wrapped self."""
        return canonical_json({name: value for name, value in self._values().items() if name != "wrapped_key"})

    def to_bytes(self) -> bytes:
        """Canonical JSON; the context of the sealed bytes."""
        return canonical_json(self._values())

    def _values(self) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kind": self.kind.value,
            "made_at": self.made_at.isoformat(),
            "key_id": self.key_id,
            "wrapped_key": self.wrapped_key.hex(),
            "program": self.program,
            "ledger_sequence": self.ledger_sequence,
        }

    @classmethod
    def of(cls, values: Mapping[str, object]) -> BackupHeader:
        """From parsed JSON; Tampered when it is not such a header."""
        if values.get("schema") != SCHEMA:
            raise Tampered("this is no backup that this program knows; use the version of recvault that made it")
        try:
            return cls(
                id=str(values["id"]),
                kind=BackupKind(str(values["kind"])),
                made_at=datetime.fromisoformat(str(values["made_at"])),
                key_id=str(values["key_id"]),
                wrapped_key=bytes.fromhex(str(values["wrapped_key"])),
                program=str(values["program"]),
                ledger_sequence=int(str(values["ledger_sequence"])),
            )
        except (KeyError, ValueError) as fault:
            raise Tampered("the backup's header is damaged; take another copy of the backup") from fault


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupFile:
    """A backup where it lies: its name, its length in bytes and its header."""

    name: str
    length: int
    header: BackupHeader


@dataclass(kw_only=True, slots=True)
class CopyReport:
    """What looking through a copy of the database has shown; ids are random and may be logged. ``opened``: recordings of
    the sample that opened and whose every byte is the one that was stored. ``destroyed_since`` are no fault."""

    made_at: datetime
    rows: int = 0
    entries_behind: int = 0
    sampled: int = 0
    opened: list[str] = field(default_factory=list)
    destroyed_since: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class ProofReport:
    """What somebody with an old copy and today's keyring can open, by what became of each communication.

    ``beyond_reach``: destroyed, and no key opens it. ``until_its_keys_die``: destroyed in the archive, its certificate not
    yet complete: the copy still opens it, until the keys in ``waiting_keys`` die. ``opens``: alive, and the copy opens it.
    ``rekeyed_since``: alive, opened by the archive under a newer key than the copy has. ``violations`` contradict what the
    archive promises. ``keys_tried`` counts every living wrapping key that was tried on a destroyed one.
    """

    copied: int = 0
    beyond_reach: int = 0
    until_its_keys_die: int = 0
    opens: int = 0
    rekeyed_since: int = 0
    waiting_keys: set[str] = field(default_factory=set)
    keys_tried: int = 0
    tried_with_every_key: int = 0
    violations: list[str] = field(default_factory=list)
