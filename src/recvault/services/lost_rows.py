"""Rows that a restore brought back under a key that died since: never destroyed, and beyond reach all the same.

A communication that a hold kept was re-wrapped when its day ended; a database from before names the old key. Its source may
send it again: it is stored as new, in its own right, and what held the old row holds the new one too, by the ledger.
Destroyed ones never come here: their tombstones, or the replay's marks, answer first.
"""

from __future__ import annotations

from dataclasses import replace

from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import KeyDestroyed, Unavailable
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger, hold_body
from recvault.services.period_keys import PeriodKeys

ACTOR = "system:restore"


class LostRows:
    """Recognises such rows, and lets another take their place."""

    def __init__(
        self, *, period_keys: PeriodKeys, ledger: Ledger, audit: AuditLog, clock: Clock, entropy: Entropy
    ) -> None:
        self._period_keys = period_keys
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    def lost(self, known: Communication | None) -> Communication | None:
        """The row itself when no key opens it any more, else None. Unavailable while its destruction is being decided."""
        if known is None or known.wrapped_key is None:
            return None
        if known.awaiting_purge is not None:
            raise Unavailable(
                "whether this communication was destroyed is being settled after a restore; send it again"
            )
        try:
            self._period_keys.unwrap(known)
        except KeyDestroyed:
            return known
        return None

    def let_go(self, unit: UnitOfWork, lost: Communication) -> None:
        """Before the new row is added: its source's id is free again."""
        unit.restoration.forget_source_ref(lost.id)

    def hand_on(self, unit: UnitOfWork, lost: Communication, row: Communication) -> None:
        """After the new row was added: what holds the lost one alone holds it too."""
        covering = set(unit.holds.covering([lost.id]).get(lost.id, ()))
        missing = covering - set(unit.holds.covering([row.id]).get(row.id, ()))
        for hold_id in sorted(missing):
            now = self._clock.now()
            hold = replace(
                unit.holds.get(hold_id),
                id=uuid7(now, self._entropy.bytes(10)),
                communication_id=row.id,
                customer_id=None,
                snapshot=None,
                placed_at=now,
            )
            unit.holds.add(hold)
            self._ledger.append(unit, LedgerKind.HOLD_PLACED, hold_body(hold))
            detail: dict[str, object] = {"hold": hold.id, "after": hold_id}
            self._audit.record(unit, actor=ACTOR, act=Act.HOLD_PLACED, target=row.id, detail=detail)
        self._audit.record(unit, actor=ACTOR, act=Act.STORED_AFTER_LOSS, target=row.id, detail={"lost": lost.id})
