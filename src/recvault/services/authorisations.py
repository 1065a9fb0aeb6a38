"""Authorisations to open content for an authority.

Keeps: an authorisation is what two people approved, for one account, about the communications that it names, until a moment
or until somebody ends it; whoever opens content under it asks :meth:`Authorisations.require` in the transaction of the act, and
without one nothing opens. What is then packed and handed out is left to the journeys of disclosure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.coverage import Coverage, read_coverage
from recvault.domain.errors import Forbidden, InvalidInput, NotFound
from recvault.domain.grants import Authorisation
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.case_references import checked_case

LIFE = timedelta(days=7)
"""How long content opens under an approved disclosure."""
SHOWN = timedelta(days=60)
"""How far back authorisations are listed."""
STATUTE_LIMIT = 200
"""Characters of the statute that an authority names."""


class Authorisations:
    """Asks for authorisations, records them, ends them, and tells whether one holds."""

    def __init__(self, *, database: Database, access: Access, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock

    def propose_disclosure(
        self, approvals: Approvals, actor: Actor, reference: str, *, covers: Coverage, statute: str, reason: str
    ) -> Proposal:
        """Asks to disclose to an authority (promise P10): ``reference`` names the authority's demand, ``covers`` what it is
        about, ``statute`` the law that obliges. It always takes another person. NotFound when nothing of it is there."""
        self._access.require(actor, Action.DISCLOSE)
        statute = statute.strip()
        if not statute or len(statute) > STATUTE_LIMIT:
            raise InvalidInput(f"a disclosure names the statute that obliges to it, in 1 to {STATUTE_LIMIT} characters")
        subject = checked_case(reference, None)
        self._require_there(covers)
        body = {"statute": statute, "covers": covers.written()}
        return approvals.propose(actor, ProposalKind.DISCLOSURE, subject, body, reason)

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handler of DISCLOSURE: from now on it may be done, by the one who asked, until it expires."""
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
                covers=read_coverage(proposal.body.get("covers")),
            )
        )
        self._audit.record(
            unit,
            actor=proposal.decided_by or proposal.proposed_by,
            act=Act.AUTHORISED,
            target=proposal.id,
            detail={"kind": proposal.kind.value, "until": until.isoformat()},
        )

    def end(self, actor: Actor, authorisation_id: str) -> None:
        """Ends a disclosure before its time: the next range of what is played under it is refused. NotFound when there is
        none; one that is over already stays as it is."""
        self._access.require(actor, Action.DISCLOSE)
        now = self._clock.now()
        with self._database.begin() as unit:
            found = unit.authorisations.get(authorisation_id)
            if found.kind is not ProposalKind.DISCLOSURE:
                raise NotFound("there is no such disclosure; look at the list of disclosures")
            if not found.live(now):
                return
            unit.authorisations.end(found.id, now)
            self._audit.record(unit, actor=actor.id, act=Act.AUTHORISATION_ENDED, target=found.id)
            unit.commit()

    def disclosures(self, actor: Actor) -> list[Authorisation]:
        """Those issued within SHOWN, newest first."""
        self._access.require(actor, Action.DISCLOSE)
        now = self._clock.now()
        with self._database.read() as unit:
            issued = unit.authorisations.issued(
                ProposalKind.DISCLOSURE, since=now - SHOWN, until=now + timedelta(seconds=1)
            )
        return issued[::-1]

    def require(self, unit: UnitOfWork, actor: Actor, kind: ProposalKind, authorisation_id: str) -> Authorisation:
        """The authorisation, when it is of this kind, this account's, and live; Forbidden otherwise."""
        try:
            found = unit.authorisations.get(authorisation_id)
        except NotFound:
            raise Forbidden(
                "nobody authorised this; propose a disclosure, and when it is approved give its id as the reference"
            ) from None
        if found.kind is not kind or found.holder != actor.id:
            raise Forbidden("this authorisation is for another act or another person; propose your own")
        if not found.live(self._clock.now()):
            raise Forbidden("this authorisation has ended; propose it anew")
        return found

    def covered(self, authorisation: Authorisation) -> Coverage:
        """What it covers; Forbidden for one of an earlier program, which did not say."""
        if authorisation.covers is None:
            raise Forbidden("this authorisation does not say what it covers; propose it anew")
        return authorisation.covers

    def _require_there(self, covers: Coverage) -> None:
        with self._database.read() as unit:
            if covers.customer_id is not None:
                unit.register.customer(covers.customer_id)
            elif len(unit.communications.find(sorted(covers.communications))) < len(covers.communications):
                raise NotFound(
                    "some of these communications are not there; look for them again, and name those there are"
                )
