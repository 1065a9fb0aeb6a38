"""Approvals: what one person proposes and another decides, and how the archive carries it out.

Invariants: a proposal is carried out in the transaction that approves it, once; who decides is read from the database in
that transaction, so that a role taken away counts at once; in mode ``two_person`` nobody decides an own proposal, in mode
``small`` who does waits out the delay, counted by clocks that agree, and still holds the role when it is over. Reasons in
words stay in the proposal's row: audit entries name its id.

Leaves to others: what a kind does (its handler, given by whoever owns it, runs inside the transaction) and telling the
controller's address of what waits (``services.notices``, which asks :meth:`Approvals.waiting`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Action, Actor, Subject, decide, reaches
from recvault.domain.accounts import User, actor_of
from recvault.domain.approvals import (
    DELAYS,
    FOR_A_PERSON,
    NEVER_ALONE,
    Mode,
    Proposal,
    ProposalKind,
    ProposalState,
    require_step,
)
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, DatabaseUnavailable, Forbidden, InvalidInput, NotFound, RecvaultError
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.clocks import Clocks

ACTOR = "system:approvals"
REASON_LIMIT = 500
"""Characters of a proposal's reason."""
DECIDED_SHOWN = 50
"""Decided proposals that a list shows, at most."""

Handler = Callable[[UnitOfWork, Proposal, datetime], None]
"""Carries a proposal out inside the transaction that approves it, at the moment given; an error keeps it undone."""

Follower = Callable[[Proposal], None]
"""Runs after that transaction has committed; must be harmless to leave out (a crash between) and to repeat."""

PROPOSING: Mapping[ProposalKind, Action] = {
    ProposalKind.RELEASE_HOLD: Action.HOLD_RELEASE,
    ProposalKind.END_PURPOSE: Action.PURPOSE_END,
    ProposalKind.STATUTORY_OVERRIDE: Action.STATUTORY_OVERRIDE,
    ProposalKind.EXTEND_SUSPENSION: Action.DESTRUCTION_SUSPEND,
    ProposalKind.SWEEP_AFTER_RESTORE: Action.SWEEP_RESUME,
    ProposalKind.GRANT_ROLES: Action.ROLE_GRANT,
    ProposalKind.BREAK_GLASS: Action.BREAK_GLASS,
    ProposalKind.DISCLOSURE: Action.DISCLOSE,
    ProposalKind.BULK_EXPORT: Action.BULK_EXPORT,
}
"""The act that a proposer's role must grant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRules:
    """``delay``: how long a single person's decision waits in mode ``small``."""

    mode: Mode = Mode.TWO_PERSON
    delay: timedelta = timedelta(hours=72)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalList:
    """What stands, oldest first, and what was decided lately, newest first."""

    standing: tuple[Proposal, ...]
    decided: tuple[Proposal, ...]


