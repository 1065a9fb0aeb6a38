"""Port to what moves retention beside the rows: statutory overrides, ended purposes, and the facts of all rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recvault.domain.communication import Communication
from recvault.domain.retention.endings import PurposeEnding
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.statutes import Override


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFacts:
    """The facts of one stored row and the end it has, without anything sealed; overrides are not in ``facts`` yet."""

    id: str
    facts: Facts
    destroy_at: datetime
    policy_version: str


class RetentionRecords(Protocol):
    """Overrides and ended purposes; they stay when they no longer count."""

    def add_override(self, override: Override) -> None:
        """Conflict when the id exists."""

    def override(self, override_id: str) -> Override:
        """NotFound when unknown."""

    def end_override(self, override_id: str, *, by: str, at: datetime) -> None:
        """Taken back. NotFound when unknown; Conflict when it was ended before."""

    def overrides(self, *, active: bool = True) -> list[Override]:
        """In the order of their placing; with ``active`` those that count."""

    def overrides_covering(self, communication_ids: Collection[str]) -> dict[str, tuple[Override, ...]]:
        """Active overrides by communication, directly or through its customer; ids without one are absent."""

    def overrides_of_customer(self, customer_id: str) -> tuple[Override, ...]:
        """Active overrides on the customer as such."""

    def add_ending(self, ending: PurposeEnding, communication_ids: Collection[str]) -> None:
        """With the recordings it was chosen for (none for a customer's)."""

    def ending(self, ending_id: str) -> PurposeEnding:
        """NotFound when unknown."""

    def ending_items(self, ending_id: str) -> list[str]:
        """The chosen recordings, in id order, destroyed ones too."""

    def withdraw_ending(self, ending_id: str, *, by: str, at: datetime) -> None:
        """NotFound when unknown; Conflict when it was withdrawn before."""

    def endings(self, *, open_at: datetime | None = None) -> list[PurposeEnding]:
        """In the order of their placing; with ``open_at`` those that can still be taken back then."""

    def endings_covering(self, communication_ids: Collection[str]) -> dict[str, tuple[PurposeEnding, ...]]:
        """Those that count, by communication, directly or through its customer; ids without one are absent."""

    def endings_of_customer(self, customer_id: str) -> tuple[PurposeEnding, ...]:
        """Those that count for the customer as such."""

    def ids_of_case(self, case_ref: str) -> list[str]:
        """Every stored communication of the case, in id order."""

    def set_case_closed(self, communication_ids: Collection[str], at: datetime) -> None:
        """Notes the closing of the case on its communications (a fact of retention); what is shredded is passed over."""

    def releases_of(self, communication_ids: Collection[str]) -> dict[str, tuple[datetime, ...]]:
        """The ends of releases to trainees by communication, past ones too; ids without one are absent."""

    def set_digests(self, rows: Collection[Communication]) -> None:
        """Writes version and digest of the facts of stored rows; what is shredded is passed over."""

    def ids_without_digest(self, limit: int, *, after: str = "") -> list[str]:
        """Up to ``limit`` stored rows whose facts have no digest, in id order, ids greater than ``after``."""

    def facts_versions(self, communication_ids: Collection[str]) -> dict[str, int]:
        """The highest version of the facts that the audit log's entries tell of each; ids without such an entry are
        absent."""

    def stored_facts(self, limit: int, *, after: str = "") -> list[StoredFacts]:
        """Up to ``limit`` stored rows in id order, ids greater than ``after``."""

    def ids_under_other_policies(self, version: str, limit: int, *, after: str = "") -> list[str]:
        """Up to ``limit`` stored rows that name another version, in id order, ids greater than ``after``."""
