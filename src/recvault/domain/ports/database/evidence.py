"""Ports to holds, period keys and destructions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from recvault.domain.accounts import PeriodKey
from recvault.domain.communication import SearchQuery, VisibleSet
from recvault.domain.destruction import BatchCertificate, Destruction
from recvault.domain.holds import Hold, HoldCount
from recvault.domain.period_keys import WrappedKey


class Holds(Protocol):
    """Holds and what they cover."""

    def add(self, hold: Hold) -> None:
        """Inserts; Conflict when the id exists."""

    def add_items(self, hold_id: str, communication_ids: Collection[str]) -> None:
        """What a hold on a search covers; repeating it is harmless. It counts once the hold itself is added."""

    def found(self, query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> list[str]:
        """The ids that a search finds, at most ``query.limit``, of what is in the union of ``visible``."""

    def lock_standing(self, communication_ids: Collection[str]) -> list[str]:
        """FOR UPDATE in id order; those whose data key is there, in id order. Guards must be locked before."""

    def get(self, hold_id: str) -> Hold:
        """NotFound when unknown."""

    def release(self, hold_id: str, *, by: str, at: datetime) -> None:
        """Marks as released."""

    def releases_not_noted(self) -> list[Hold]:
        """Released ones that the ledger was not told of yet."""

    def note_release(self, hold_id: str, at: datetime) -> None:
        """The ledger has the release."""

    def active(self) -> list[Hold]:
        """All that are not released, oldest first."""

    def covering(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Active hold ids by communication, directly, through its customer or a search; ids without a hold are absent."""

    def restricted(self, communication_ids: Collection[str]) -> frozenset[str]:
        """Those that an active restriction of processing covers, directly, through the customer or a search."""

    def count_covered(self, hold_id: str) -> int:
        """How many stored communications the hold covers now."""

    def report(self, now: datetime) -> list[HoldCount]:
        """All active ones, oldest first, with what each covers: one statement, counted by the database."""


class PeriodKeys(Protocol):
    """Rows that stand for day keys and frozen-month keys; the keys themselves are in the keyring."""

    def open_for(self, period: str) -> PeriodKey | None:
        """The newest generation of the period that may still wrap: not superseded, vacant, closing or destroyed."""

    def last_generation(self, period: str) -> int:
        """0 when the period never had a key."""

    def add(self, key: PeriodKey) -> None:
        """Conflict when the (period, generation) exists."""

    def add_missing(self, key: PeriodKey) -> bool:
        """Adds unless the (period, generation) exists, and says whether it did. Waits for another transaction that is
        adding the same; when that commits, its row can be seen here from then on."""

    def get(self, key_id: str) -> PeriodKey:
        """NotFound when unknown."""

    def share(self, key_id: str) -> PeriodKey:
        """FOR SHARE until commit: the key cannot close under a writer. NotFound when unknown."""

    def lock(self, key_id: str) -> PeriodKey:
        """FOR UPDATE. NotFound when unknown."""

    def supersede(self, key_id: str, *, at: datetime, demanded_at: datetime) -> None:
        """No new wraps from here on: its data keys move to another generation, for a destruction of ``demanded_at``."""

    def mark_vacant(self, key_id: str, at: datetime) -> None:
        """Nothing lies under it, and nothing new may come."""

    def mark_closing(self, key_id: str, at: datetime) -> None:
        """It dies: no new wraps from here on."""

    def mark_noted(self, key_ids: Collection[str], at: datetime) -> None:
        """The ledger tells of their end."""

    def mark_destroyed(self, key_id: str, at: datetime) -> None:
        """The keyring has confirmed that it is gone; its departures are forgotten."""

    def closable(self, *, day_before: str, month_before: str) -> list[PeriodKey]:
        """Keys not yet destroyed whose period lies before the given day (``2026-11-22``) or month (``2026-11``)."""

    def superseded(self) -> list[PeriodKey]:
        """Superseded keys not yet destroyed, in period order."""

    def in_closing(self) -> list[PeriodKey]:
        """Keys that are closing and not yet destroyed, by id."""

    def living(self) -> list[PeriodKey]:
        """Every key that is not destroyed, in period order."""

    def demanded(self, *, day_after: str) -> list[tuple[PeriodKey, datetime]]:
        """Open keys of days after the given one that once wrapped something since destroyed, each with the moment of the
        first such destruction, in period order."""

    def depart(self, key_id: str, at: datetime) -> None:
        """Notes that something alive leaves the key for another one in this transaction."""

    def last_departure(self, key_id: str) -> datetime | None:
        """When something alive last left the key."""

    def wrapped_under(self, key_id: str, limit: int, *, after: str = "") -> list[WrappedKey]:
        """Up to ``limit`` data keys now under the key, in id order, ids greater than ``after``."""

    def late(self, communication_ids: Collection[str], before: datetime) -> set[str]:
        """Those that should have been destroyed, and were stored, at the moment or earlier."""

    def move(self, wrapped: Mapping[str, bytes], *, old: str, new: str) -> int:
        """Puts the data keys (by communication) under ``new`` where they still lie under ``old``, and remembers that in
        ``wrapped by``; passes over what another transaction has locked. How many it moved."""

    def counts(self) -> dict[str, int]:
        """How many data keys lie under each key now; keys with none are absent."""


class Destructions(Protocol):
    """Tombstones and certificates."""

    def add(self, *destructions: Destruction) -> None:
        """Inserts at stage ``shredded``."""

    def get(self, communication_id: str) -> Destruction:
        """NotFound when it was not destroyed."""

    def find(self, communication_ids: Collection[str]) -> dict[str, Destruction]:
        """Those that exist, by id."""

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Destruction | None:
        """The tombstone of what a source named so."""

    def certify(self, certificate: BatchCertificate, communication_ids: Collection[str], *, at: datetime) -> None:
        """Stores the certificate, and those it is about reach its stage. Conflict when one of them is not at the stage
        before, NotFound when one has no tombstone: then nothing of the unit can be kept."""

    def certificate(self, certificate_id: str) -> BatchCertificate:
        """NotFound when unknown."""

    def completable(self, limit: int) -> list[Destruction]:
        """Inaccessible ones none of whose keys is still undestroyed in ``period keys``, oldest first."""

    def uncertified(self, before: datetime, limit: int) -> list[Destruction]:
        """Up to ``limit`` shredded before the moment, without a certificate and without a row that the purge would take up
        again, oldest first."""

    def to_recheck(self, *, since: datetime, before: datetime, limit: int) -> list[Destruction]:
        """Inaccessible since ``since`` and last looked for before ``before``: absence is read again for 30 days."""

    def note_rechecked(self, communication_ids: Collection[str], at: datetime) -> None:
        """They were looked for again and not found."""

    def recent(self, limit: int, *, after: tuple[datetime, str] | None = None) -> list[Destruction]:
        """Newest first by (shredded_at, id), strictly after the given position."""