class Approvals:
    """Takes proposals and decisions, and carries out what was approved."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        clocks: Clocks,
        entropy: Entropy,
        rules: ApprovalRules,
        handlers: Mapping[ProposalKind, Handler],
        followers: Mapping[ProposalKind, Follower] | None = None,
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock
        self._clocks = clocks
        self._entropy = entropy
        self._rules = rules
        self._handlers = handlers
        self._followers = followers or {}

    @property
    def rules(self) -> ApprovalRules:
        """The mode and the delay."""
        return self._rules

    # --- proposing

    def propose(
        self, actor: Actor, kind: ProposalKind, subject: str, body: Mapping[str, object], reason: str
    ) -> Proposal:
        """Asks for it; Conflict when the same is asked for about the same subject already."""
        self._access.require(actor, PROPOSING[kind])
        reason = reason.strip()
        if not reason or len(reason) > REASON_LIMIT:
            raise InvalidInput(f"a proposal needs a reason of 1 to {REASON_LIMIT} characters")
        if kind not in self._handlers:
            raise InvalidInput(f"nothing here carries out a proposal of the kind '{kind.value}'")
        now = self._clock.now()
        proposal = Proposal(
            id=uuid7(now, self._entropy.bytes(10)),
            kind=kind,
            subject=subject,
            body=body,
            reason=reason,
            proposed_by=actor.id,
            proposed_at=now,
        )
        with self._database.begin() as unit:
            if unit.proposals.standing_about(kind, subject) is not None:
                raise Conflict("this is proposed already; look at it with 'recvault approval list'")
            unit.proposals.add(proposal)
            self._record(unit, actor.id, Act.PROPOSED, proposal)
            unit.commit()
        return proposal

    # --- deciding

    def approve(self, actor: Actor, proposal_id: str) -> Proposal:
        """Carries it out now, or in mode ``small`` when the delay of a single person's decision is over."""
        self._access.require(actor, Action.APPROVAL_DECIDE)
        now = self._clocks.agreed()
        try:
            with self._database.begin() as unit:
                decided = self._approve(unit, actor, unit.proposals.lock(proposal_id), now)
                unit.commit()
        except DatabaseUnavailable:
            decided = self._decided(proposal_id, actor.id, ProposalState.WAITING, ProposalState.CARRIED_OUT)
        self._follow(decided)
        return decided

    def _approve(self, unit: UnitOfWork, actor: Actor, proposal: Proposal, now: datetime) -> Proposal:
        decider = self._require_decider(unit, actor.id, now)
        alone = self._is_alone(unit, decider, proposal)
        if alone and proposal.state is ProposalState.WAITING:
            raise Conflict("your decision waits until its delay is over; another approver can approve it before")
        if proposal.state is ProposalState.WAITING and not proposal.by_one_person:
            raise Conflict("another approver has approved it; it is carried out when its delay is over")
        decided = replace(proposal, decided_by=actor.id, decided_at=now)
        delay = DELAYS.get(proposal.kind, timedelta())
        if alone:
            delay = max(delay, self._rules.delay)
        if delay:
            waiting = replace(decided, state=ProposalState.WAITING, not_before=now + delay)
            return self._settle(unit, proposal, waiting, actor.id, Act.DECIDED_ALONE if alone else Act.APPROVED)
        return self._carry_out(unit, proposal, replace(decided, not_before=None), now)

    def _is_alone(self, unit: UnitOfWork, decider: User, proposal: Proposal) -> bool:
        """Whether the one who proposed it decides, in a mode that lets them. Two accounts of one person are one person, and
        nobody approves what another asks for on their behalf."""
        if decider.id == proposal.proposed_by:
            if self._rules.mode is Mode.TWO_PERSON or proposal.kind in NEVER_ALONE:
                raise Forbidden("your own proposal takes another person's approval; ask another approver")
            return True
        if decider.who == _person(unit, proposal.proposed_by):
            raise Forbidden("another account of yours proposed this; it takes another person's approval")
        if proposal.kind in FOR_A_PERSON and decider.who == _person(unit, proposal.subject):
            raise Forbidden("nobody approves a role for themselves; ask another approver")
        return False

    def _carry_out(self, unit: UnitOfWork, before: Proposal, decided: Proposal, now: datetime) -> Proposal:
        done = replace(decided, state=ProposalState.CARRIED_OUT)
        settled = self._settle(unit, before, done, done.decided_by or ACTOR, Act.CARRIED_OUT)
        self._handlers[done.kind](unit, done, now)
        return settled

    def refuse(self, actor: Actor, proposal_id: str) -> Proposal:
        """An approver says no; it can be proposed anew."""
        self._access.require(actor, Action.APPROVAL_DECIDE)
        return self._end(actor, proposal_id, ProposalState.REFUSED, Act.REFUSED)

    def withdraw(self, actor: Actor, proposal_id: str) -> Proposal:
        """Its proposer takes it back."""
        return self._end(actor, proposal_id, ProposalState.WITHDRAWN, Act.WITHDRAWN)

    def _end(self, actor: Actor, proposal_id: str, state: ProposalState, act: Act) -> Proposal:
        now = self._clock.now()
        try:
            with self._database.begin() as unit:
                proposal = unit.proposals.lock(proposal_id)
                if state is ProposalState.REFUSED:
                    self._require_decider(unit, actor.id, now)
                elif proposal.proposed_by != actor.id:
                    raise Forbidden("only the one who proposed it withdraws it; an approver refuses it")
                ended = replace(proposal, state=state, decided_by=actor.id, decided_at=now, not_before=None)
                self._settle(unit, proposal, ended, actor.id, act)
                unit.commit()
        except DatabaseUnavailable:
            return self._decided(proposal_id, actor.id, state)
        return ended

    # --- when a delay is over

    def carry_out_due(self) -> list[str]:
        """Carries out what has waited long enough (a tick of the worker); returns the ids that came to an end."""
        now = self._clocks.agreed()
        with self._database.read() as unit:
            ids = unit.proposals.waiting(now)
        return [proposal_id for proposal_id in ids if self._carry_out_one(proposal_id, now)]

    def _carry_out_one(self, proposal_id: str, now: datetime) -> bool:
        try:
            with self._database.begin() as unit:
                proposal = unit.proposals.lock(proposal_id)
                if proposal.state is not ProposalState.WAITING or proposal.not_before is None:
                    return False  # another worker was first
                if proposal.not_before > now:
                    return False
                if not self._still_stands(unit, proposal, now):
                    self._reopen(unit, proposal)
                    unit.commit()
                    return False
                done = self._carry_out(unit, proposal, proposal, now)
                unit.commit()
        except DatabaseUnavailable:
            raise
        except RecvaultError as fault:  # what it was about is gone or forbids it: told, and tried again
            self._audit.note(actor=ACTOR, act=Act.CARRY_OUT_FAILED, target=proposal_id, detail={"code": fault.code})
            return False
        self._follow(done)
        return True

    def _still_stands(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> bool:
        if proposal.decided_by is None or (proposal.by_one_person and self._rules.mode is not Mode.SMALL):
            return False
        try:
            self._require_decider(unit, proposal.decided_by, now)
        except Forbidden:
            return False
        return True

    def _reopen(self, unit: UnitOfWork, proposal: Proposal) -> None:
        opened = replace(proposal, state=ProposalState.OPEN, decided_by=None, decided_at=None, not_before=None)
        self._settle(unit, proposal, opened, ACTOR, Act.REOPENED)

    # --- looking

    def open(self) -> list[Proposal]:
        """Those that wait for a decision, oldest first (for digests and gauges; no roles are asked)."""
        with self._database.read() as unit:
            return [one for one in unit.proposals.standing() if one.state is ProposalState.OPEN]

    def waiting(self) -> list[Proposal]:
        """Those that one person decided and whose delay runs: the controller's address is to be told of each."""
        with self._database.read() as unit:
            standing = unit.proposals.standing()
        return [one for one in standing if one.state is ProposalState.WAITING and one.by_one_person]

    def list(self, actor: Actor) -> ProposalList:
        """For people."""
        self._access.require(actor, Action.APPROVAL_LIST)
        with self._database.read() as unit:
            return ProposalList(
                standing=tuple(unit.proposals.standing()), decided=tuple(unit.proposals.recent(DECIDED_SHOWN))
            )

    def get(self, actor: Actor, proposal_id: str) -> Proposal:
        """One proposal; NotFound."""
        self._access.require(actor, Action.APPROVAL_LIST)
        with self._database.read() as unit:
            return unit.proposals.get(proposal_id)

    # --- shared

    def _require_decider(self, unit: UnitOfWork, user_id: str, now: datetime) -> User:
        """The account as it stands in this transaction still has the role."""
        try:
            user = unit.accounts.user(user_id)
        except NotFound:
            raise Forbidden("approving takes a person's own account") from None
        if user.disabled_at is not None:
            raise Forbidden("this account is closed")
        decision = decide(actor_of(user), Action.APPROVAL_DECIDE, Subject(), None, now)
        if not decision.allowed:
            raise Forbidden(f"this needs another role ({decision.reason})")
        if not reaches(actor_of(user), Action.APPROVAL_DECIDE, None, now):
            raise Forbidden("an approver's role must not be limited to teams or queues; ask an administrator")
        return user

    def _settle(self, unit: UnitOfWork, before: Proposal, after: Proposal, by: str, act: Act) -> Proposal:
        require_step(before, after.state)
        unit.proposals.settle(after)
        self._record(unit, by, act, after)
        return after

    def _decided(self, proposal_id: str, by: str, *states: ProposalState) -> Proposal:
        """An unknown commit is looked up, never undone."""
        with self._database.read() as unit:
            found = unit.proposals.get(proposal_id)
        if found.state in states and found.decided_by == by:
            return found
        raise DatabaseUnavailable("the database did not confirm the decision, and it does not stand; decide again")

    def _follow(self, proposal: Proposal) -> None:
        follower = self._followers.get(proposal.kind)
        if follower is not None and proposal.state is ProposalState.CARRIED_OUT:
            follower(proposal)

    def _record(self, unit: UnitOfWork, by: str, act: Act, proposal: Proposal) -> None:
        detail: dict[str, object] = {"kind": proposal.kind.value, "subject": proposal.subject}
        if proposal.by_one_person and act in (Act.DECIDED_ALONE, Act.CARRIED_OUT):
            detail["by_one_person"] = True
        self._audit.record(unit, actor=by, act=act, target=proposal.id, detail=detail)


def _person(unit: UnitOfWork, user_id: str) -> str:
    """The person behind an account; what is no account stands for itself."""
    try:
        return unit.accounts.user(user_id).who
    except NotFound:
        return user_id
