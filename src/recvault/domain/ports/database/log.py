"""Port to the audit log: entries, the tree over them, its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recvault.domain.audit import Entry, SequencedEntry, TreeHead
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.log_query import Endable, FoundEntry, LogQuery
from recvault.domain.log_tree import Growth, Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A committed entry without a number: its id, and what its leaf will say."""

    id: str
    leaf: bytes


RawEntry = tuple[int, bytes]
"""An entry as the database holds it: its index, and its salt followed by its canonical text; nothing where its seal does
not open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """An entry that was taken out: its place in the tree, and the entry that says so."""

    index: int
    said_in: str


class AuditLog(Protocol):
    """Entries, the tiles of the tree over their leaves, published checkpoints."""

    def append(self, entries: Iterable[tuple[Entry, bytes]]) -> None:
        """Writes entries, each with what its leaf says and without a number, in this transaction, sealed under keys of their
        month. AuditFailure without a keyring, KeyringError when it gives no key: then nothing is written."""

    def waiting(self, limit: int) -> list[Waiting]:
        """Committed entries without a number, by (at, id)."""

    def oldest_waiting(self) -> datetime | None:
        """When the first of them was made."""

    def alone(self) -> bool:
        """Whether nobody else numbers entries now, until the end of this transaction. Spares work; safety does not rest on
        it (on SQLite, where one writes at a time, always)."""

    def head(self) -> TreeHead:
        """The tree's end."""

    def tiles(self, places: Collection[Place]) -> dict[Place, bytes]:
        """The tiles that exist."""

    def sequence(self, previous: TreeHead, ids: Sequence[str], growth: Growth) -> None:
        """Numbers the entries from ``previous.size`` on, stores the tiles and moves the head by compare-and-set; Conflict
        when another sequencer was first."""

    def read(self, first: int, limit: int) -> list[SequencedEntry]:
        """Sequenced entries from index ``first`` on, with the leaf committed beside each; those that ended are passed
        over."""

    def find(self, entry_id: str) -> Entry:
        """NotFound when unknown or ended."""

    def place_of(self, entry_id: str) -> int | None:
        """The entry's index; None when it has none yet. NotFound when unknown or ended."""

    def about(self, target: str, limit: int) -> list[Entry]:
        """Entries about one target, newest first."""

    def search(self, query: LogQuery) -> list[FoundEntry]:
        """Entries that the query asks for, newest first."""

    def endable(self, before: datetime, *, after: int, limit: int) -> list[Endable]:
        """Sequenced entries behind index ``after`` that are older than ``before``, in order; without those that live with a
        communication that is still stored, and those that never end."""

    def raw(self, first: int, last: int) -> Sequence[RawEntry]:
        """Every entry from index ``first`` to before ``last`` as it stands in the database, in order; from 0 also what has
        an impossible index below."""

    def beyond(self, size: int) -> int | None:
        """The first index from ``size`` on that an entry has; None as long as nobody put one in."""

    def seal_clear(self, limit: int) -> int:
        """Seals entries that earlier versions wrote in clear, at most ``limit``; how many it looked at, 0 when all are."""

    def any_under(self, key_id: str) -> bool:
        """Whether an entry stands under a log key, or one of its month waits to be sealed."""

    def end(self, entry_ids: Collection[str], *, said_in: str) -> list[int]:
        """Takes sequenced entries out; their leaves stay. Their indexes in order; what has none is left."""

    def ended(self, first: int, last: int) -> list[Ended]:
        """Entries that were taken out, by index from ``first`` to before ``last``."""

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Stores what was published, or replaces the signatures of one of the same origin and size."""

    def checkpoints(self, limit: int) -> list[Checkpoint]:
        """Published ones, the newest first."""

    def find_all(self, entry_ids: Collection[str]) -> Mapping[str, Entry]:
        """Entries by id, those that exist."""
