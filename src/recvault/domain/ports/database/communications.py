"""Port to stored communications and what the purge claims of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from recvault.domain.communication import (
    Attention,
    Communication,
    PurposeRecord,
    SearchQuery,
    Seen,
    VisibleSet,
)
from recvault.domain.destruction import DueItem
from recvault.domain.ports.objects import ObjectVersion


class Communications(Protocol):
    """Stored communications with purposes, tags, attention marks and streams."""

    def add(self, communication: Communication) -> None:
        """Inserts the row, its purposes, tags, attention, streams and its first ``wrapped by`` record. Conflict when
        (source_id, source_ref_hash) is taken."""

    def get(self, communication_id: str) -> Communication:
        """NotFound when there is no row."""

    def find(self, communication_ids: Collection[str]) -> list[Communication]:
        """Those that exist, in id order."""

    def stored_after(self, after: str, limit: int) -> list[Communication]:
        """Up to ``limit`` that are stored, in id order, ids greater than ``after``."""

    def seen(self, source_id: str, source_ref_hash: bytes) -> Seen:
        """Whether something is stored under a source's id, or was; in a single statement."""

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Communication | None:
        """The communication a source named so, if stored."""

    def guards(self, communication_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """The customers and the contact points that those which exist belong to: what to lock before them."""

    def lock(self, communication_ids: Collection[str]) -> list[Communication]:
        """FOR UPDATE in id order; those that exist. Guards must be locked before."""

    def search(self, query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> list[Communication]:
        """Newest first by (started_at, id), strictly after ``query.after``; only rows in the union of ``visible``."""

    def set_retention(
        self, communication_id: str, *, destroy_at: datetime, purposes: Sequence[PurposeRecord], policy_version: str
    ) -> None:
        """Replaces the ends."""

    def set_do_not_keep(self, communication_id: str, at: datetime | None) -> None:
        """Sets or clears the moment of the do-not-keep mark."""

    def set_relationship_ended(self, communication_ids: Collection[str], at: datetime | None) -> None:
        """Notes the end of the customer's relationship on its communications (a fact of retention)."""

    def rewrap(self, communication_id: str, *, key_id: str, wrapped_key: bytes) -> None:
        """Puts the data key under another period key and remembers that key in ``wrapped by``."""

    def wrapped_by(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Every key id that ever wrapped its data key, in id order, by communication; unknown ones are absent."""

    def ids_under_key(self, key_id: str, limit: int, *, after: str = "") -> list[str]:
        """Up to ``limit`` communications whose data key is now wrapped under the key, in id order, ids greater than
        ``after``."""

    def add_attention(self, communication_id: str, marks: Iterable[Attention]) -> None:
        """Adds marks; those already there stay."""

    def clear_attention(self, communication_id: str) -> None:
        """A person has looked at it."""

    def ids_of_customer(self, customer_id: str) -> list[str]:
        """Every stored communication of the customer, in id order."""

    def conflicts_with(self, communication_id: str) -> list[Communication]:
        """What came with other content under the same source's id, stored and kept aside, in id order."""

    def conflicts_of_source(self, source_id: str) -> int:
        """How many conflicting uploads of this source are kept aside."""

    def claim_due(self, *, now: datetime, limit: int, worker: str, lease_until: datetime) -> list[DueItem]:
        """Claims rows that are due (``destroy_at`` <= now under a signed policy version, nothing freezes them, no live
        lease, not stopped), and rows left ``destroying`` before them; those overdue the longest, at one moment in id order;
        skips claims that another worker locks. Raises each fence by one and answers in id order."""

    def renew_claims(self, items: Collection[DueItem], worker: str, lease_until: datetime) -> None:
        """Makes the leases of those that are still the worker's last longer; the others are passed over."""

    def still_claimed(self, items: Collection[DueItem], worker: str) -> list[DueItem]:
        """FOR UPDATE in id order: those whose claim is still the worker's, by worker and fence."""

    def objects_of(self, communication_ids: Collection[str]) -> list[ObjectVersion]:
        """The objects that the rows name, by name; there may be more versions in the store."""

    def release_claims(self, communication_ids: Collection[str], worker: str) -> None:
        """Gives claims back before their lease ends."""

    def stop(self, communication_id: str, reason: str) -> None:
        """Takes the item out of automatic destruction until a person looks at it (reason is a stable code)."""

    def unstop(self, communication_id: str) -> bool:
        """A person has looked: back into automatic destruction. False when it was not stopped."""

    def shred(self, items: Collection[DueItem], *, worker: str) -> None:
        """Removes wrapped key, sealed parts, every id and class that could point to a person, purposes, tags; state
        becomes ``destroying``. Conflict when a claim is no longer the worker's: then nothing of the unit can be kept."""

    def remove(self, items: Collection[DueItem], *, worker: str) -> None:
        """Deletes the shredded rows and their streams. Conflict as for ``shred``."""

    def count_due(self, now: datetime) -> int:
        """How many rows are due and free to be destroyed."""

    def count_overdue(self, before: datetime) -> int:
        """How many rows should have been destroyed before the moment and nothing freezes them."""

    def count_attention(self) -> int:
        """How many rows wait for a person."""

    def count_marked(self, marks: Iterable[Attention]) -> int:
        """How many rows carry one of the marks."""

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        """Which of the ids have a row (for the sweeper)."""
