"""The ledger outside the database: a signed chain of what was decided, so that a restored database cannot forget it.

Entries hold ids and digests only. Each names the SHA-256 of the entry before; each is signed by the archive's ledger key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.ids import canonical_json, require_aware

GENESIS = hashlib.sha256(b"recvault/ledger/v1").hexdigest()


class LedgerKind(StrEnum):
    """What an entry decides or reports."""

    HOLD_PLACED = "hold-placed"
    HOLD_ITEMS = "hold-items"
    HOLD_RELEASED = "hold-released"
    INTENT = "destruction-intended"
    DONE = "destruction-done"
    KEPT = "destruction-dropped"
    KEYS_DESTROYED = "keys-destroyed"
    POLICY_SIGNED = "policy-signed"
    OVERRIDE_PLACED = "override-placed"
    OVERRIDE_ENDED = "override-ended"
    PURPOSE_ENDED = "purpose-ended"
    PURPOSE_END_WITHDRAWN = "purpose-end-withdrawn"
    LOSS_ACCEPTED = "loss-of-entries-accepted"


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """One link. ``sequence`` counts from 1, ``previous`` is the hex digest of the entry before (GENESIS for the first)."""

    sequence: int
    previous: str
    at: datetime
    kind: LedgerKind
    body: Mapping[str, object]

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_aware(self.at, "at"))

    def payload(self) -> bytes:
        """The bytes that are signed and digested."""
        return canonical_json(
            {
                "type": "recvault/ledger/v1",
                "sequence": self.sequence,
                "previous": self.previous,
                "at": self.at.isoformat(timespec="microseconds"),
                "kind": self.kind.value,
                "body": dict(self.body),
            }
        )

    def digest(self) -> str:
        """Hex SHA-256 of the payload: what the next entry names."""
        return hashlib.sha256(self.payload()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerHead:
    """The last entry: sequence 0 and GENESIS for an empty ledger."""

    sequence: int = 0
    digest: str = GENESIS
