"""Authorisations to hand content out: a disclosure to an authority, a bulk export.

Keeps: an authorisation is what two people approved, for one account, about one thing, until a moment; whoever hands content
out asks :meth:`Authorisations.require` in the transaction of the act, and without one nothing leaves. What is handed out, and
how, is left to the journeys of export and disclosure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recvault.domain.access import Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.errors import Forbidden, InvalidInput, NotFound
from recvault.domain.grants import Authorisation
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.case_references import checked_case

LIFE = timedelta(days=7)
"""How long an approved disclosure or bulk export may be carried out."""
STATUTE_LIMIT = 200
"""Characters of the statute that an authority names."""


class Authorisations:
    """Asks for authorisations, records them, and tells whether one holds."""

    def __init__(self, *, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def propose_disclosure(
        self, approvals: Approvals, actor: Actor, reference: str, *, statute: str, reason: str
    ) -> Proposal:
        """Asks to disclose to an authority (promise P10): ``reference`` names the authority's demand, ``statute`` the law that
        obliges. It always takes another person."""
        statute = statute.strip()
        if not statute or len(statute) > STATUTE_LIMIT:
            raise InvalidInput(f"a disclosure names the statute that obliges to it, in 1 to {STATUTE_LIMIT} characters")
        subject = checked_case(reference, None)
        return approvals.propose(actor, ProposalKind.DISCLOSURE, subject, {"statute": statute}, reason)

    def propose_bulk_export(self, approvals: Approvals, actor: Actor, reference: str, *, reason: str) -> Proposal:
        """Asks to export the content of many communications; ``reference`` names the matter."""
        return approvals.propose(actor, ProposalKind.BULK_EXPORT, checked_case(reference, None), {}, reason)

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handler of DISCLOSURE and BULK_EXPORT: from now on it may be done, by the one who asked, until it expires."""
        until = now + LIFE
        unit.authorisations.add(
            Authorisation(
                id=proposal.id,
                kind=proposal.kind,
                subject=proposal.subject,
                holder=proposal.proposed_by,
                approved_by=proposal.decided_by or proposal.proposed_by,
                issued_at=now,
                valid_until=until,
            )
        )
        self._audit.record(
            unit,
            actor=proposal.decided_by or proposal.proposed_by,
            act=Act.AUTHORISED,
            target=proposal.id,
            detail={"kind": proposal.kind.value, "until": until.isoformat()},
        )

    def require(self, unit: UnitOfWork, actor: Actor, kind: ProposalKind, authorisation_id: str) -> Authorisation:
        """The authorisation, when it is of this kind, this account's, and live; Forbidden otherwise."""
        try:
            found = unit.authorisations.get(authorisation_id)
        except NotFound:
            raise Forbidden("nobody authorised this; propose it, and give the approved proposal's id") from None
        if found.kind is not kind or found.holder != actor.id:
            raise Forbidden("this authorisation is for another act or another person; propose your own")
        if not found.live(self._clock.now()):
            raise Forbidden("this authorisation has ended; propose it anew")
        return found
