"""Approvals: what one person proposes and another decides, and how the archive carries it out.

Invariants: a proposal is carried out in the transaction that approves it, once; who decides is read from the database in
that transaction, so that a role taken away counts at once; in mode ``two_person`` nobody decides an own proposal, in mode
``small`` who does waits out the delay, counted by clocks that agree, and still holds the role when it is over. An approval
is a passkey's assertion over the exact act (unless the configuration leaves it to the account), verified in the
transaction that carries it out, also after a delay. What nobody decides in time expires. Reasons in words stay in the
proposal's row: audit entries name its id.

Leaves to others: what a kind does (its handler, given by whoever owns it, runs inside the transaction), who may decide
(``services.deciders``), what is signed (``services.assertions``), words of mails (``services.approval_letters``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import DELAYS, Proposal, ProposalKind, ProposalState, require_step
from recvault.domain.audit import Act
from recvault.domain.decisions import Assertion, AssertionBroken, AssertionRequired, Proof
from recvault.domain.errors import Conflict, DatabaseUnavailable, Forbidden, InvalidInput, RecvaultError
from recvault.domain.ids import uuid7
from recvault.domain.passkeys import PasskeyRefused, Use
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.approval_letters import ApprovalLetters
from recvault.services.approval_rules import PROPOSING, ApprovalRules, Follower, Handler, ProposalList
from recvault.services.assertions import Assertions, Given, Question
from recvault.services.audit_log import AuditLog
from recvault.services.clocks import Clocks
from recvault.services.deciders import is_alone, require_decider

ACTOR = "system:approvals"
REASON_LIMIT = 500
"""Characters of a proposal's reason."""
DECIDED_SHOWN = 50
"""Decided proposals that a list shows, at most."""

