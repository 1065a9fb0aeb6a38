"""Holds (tuhoamiskielto): placed and released so that no purge can race past.

Keeps rule 3: placing locks the guard row of the customer (or of the contact point), then the communications, as the purge
does; whoever comes second sees what the first did. Keeps rule 4: a hold is in the ledger before it is acknowledged; when the
database does not confirm it, it is looked up, so that a hold that stands is told of.
"""

from __future__ import annotations

from datetime import date, datetime

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import Proposal
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound
from recvault.domain.holds import Hold, HoldAnswer
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger, hold_body

REASON_LIMIT = 500
"""Characters of a hold's reason and of its authority reference."""


class Holds:
    """Places, releases and lists holds."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._access = access

    def place(
        self,
        actor: Actor,
        *,
        reason: str,
        review_on: date,
        communication_id: str | None = None,
        customer_id: str | None = None,
        authority: str | None = None,
    ) -> HoldAnswer:
        """Places a hold on one communication or one customer; the answer lists what was already shredded."""
        self._access.require(actor, Action.HOLD_PLACE)
        now = self._clock.now()
        if not reason.strip() or len(reason) > REASON_LIMIT or len(authority or "") > REASON_LIMIT:
            raise InvalidInput(f"a hold needs a reason of 1 to {REASON_LIMIT} characters")
        if (communication_id is None) == (customer_id is None):
            raise InvalidInput("name either a communication or a customer to hold")
        if review_on <= now.date():
            raise InvalidInput("the review date must lie ahead; give a later date")
        hold = Hold(
            id=uuid7(now, self._entropy.bytes(10)),
            communication_id=communication_id,
            customer_id=customer_id,
            reason=reason.strip(),
            authority=authority,
            placed_by=actor.id,
            placed_at=now,
            review_on=review_on,
        )
        try:
            return self._place(actor, hold)
        except DatabaseUnavailable:
            return self._placed(hold)

    def _place(self, actor: Actor, hold: Hold) -> HoldAnswer:
        with self._database.begin() as unit:
            gone = self._lock_covered(unit, hold)
            if gone:
                return HoldAnswer(hold=hold, covered=0, already_destroyed=gone)
            unit.holds.add(hold)
            self._record(unit, actor, Act.HOLD_PLACED, hold)
            self._ledger.append(unit, LedgerKind.HOLD_PLACED, hold_body(hold))
            covered = unit.holds.count_covered(hold.id)
            unit.commit()
        return HoldAnswer(hold=hold, covered=covered, already_destroyed=())

    def _placed(self, hold: Hold) -> HoldAnswer:
        """An unknown commit is looked up, never undone."""
        with self._database.read() as unit:
            try:
                covered = unit.holds.count_covered(hold.id)
            except NotFound:
                raise DatabaseUnavailable("the database did not confirm the hold; place it again") from None
        return HoldAnswer(hold=hold, covered=covered, already_destroyed=())

    def release(self, actor: Actor, hold_id: str) -> Hold:
        """Releases a hold; what nothing else freezes is due again by its own retention."""
        self._access.require(actor, Action.HOLD_RELEASE)
        now = self._clock.now()
        with self._database.begin() as unit:
            hold = unit.holds.get(hold_id)
            if hold.released_at is not None:
                raise Conflict("this hold is released already")
            self._lock_covered(unit, hold)
            unit.holds.release(hold.id, by=actor.id, at=now)
            self._record(unit, actor, Act.HOLD_RELEASED, hold)
            self._ledger.append(unit, LedgerKind.HOLD_RELEASED, {"id": hold.id, "by": actor.id})
            released = unit.holds.get(hold_id)
            unit.commit()
        return released

    def carry_out_release(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handles ``RELEASE_HOLD``; the subject is the hold's id."""
        hold = unit.holds.get(proposal.subject)
        if hold.released_at is not None:
            raise Conflict("this hold is released already")
        by = proposal.decided_by or proposal.proposed_by
        self._lock_covered(unit, hold)
        unit.holds.release(hold.id, by=by, at=now)
        self._audit.record(
            unit,
            actor=by,
            act=Act.HOLD_RELEASED,
            target=hold.communication_id or hold.customer_id,
            detail={"hold": hold.id, "proposal": proposal.id},
        )
        self._ledger.append(unit, LedgerKind.HOLD_RELEASED, {"id": hold.id, "by": by})

    def list(self, actor: Actor) -> list[tuple[Hold, int]]:
        """Active holds and how many stored communications each covers, straight from the database."""
        self._access.require(actor, Action.HOLD_LIST)
        with self._database.read() as unit:
            return [(hold, unit.holds.count_covered(hold.id)) for hold in unit.holds.active()]

    def _lock_covered(self, unit: UnitOfWork, hold: Hold) -> tuple[str, ...]:
        """Locks guard and communication; returns the ids that were shredded before."""
        if hold.customer_id is not None:
            unit.register.customer(hold.customer_id)
            unit.register.lock_guards(customer_ids=[hold.customer_id], contact_point_ids=[])
            return ()
        assert hold.communication_id is not None
        found = unit.communications.find([hold.communication_id])
        if not found:
            if unit.destructions.find([hold.communication_id]):
                return (hold.communication_id,)
            raise NotFound("there is no such communication")
        unit.register.lock_guards(
            customer_ids=[c.customer_id for c in found if c.customer_id],
            contact_point_ids=[c.contact_point_id for c in found if c.contact_point_id],
        )
        locked = unit.communications.lock([hold.communication_id])
        shredded = not locked or locked[0].wrapped_key is None
        return (hold.communication_id,) if shredded else ()

    def _record(self, unit: UnitOfWork, actor: Actor, act: Act, hold: Hold) -> None:
        self._audit.record(
            unit,
            actor=actor.id,
            act=act,
            target=hold.communication_id or hold.customer_id,
            detail={"hold": hold.id, "scope": "customer" if hold.customer_id else "communication"},
        )
