"""Signed retention policies, by the ledger's word: whoever can edit the database cannot edit what destroys.

When a person signs a version, its digest is written to the ledger and the entry's number beside the policy. Before a
version decides a destruction, that entry is read again, its signature verified, and its digest compared with the policy
as this process parsed it. Left to others: who may sign (``services.retention``), stopping (``services.purge``).
"""

from __future__ import annotations

from recvault.domain.errors import LedgerFailure
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.retention import Policy
from recvault.services.ledger import Ledger

SIGNED = "policy/signed/"
"""Prefix of the settings that name, by version, the ledger's entry of its signature."""


class SignedPolicies:
    """Writes signatures to the ledger and holds policies against them."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger
        self._verified: dict[str, str] = {}

    def is_noted(self, unit: UnitOfWork, version: str) -> bool:
        """Whether the ledger has a signature of the version (those of earlier programs have none: sign them again)."""
        return unit.settings.get(SIGNED + version) is not None

    def note(self, unit: UnitOfWork, policy: Policy) -> None:
        """Writes the signed digest into the ledger, in the caller's transaction."""
        body = {"version": policy.version, "sha256": policy.digest}
        entry = self._ledger.append(unit, LedgerKind.POLICY_SIGNED, body)
        unit.settings.put(SIGNED + policy.version, {"entry": entry.sequence})

    def is_as_signed(self, unit: UnitOfWork, policy: Policy) -> bool:
        """Whether the ledger says that this very text was signed under its version."""
        if self._verified.get(policy.version) == policy.digest:
            return True
        noted = unit.settings.get(SIGNED + policy.version)
        if noted is None:
            return False
        try:
            entry = self._ledger.entry(int(str(noted.get("entry"))))
        except (ValueError, LedgerFailure):
            return False
        if entry.kind is not LedgerKind.POLICY_SIGNED or entry.body != {
            "version": policy.version,
            "sha256": policy.digest,
        }:
            return False
        self._verified[policy.version] = policy.digest
        return True
