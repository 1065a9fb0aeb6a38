"""Holds (tuhoamiskielto), restrictions and open requests: placed and released so that no purge can race past.

Keeps rule 3: placing locks the guard rows of customers (or contact points), then the communications in id order, as the
purge does; whoever comes second sees what the first did. Keeps rule 4: a hold is in the ledger before it is acknowledged;
what a search found goes before it, in portions, so that a replay has it whole or not at all. A release takes a second person
and is in the database before it is in the ledger: whatever is lost in between, the hold stands. An unknown commit is
looked up. A role that is limited to teams or queues places and lists holds inside them only. A restriction is lifted as a
hold is released, and only after the customer was told (Art. 18(3) GDPR); an open request is closed by whoever handles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from recvault.domain.access import TABLE, Action, Actor, reaches, visible_sets
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.communication import Communication, SearchQuery
from recvault.domain.errors import Conflict, DatabaseUnavailable, Forbidden, InvalidInput, NotFound
from recvault.domain.holds import Hold, HoldAnswer, HoldCount, HoldKind, HoldScope, snapshot_digest
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger, hold_body

REASON_LIMIT = 500
"""Characters of a hold's reason and of its authority reference."""
SNAPSHOT_LIMIT = 20_000
"""Communications that one hold takes from a search."""
PORTION = 1000
"""Ids in one entry of the ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Covered:
    """What a new hold finds under its locks."""

    standing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class Holds:
    """Places, releases, lists and counts holds."""

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

    # --- placing

    def place(
        self,
        actor: Actor,
        *,
        reason: str,
        review_on: date,
        communication_id: str | None = None,
        customer_id: str | None = None,
        found_by: SearchQuery | None = None,
        authority: str | None = None,
        owner: str | None = None,
        kind: HoldKind = HoldKind.HOLD,
    ) -> HoldAnswer:
        """Places a hold on one communication, one customer, or what a search finds now (at most ``SNAPSHOT_LIMIT``); the
        answer lists what was already shredded. ``owner`` is the account that the review date reminds. An open request is
        placed with its reference as ``authority``."""
        self._access.require(actor, Action.HOLD_PLACE)
        now = self._clock.now()
        if not reason.strip() or len(reason) > REASON_LIMIT or len(authority or "") > REASON_LIMIT:
            raise InvalidInput(f"a hold needs a reason of 1 to {REASON_LIMIT} characters")
        if kind is HoldKind.REQUEST and not (authority or "").strip():
            raise InvalidInput("an open request needs its reference in the register of requests; it names no person")
        if sum(one is not None for one in (communication_id, customer_id, found_by)) != 1:
            raise InvalidInput("name a communication, or a customer, or a search to hold what it finds")
        if review_on <= now.date():
            raise InvalidInput("the review date must lie ahead; give a later date")
        hold = Hold(
            id=uuid7(now, self._entropy.bytes(10)),
            communication_id=communication_id,
            customer_id=customer_id,
            snapshot=None if found_by is None else snapshot_digest(()),
            reason=reason.strip(),
            authority=authority,
            placed_by=actor.id,
            placed_at=now,
            review_on=review_on,
            owner=owner,
            kind=kind,
        )
        try:
            return self._place(actor, hold, found_by)
        except DatabaseUnavailable:
            return self._placed(hold)

    def _place(self, actor: Actor, hold: Hold, found_by: SearchQuery | None) -> HoldAnswer:
        with self._database.begin() as unit:
            if hold.owner is not None:
                unit.accounts.user(hold.owner)
            covered = self._lock_wanted(unit, actor, hold, found_by)
            if hold.scope is not HoldScope.CUSTOMER and not covered.standing:
                return HoldAnswer(hold=hold, covered=0, already_destroyed=covered.gone)
            if hold.scope is HoldScope.SNAPSHOT:
                hold = replace(hold, snapshot=snapshot_digest(covered.standing))
                unit.holds.add_items(hold.id, covered.standing)
                for number, items in enumerate(_portions(covered.standing), start=1):
                    self._ledger.append(
                        unit, LedgerKind.HOLD_ITEMS, {"hold": hold.id, "portion": number, "items": items}
                    )
            unit.holds.add(hold)
            self._record(unit, actor, Act.HOLD_PLACED, hold)
            self._ledger.append(unit, LedgerKind.HOLD_PLACED, hold_body(hold))
            count = unit.holds.count_covered(hold.id)
            unit.commit()
        return HoldAnswer(hold=hold, covered=count, already_destroyed=covered.gone)

    def _placed(self, wanted: Hold) -> HoldAnswer:
        """An unknown commit is looked up, never undone."""
        with self._database.read() as unit:
            try:
                hold = unit.holds.get(wanted.id)
                covered = unit.holds.count_covered(wanted.id)
            except NotFound:
                raise DatabaseUnavailable("the database did not confirm the hold; place it again") from None
        return HoldAnswer(hold=hold, covered=covered, already_destroyed=())

    def _lock_wanted(self, unit: UnitOfWork, actor: Actor, hold: Hold, found_by: SearchQuery | None) -> _Covered:
        if found_by is not None:
            return self._lock_found(unit, self._find(unit, actor, found_by))
        if hold.customer_id is not None:
            self._require_reach(actor, Action.HOLD_PLACE, None)
            unit.register.customer(hold.customer_id)
            unit.register.lock_guards(customer_ids=[hold.customer_id], contact_point_ids=[])
            return _Covered()
        assert hold.communication_id is not None
        return self._lock_one(unit, actor, hold.communication_id)

    def _lock_one(self, unit: UnitOfWork, actor: Actor, communication_id: str) -> _Covered:
        found = unit.communications.find([communication_id])
        if not found or found[0].wrapped_key is None:
            self._require_reach(actor, Action.HOLD_PLACE, None)  # whose team it was, nobody can tell any more
        else:
            self._require_reach(actor, Action.HOLD_PLACE, found[0])
        if not found and not unit.destructions.find([communication_id]):
            raise NotFound("there is no such communication")
        return self._lock_found(unit, [communication_id])

    def _find(self, unit: UnitOfWork, actor: Actor, query: SearchQuery) -> list[str]:
        """What the search finds of what the actor may hold."""
        now = self._clock.now()
        holding = replace(
            actor, grants=tuple(grant for grant in actor.grants if grant.role in TABLE[Action.HOLD_PLACE])
        )
        ids = unit.holds.found(replace(query, limit=SNAPSHOT_LIMIT + 1), visible_sets(holding, None, now), now)
        if len(ids) > SNAPSHOT_LIMIT:
            raise InvalidInput(
                f"the search finds more than {SNAPSHOT_LIMIT} communications; narrow it and place several"
            )
        if not ids:
            raise NotFound("the search finds nothing to hold")
        return ids

    def _lock_found(self, unit: UnitOfWork, ids: Sequence[str]) -> _Covered:
        """Guards of all, then the rows in id order: what a purge shredded before is told, what it claimed waits for us."""
        customers, points = unit.communications.guards(ids)
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        standing = unit.holds.lock_standing(ids)
        return _Covered(standing=tuple(standing), gone=tuple(sorted(set(ids) - set(standing))))

    # --- releasing

    def propose_release(
        self, approvals: Approvals, actor: Actor, hold_id: str, *, reason: str, told_on: date | None = None
    ) -> Proposal:
        """Asks for the release; a second person decides. ``told_on``: the day on which the customer was told that a
        restriction will be lifted, which must be before."""
        self._access.require(actor, Action.HOLD_RELEASE)
        with self._database.read() as unit:
            hold = unit.holds.get(hold_id)
            self._require_reach_of(unit, actor, Action.HOLD_RELEASE, hold)
        if hold.released_at is not None:
            raise Conflict("this hold is released already")
        if hold.kind is HoldKind.REQUEST:
            raise Conflict("this is an open request: close it when it is answered, it needs no release")
        body: dict[str, object] = {"scope": hold.scope.value, "kind": hold.kind.value}
        if hold.kind is HoldKind.RESTRICTION:
            body["told_on"] = self._told(told_on).isoformat()
        return approvals.propose(actor, ProposalKind.RELEASE_HOLD, hold.id, body, reason)

    def _told(self, told_on: date | None) -> date:
        """Art. 18(3) GDPR: the data subject is told before the restriction is lifted."""
        if told_on is None or told_on > self._clock.now().date():
            raise InvalidInput("the customer is told before a restriction is lifted; give the day on which they were")
        return told_on

    def close_request(self, actor: Actor, hold_id: str, *, reason: str) -> Hold:
        """The request is answered: what nothing else freezes is due again by its own retention. No second person is asked;
        Conflict for what is no open request."""
        self._access.require(actor, Action.HOLD_PLACE)
        if not reason.strip() or len(reason) > REASON_LIMIT:
            raise InvalidInput(f"closing a request needs a reason of 1 to {REASON_LIMIT} characters")
        now = self._clock.now()
        with self._database.begin() as unit:
            hold = unit.holds.get(hold_id)
            self._require_reach_of(unit, actor, Action.HOLD_PLACE, hold)
            if hold.kind is not HoldKind.REQUEST:
                raise Conflict("this is no open request: propose its release, which a second person decides")
            if hold.released_at is not None:
                raise Conflict("this request is closed already")
            unit.holds.release(hold.id, by=actor.id, at=now)
            self._record(unit, actor, Act.HOLD_RELEASED, hold)
            unit.commit()
        self.note_releases()
        return replace(hold, released_at=now, released_by=actor.id)

    def carry_out_release(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handles ``RELEASE_HOLD``; what nothing else freezes is due again by its own retention."""
        hold = unit.holds.get(proposal.subject)
        if hold.released_at is not None:
            raise Conflict("this hold is released already")
        by = proposal.decided_by or proposal.proposed_by
        unit.holds.release(hold.id, by=by, at=now)
        self._audit.record(
            unit,
            actor=by,
            act=Act.HOLD_RELEASED,
            target=hold.communication_id or hold.customer_id or hold.id,
            detail={"hold": hold.id, "kind": hold.kind.value, "scope": hold.scope.value, "proposal": proposal.id},
        )

    def note_release_of(self, proposal: Proposal) -> None:
        """Follows an approved release; what is not told here is told by the next tick."""
        self.note_releases()

    def note_releases(self) -> int:
        """Tells the ledger of releases that are committed (after one, and as a tick); how many."""
        with self._database.read() as unit:
            pending = unit.holds.releases_not_noted()
        for hold in pending:
            with self._database.begin() as unit:
                self._ledger.append(unit, LedgerKind.HOLD_RELEASED, {"id": hold.id, "by": hold.released_by})
                unit.holds.note_release(hold.id, self._clock.now())
                unit.commit()
        return len(pending)

    # --- looking

    def report(self, actor: Actor) -> list[HoldCount]:
        """What each active hold covers, counted by the database in one statement; memory does not grow with it."""
        self._access.require(actor, Action.HOLD_LIST)
        now = self._clock.now()
        with self._database.read() as unit:
            lines = unit.holds.report(now)
            if reaches(actor, Action.HOLD_LIST, None, now):
                return lines
            rows = unit.communications.find(
                [line.hold.communication_id for line in lines if line.hold.communication_id]
            )
        within = {row.id for row in rows if reaches(actor, Action.HOLD_LIST, row, now)}
        return [line for line in lines if line.hold.communication_id in within]

    def to_review(self) -> list[Hold]:
        """Active holds whose review date has come, for digests and alarms; they stand all the same."""
        today = self._clock.now().date()
        with self._database.read() as unit:
            return [hold for hold in unit.holds.active() if hold.review_on <= today]

    # --- shared

    def _require_reach_of(self, unit: UnitOfWork, actor: Actor, action: Action, hold: Hold) -> None:
        found = [] if hold.communication_id is None else unit.communications.find([hold.communication_id])
        self._require_reach(actor, action, found[0] if found else None)

    def _require_reach(self, actor: Actor, action: Action, communication: Communication | None) -> None:
        if not reaches(actor, action, communication, self._clock.now()):
            raise Forbidden("this lies outside the teams or queues of your role (out-of-scope)")

    def _record(self, unit: UnitOfWork, actor: Actor, act: Act, hold: Hold) -> None:
        self._audit.record(
            unit,
            actor=actor.id,
            act=act,
            target=hold.communication_id or hold.customer_id or hold.id,
            detail={"hold": hold.id, "kind": hold.kind.value, "scope": hold.scope.value},
        )

    def list(self, actor: Actor) -> list[tuple[Hold, int]]:
        """Active holds inside the actor's scope, and how many stored communications each covers."""
        return [(line.hold, line.covered) for line in self.report(actor)]


def _portions(ids: Sequence[str]) -> list[list[str]]:
    ordered = sorted(ids)
    return [ordered[first : first + PORTION] for first in range(0, len(ordered), PORTION)]
