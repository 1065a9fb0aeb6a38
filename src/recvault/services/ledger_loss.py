"""A ledger whose end is lost in both places: told what is lost, two people let it go on.

Keeps: the keyring and the database remember how far the ledger went, so a lost end is noticed and nothing is served; nobody
goes on alone; the entry that goes on says which entries are missing, so that every later reader knows. What the database has
followed of them stands in it; of the others (holds, ended purposes, destructions) nobody knows, so destruction is suspended
for seven days, in which people look and place again what is missing.

Left to others: bringing a copy of the ledger back, which is always better (docs/OPERATIONS.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from recvault.domain.access import Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.brakes import ALONE, Suspension
from recvault.domain.errors import Conflict
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger

REASON = "the end of the ledger was lost: holds and requests of its last days are to be looked through"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What is lost: entries from ``first`` to ``last``; ``followed``: up to which of them the database has done what they
    say (below ``first`` when none)."""

    first: int
    last: int
    followed: int

    @property
    def unknown(self) -> int:
        """How many entries nobody knows the content of."""
        return self.last - max(self.followed, self.first - 1)


class LedgerLoss:
    """Tells, proposes and carries out. Works on a database that serves nothing (``Database.unjudged``)."""

    def __init__(self, *, database: Database, ledger: Ledger, audit: AuditLog) -> None:
        self._database = database
        self._ledger = ledger
        self._audit = audit

    def told(self) -> Loss:
        """Conflict when nothing is lost."""
        with self._database.unjudged(), self._database.read() as unit:
            return self._told(unit)

    def propose(self, approvals: Approvals, actor: Actor, reason: str) -> Proposal:
        """Asks for going on without what is lost now."""
        loss = self.told()
        with self._database.unjudged():
            return approvals.propose(actor, ProposalKind.ACCEPT_LEDGER_LOSS, "ledger", asdict(loss), reason)

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """The handler. Conflict when something else is lost than was proposed."""
        loss = self._told(unit)
        if asdict(loss) != dict(proposal.body):
            raise Conflict("the ledger is not as it was when this was proposed; refuse the proposal and look again")
        self._ledger.go_on_after_loss(unit, {**asdict(loss), "proposal": proposal.id})
        detail: dict[str, object] = {**asdict(loss), "unknown": loss.unknown, "by_one_person": proposal.by_one_person}
        self._audit.record(
            unit,
            actor=proposal.decided_by or proposal.proposed_by,
            act=Act.LEDGER_LOSS_ACCEPTED,
            target=proposal.id,
            detail=detail,
        )
        if unit.brakes.suspension() is None:
            suspension = Suspension(
                id=proposal.id, reason=REASON, placed_by=proposal.proposed_by, placed_at=now, until=now + ALONE
            )
            unit.brakes.add_suspension(suspension)
            until: dict[str, object] = {"until": suspension.until.isoformat()}
            self._audit.record(unit, actor="system:ledger", act=Act.SUSPENDED, target=suspension.id, detail=until)

    def _told(self, unit: UnitOfWork) -> Loss:
        last, anchored = self._ledger.ends()
        followed = unit.settings.ledger_head().sequence
        if last >= max(anchored, followed):
            raise Conflict("no entry of the ledger is missing at its end; 'recvault ledger verify' looks at all of it")
        return Loss(first=last + 1, last=max(anchored, followed), followed=followed)