_APPROVING = frozenset({Act.DECIDED_ALONE, Act.APPROVED, Act.CARRIED_OUT})


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
        assertions: Assertions,
        letters: ApprovalLetters,
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
        self._assertions = assertions
        self._letters = letters
        self._handlers = handlers
        self._followers = followers or {}

    @property
    def rules(self) -> ApprovalRules:
        """Mode, delay, life of a proposal, and how decisions are proved."""
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
            expires_at=now + self._rules.expire_after,
        )
        with self._database.begin() as unit:
            standing = unit.proposals.standing_about(kind, subject)
            if standing is not None and not standing.is_over(now):
                raise Conflict("this is proposed already; look at it with 'recvault approval list'")
            if standing is not None:
                self._expire(unit, standing, now)
            unit.proposals.add(proposal)
            self._record(unit, actor.id, Act.PROPOSED, proposal)
            unit.notices.queue(self._letters.proposed(proposal))
            unit.commit()
        return proposal

    # --- deciding

    def question(self, actor: Actor, proposal_id: str, *, binding: str) -> Question:
        """What an approver's passkey is asked to sign, in the session ``binding``; errors as of :meth:`approve`, and
        Conflict when the approver has no passkey."""
        self._access.require(actor, Action.APPROVAL_DECIDE)
        now = self._clock.now()
        with self._database.read() as unit:
            proposal = unit.proposals.get(proposal_id)
            self._require_may_approve(unit, actor.id, proposal, now)
        return self._assertions.ask(proposal, approver=actor.id, binding=binding)

    def approve(
        self,
        actor: Actor,
        proposal_id: str,
        *,
        answer: Mapping[str, object] | None = None,
        binding: str | None = None,
    ) -> Proposal:
        """Carries it out now, or when the delay of its kind or of a single person's decision (mode ``small``) is over.
        ``answer``: the passkey's to :meth:`question`, given in the same session ``binding``; AssertionRequired where it is
        needed and missing, PasskeyRefused where it does not hold."""
        self._access.require(actor, Action.APPROVAL_DECIDE)
        now = self._clocks.agreed()
        given = self._given(answer, binding)
        try:
            with self._database.begin() as unit:
                decided = self._approve(unit, actor, unit.proposals.lock(proposal_id), given, now)
                unit.commit()
        except DatabaseUnavailable:
            decided = self._decided(proposal_id, actor.id, ProposalState.WAITING, ProposalState.CARRIED_OUT)
        except PasskeyRefused as fault:
            if given is not None:
                self._assertions.note_refusal(fault, Use.APPROVE, given, approver=actor.id)
            raise
        self._follow(decided)
        return decided

    def _given(self, answer: Mapping[str, object] | None, binding: str | None) -> Given | None:
        if answer is not None and binding is not None:
            return self._assertions.take(answer, binding=binding)
        if self._rules.proof is Proof.PASSKEY:
            raise AssertionRequired
        return None

    def _approve(
        self, unit: UnitOfWork, actor: Actor, proposal: Proposal, given: Given | None, now: datetime
    ) -> Proposal:
        alone = self._require_may_approve(unit, actor.id, proposal, now)
        decided = replace(proposal, decided_by=actor.id, decided_at=now)
        if given is not None:
            assertion = self._assertions.accept(unit, proposal, given, approver=actor.id, now=now)
            decided = replace(decided, assertion=assertion)
        delay = DELAYS.get(proposal.kind, timedelta())
        if alone:
            delay = max(delay, self._rules.delay)
        if not delay:
            return self._carry_out(unit, proposal, replace(decided, not_before=None), now)
        waiting = replace(decided, state=ProposalState.WAITING, not_before=now + delay)
        if alone:
            unit.notices.queue(self._letters.decided_alone(waiting))
        return self._settle(unit, proposal, waiting, actor.id, Act.DECIDED_ALONE if alone else Act.APPROVED)

    def _require_may_approve(self, unit: UnitOfWork, user_id: str, proposal: Proposal, now: datetime) -> bool:
        """Whether this person would decide an own proposal; Forbidden or Conflict when they may not decide it at all."""
        alone = is_alone(unit, require_decider(unit, user_id, now), proposal, self._rules.mode)
        if alone and proposal.state is ProposalState.WAITING:
            raise Conflict("your decision waits until its delay is over; another approver can approve it before")
        if proposal.state is ProposalState.WAITING and not proposal.by_one_person:
            raise Conflict("another approver has approved it; it is carried out when its delay is over")
        if proposal.standing and proposal.expires_at is not None and proposal.expires_at <= now:
            raise Conflict("this proposal has expired; propose it again")
        require_step(proposal, ProposalState.CARRIED_OUT)
        return alone

    def _carry_out(self, unit: UnitOfWork, before: Proposal, decided: Proposal, now: datetime) -> Proposal:
        key = self._require_proof(unit, decided)
        done = replace(decided, state=ProposalState.CARRIED_OUT)
        settled = self._settle(unit, before, done, done.decided_by or ACTOR, Act.CARRIED_OUT, key=key)
        self._handlers[done.kind](unit, done, now)
        return settled

    def _require_proof(self, unit: UnitOfWork, decided: Proposal) -> str | None:
        """The digest of the key whose assertion covers the act as its row says now, None where the account is enough."""
        if decided.assertion is None and self._rules.proof is Proof.ACCOUNT:
            return None
        return self._assertions.require(unit, decided)

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
                    require_decider(unit, actor.id, now)
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
                if doubt := self._doubt(unit, proposal, now):
                    self._undecide(unit, proposal, doubt, now)
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

    def _doubt(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> Forbidden | None:
        """Why a decision of before must not be carried out any more; None when it still stands."""
        try:
            decider = require_decider(unit, proposal.decided_by or "", now)
            is_alone(unit, decider, proposal, self._rules.mode)
            self._require_proof(unit, proposal)
        except Forbidden as fault:
            return fault
        return None

    def _undecide(self, unit: UnitOfWork, proposal: Proposal, doubt: Forbidden, now: datetime) -> None:
        """Open again where somebody may decide anew; over where what was approved was altered."""
        if isinstance(doubt, AssertionBroken):
            over = replace(proposal, state=ProposalState.REFUSED, decided_by=ACTOR, decided_at=now, not_before=None)
            self._settle(unit, proposal, over, ACTOR, Act.ASSERTION_BROKEN)
            return
        opened = replace(
            proposal, state=ProposalState.OPEN, decided_by=None, decided_at=None, not_before=None, assertion=None
        )
        self._settle(unit, proposal, opened, ACTOR, Act.REOPENED, code=doubt.code)

    # --- when nobody decided

    def expire_due(self) -> list[str]:
        """Ends what nobody decided in time (a tick of the worker); returns the ids."""
        now = self._clocks.agreed()
        with self._database.read() as unit:
            ids = unit.proposals.expired(now)
        return [proposal_id for proposal_id in ids if self._expire_one(proposal_id, now)]

    def _expire_one(self, proposal_id: str, now: datetime) -> bool:
        with self._database.begin() as unit:
            proposal = unit.proposals.lock(proposal_id)
            if not proposal.is_over(now):
                return False  # somebody decided meanwhile
            self._expire(unit, proposal, now)
            unit.commit()
        return True

    def _expire(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        over = replace(proposal, state=ProposalState.EXPIRED, decided_by=ACTOR, decided_at=now)
        self._settle(unit, proposal, over, ACTOR, Act.PROPOSAL_EXPIRED)

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

    def evidence(self, actor: Actor, proposal_id: str) -> tuple[Proposal, Sequence[Assertion]]:
        """A proposal and what approvers' passkeys signed of it, the oldest first, for whoever verifies it elsewhere."""
        self._access.require(actor, Action.APPROVAL_LIST)
        with self._database.read() as unit:
            return unit.proposals.get(proposal_id), unit.passkeys.assertions(proposal_id)

    # --- shared

    def _settle(
        self,
        unit: UnitOfWork,
        before: Proposal,
        after: Proposal,
        by: str,
        act: Act,
        *,
        key: str | None = None,
        code: str | None = None,
    ) -> Proposal:
        require_step(before, after.state)
        unit.proposals.settle(after)
        self._record(unit, by, act, after, key=key, code=code)
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

    def _record(
        self,
        unit: UnitOfWork,
        by: str,
        act: Act,
        proposal: Proposal,
        *,
        key: str | None = None,
        code: str | None = None,
    ) -> None:
        detail: dict[str, object] = {"kind": proposal.kind.value, "subject": proposal.subject}
        if act in _APPROVING:
            detail["proof"] = (Proof.ACCOUNT if proposal.assertion is None else Proof.PASSKEY).value
            if proposal.by_one_person:
                detail["by_one_person"] = True
        detail |= {name: value for name, value in (("key", key), ("code", code)) if value is not None}
        self._audit.record(unit, actor=by, act=act, target=proposal.id, detail=detail)
