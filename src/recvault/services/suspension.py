"""Suspension: one person stops automatic destruction for some days, and it goes on by itself when they are over.

Invariants: it stands in the database, so that every worker and every restart sees it; alone a person suspends for 7 days in
a row, longer takes an approval (``EXTEND_SUSPENSION``); beginning, extension and end are audited, the end also when nobody
ended it. Leaves to others: asking before each batch (``services.brakes``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.brakes import ALONE, Suspension, latest_alone
from recvault.domain.errors import Conflict, InvalidInput, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.clocks import Clocks

ACTOR = "system:suspension"
REASON_LIMIT = 500
"""Characters of a suspension's reason."""
LONGEST = timedelta(days=90)
"""How far ahead an approved extension may reach."""
SEEN = 100
"""Earlier suspensions that count for the row."""


class Suspensions:
    """Begins, extends and ends suspensions."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        clocks: Clocks,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock
        self._clocks = clocks
        self._entropy = entropy

    def standing(self, now: datetime | None = None) -> Suspension | None:
        """The one that stops destruction at ``now`` (default: this moment)."""
        with self._database.read() as unit:
            found = unit.brakes.suspension()
        return found if found is not None and found.stands(now or self._clock.now()) else None

    def suspend(self, actor: Actor, *, reason: str, days: int) -> Suspension:
        """Stops automatic destruction from now on, for ``days``; Conflict when it stands still already."""
        self._access.require(actor, Action.DESTRUCTION_SUSPEND)
        reason = reason.strip()
        if not reason or len(reason) > REASON_LIMIT:
            raise InvalidInput(f"a suspension needs a reason of 1 to {REASON_LIMIT} characters")
        if days < 1:
            raise InvalidInput("a suspension lasts at least 1 day")
        now = self._clock.now()
        suspension = Suspension(
            id=uuid7(now, self._entropy.bytes(10)),
            reason=reason,
            placed_by=actor.id,
            placed_at=now,
            until=now + timedelta(days=days),
        )
        with self._database.begin() as unit:
            self._end_if_over(unit, now)
            if unit.brakes.suspension() is not None:
                raise Conflict("destruction is suspended already; propose an extension, or end it first")
            latest = latest_alone(unit.brakes.suspensions(SEEN), now)
            if suspension.until > latest:
                raise InvalidInput(
                    f"one person suspends destruction for {ALONE.days} days in a row, now at most until "
                    f"{latest:%Y-%m-%d %H:%M} UTC; for longer, propose an extension to be approved"
                )
            unit.brakes.add_suspension(suspension)
            self._record(unit, actor.id, Act.SUSPENDED, suspension, until=suspension.until)
            unit.commit()
        return suspension

    def end(self, actor: Actor) -> Suspension:
        """Destruction goes on from now on."""
        self._access.require(actor, Action.DESTRUCTION_SUSPEND)
        now = self._clock.now()
        with self._database.begin() as unit:
            found = unit.brakes.suspension(lock=True)
            if found is None or not found.stands(now):
                raise NotFound("destruction is not suspended")
            unit.brakes.end_suspension(found.id, at=now, by=actor.id)
            self._record(unit, actor.id, Act.RESUMED, found)
            unit.commit()
        return found

    def settle(self) -> bool:
        """Writes down that a suspension's time is over (a tick of the worker); whether one was."""
        now = self._clocks.agreed()
        with self._database.begin() as unit:
            ended = self._end_if_over(unit, now)
            unit.commit()
        return ended

    def _end_if_over(self, unit: UnitOfWork, now: datetime) -> bool:
        found = unit.brakes.suspension(lock=True)
        if found is None or found.stands(now):
            return False
        unit.brakes.end_suspension(found.id, at=found.until, by=ACTOR)
        self._record(unit, ACTOR, Act.RESUMED, found)
        return True

    # --- longer than one person may

    def propose_extension(self, approvals: Approvals, actor: Actor, *, until: datetime, reason: str) -> Proposal:
        """Asks for the suspension that stands to last until a moment; a second person decides."""
        self._access.require(actor, Action.DESTRUCTION_SUSPEND)
        found = self.standing()
        if found is None:
            raise NotFound("destruction is not suspended; suspend it first, then propose that it lasts longer")
        self._require_ahead(found, until, self._clock.now())
        return approvals.propose(actor, ProposalKind.EXTEND_SUSPENSION, found.id, {"until": until.isoformat()}, reason)

    def carry_out_extension(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handles ``EXTEND_SUSPENSION``: what has ended meanwhile is not begun again."""
        found = unit.brakes.suspension(lock=True)
        if found is None or found.id != proposal.subject or not found.stands(now):
            raise NotFound("the suspension that was to last longer is over; suspend anew and propose it again")
        until = datetime.fromisoformat(str(proposal.body["until"]))
        self._require_ahead(found, until, now)
        unit.brakes.extend_suspension(found.id, until)
        by = proposal.decided_by or proposal.proposed_by
        self._record(unit, by, Act.SUSPENSION_EXTENDED, found, until=until)

    def _require_ahead(self, found: Suspension, until: datetime, now: datetime) -> None:
        if until <= found.until or until > now + LONGEST:
            raise InvalidInput(
                f"an extension reaches beyond {found.until:%Y-%m-%d %H:%M} UTC and at most {LONGEST.days} days ahead"
            )

    def _record(
        self, unit: UnitOfWork, by: str, act: Act, suspension: Suspension, *, until: datetime | None = None
    ) -> None:
        detail: dict[str, object] = {} if until is None else {"until": until.isoformat()}
        self._audit.record(unit, actor=by, act=act, target=suspension.id, detail=detail)
