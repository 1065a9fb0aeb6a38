"""Whether the keyring is as new as what the ledger and the database know of it.

All its places may be put back together while no process runs: then keys live again that had died, and newer ones are missing.
Two things outside the keyring tell: entries of the ledger that it should remember, and keys that the database calls destroyed.
Such a keyring serves nothing until a person takes it; taking it destroys again what had died, and anchors the ledger's head.
Missing keys are left to reconciliation: what lies under them is beyond reach.
"""

from __future__ import annotations

from collections.abc import Mapping

from recvault.domain.audit import Act
from recvault.domain.errors import KeyringError, NotFound
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger


class KeyringAge:
    """Compares, refuses, and takes a keyring of before."""

    def __init__(self, *, database: Database, keyring: Keyring, ledger: Ledger, audit: AuditLog) -> None:
        self._database = database
        self._keyring = keyring
        self._ledger = ledger
        self._audit = audit

    def require_newest(self) -> None:
        """KeyringError when the keyring was put back to a copy from before."""
        with self._database.read() as unit:
            head = unit.settings.ledger_head()
        risen = self.risen()
        if risen or self._ledger.keyring_is_older(head):
            raise KeyringError(
                f"the keyring is older than the ledger ({len(risen)} destroyed keys are back): all its places were put back "
                "together. Put its newest copy back; where there is none newer, 'recvault keys accept-older' takes this one "
                "and destroys those keys again"
            )

    def risen(self) -> list[str]:
        """Keys that the database knows to be destroyed, and that the keyring has."""
        with self._database.read() as unit:
            known = {key.key_id for key in unit.period_keys.living()}
        kinds = ("day/", "frozen/")
        alive = [key.id for kind in kinds for key in self._keyring.list(kind) if key.destroyed_at is None]
        return [key_id for key_id in alive if key_id not in known and self._is_dead(key_id)]

    def accept(self, by: str, detail: Mapping[str, object] | None = None) -> list[str]:
        """Takes the keyring as it is: destroys again what had died, anchors the ledger's head; returns the keys."""
        risen = self.risen()
        with self._database.read() as unit:
            head = unit.settings.ledger_head()
        told = {"destroyed_again": len(risen), "ledger": head.sequence} | dict(detail or {})
        self._audit.note(actor=by, act=Act.KEYS_RESTORED, detail=told)
        if risen:
            self._keyring.destroy(risen)
        self._ledger.anchor(head)
        return risen

    def _is_dead(self, key_id: str) -> bool:
        with self._database.read() as unit:
            try:
                return unit.period_keys.get(key_id).destroyed_at is not None
            except NotFound:
                return False
