"""Giving and taking roles.

Invariants: a role is taken away at once; a role that opens or releases content or approves begins only when another person
has approved it and 24 hours have passed (``domain.approvals.DELAYS``), and until then nothing of it counts; break-glass access
ends by itself within hours. Whoever's roles change signs in again. One way past the approval exists: on the machine itself,
while nobody in the archive can approve; it stands in the log as ``bootstrap``.

Leaves to others: who may decide and when (``services.approvals``), what a role grants (``domain.access``), mails about what
waits and about break-glass (``services.alarms``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Action, Actor, Grant, Role, reaches
from recvault.domain.accounts import User, actor_of
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.audit import Act
from recvault.domain.errors import Forbidden, InvalidInput, NotFound
from recvault.domain.grants import (
    BREAK_GLASS_LONGEST,
    Authorisation,
    added,
    change,
    checked,
    read,
    written,
)
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog

ASK = "these roles take an approval; say who asks for them (--as), and why (--reason)"
NOT_BY_BREAK_GLASS = frozenset({Role.SOURCE, Role.APPROVER})
"""An approver made in a hurry could approve everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What came of it: the account with the roles of this moment, and what waits for an approval, if anything."""

    user: User
    proposal: Proposal | None = None


class Grants:
    """Gives and takes roles. ``end_sessions`` ends a person's sessions in the caller's transaction."""

    def __init__(
        self,
        *,
        database: Database,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        end_sessions: Callable[[UnitOfWork, str], object],
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock
        self._end_sessions = end_sessions

    # --- asking

    def set_roles(
        self, approvals: Approvals, actor: Actor, user_id: str, wanted: Sequence[Grant], *, reason: str
    ) -> Granted:
        """Exactly these roles: taken away and given freely at once, the others proposed. Conflict when a proposal about the
        account's roles stands already (what is taken away is gone all the same)."""
        self._access.require(actor, Action.ROLE_GRANT)
        wanted = checked(wanted)
        with self._database.begin() as unit:
            user = _open(unit.accounts.lock_user(user_id))
            moved = change(user.grants, wanted, self._clock.now())
            if moved.proposed and not reason.strip():
                raise InvalidInput("these roles take an approval; give a reason for whoever approves")
            user = self._put(unit, user, moved.at_once, actor.id)
            unit.commit()
        if not moved.proposed:
            return Granted(user=user)
        body: Mapping[str, object] = {"grants": [written(grant) for grant in moved.proposed]}
        return Granted(user=user, proposal=approvals.propose(actor, ProposalKind.GRANT_ROLES, user.id, body, reason))

    def set_on_machine(self, name: str, wanted: Sequence[Grant], *, by: str) -> Granted:
        """The same by whoever works at the archive's own machine. Forbidden for roles that take an approval, unless nobody
        can approve yet."""
        wanted = checked(wanted)
        with self._database.begin() as unit:
            user = _open(unit.accounts.lock_user(_named(unit, name).id))
            moved = change(user.grants, wanted, self._clock.now())
            free = not moved.proposed
            if not free and self._somebody_approves(unit):
                raise Forbidden(ASK)
            user = self._put(unit, user, tuple(wanted), by, bootstrap=not free)
            unit.commit()
        return Granted(user=user)

    def needs_approval(self, wanted: Sequence[Grant]) -> bool:
        """Whether a new account with these roles would take an approval now."""
        if not change((), checked(wanted), self._clock.now()).proposed:
            return False
        with self._database.read() as unit:
            return self._somebody_approves(unit)

    def propose_break_glass(
        self, approvals: Approvals, actor: Actor, user_id: str, grant: Grant, *, hours: int, reason: str
    ) -> Proposal:
        """Asks for a role of some hours that begins when another person approves it."""
        self._access.require(actor, Action.BREAK_GLASS)
        (grant,) = checked((grant,))
        if grant.role in NOT_BY_BREAK_GLASS:
            raise InvalidInput("break-glass access makes no approver; name another role")
        longest = BREAK_GLASS_LONGEST // timedelta(hours=1)
        if not 1 <= hours <= longest:
            raise InvalidInput(f"break-glass access lasts 1 to {longest} hours")
        with self._database.read() as unit:
            _open(unit.accounts.user(user_id))
        body = {"grant": written(Grant(role=grant.role, scope=grant.scope)), "hours": hours}
        return approvals.propose(actor, ProposalKind.BREAK_GLASS, user_id, body, reason)

    def break_glass(self, actor: Actor) -> list[Authorisation]:
        """Break-glass access that is open now, oldest first."""
        self._access.require(actor, Action.BREAK_GLASS)
        now = self._clock.now()
        with self._database.read() as unit:
            issued = unit.authorisations.issued(
                ProposalKind.BREAK_GLASS, since=now - BREAK_GLASS_LONGEST, until=now + timedelta(seconds=1)
            )
        return [one for one in issued if one.live(now)]

    def end_break_glass(self, actor: Actor, authorisation_id: str) -> None:
        """Takes the role back before its hours are over; the person's sessions end. NotFound when there is none; one that is
        over stays as it is."""
        self._access.require(actor, Action.BREAK_GLASS)
        now = self._clock.now()
        with self._database.begin() as unit:
            found = unit.authorisations.get(authorisation_id)
            if found.kind is not ProposalKind.BREAK_GLASS:
                raise NotFound("there is no such break-glass access; look at those that are open")
            if not found.live(now):
                return
            user = unit.accounts.lock_user(found.holder)
            ended = (found.subject, found.valid_until)
            kept = tuple(one for one in user.grants if (one.role.value, one.valid_until) != ended)
            unit.authorisations.end(found.id, now)
            self._audit.record(unit, actor=actor.id, act=Act.AUTHORISATION_ENDED, target=found.id)
            self._put(unit, user, kept, actor.id)
            unit.commit()

    def link_person(self, name: str, same_as: str | None, *, by: str) -> User:
        """Notes that two accounts are one person's, so that one does not decide what the other proposed; None: alone."""
        with self._database.begin() as unit:
            user = unit.accounts.lock_user(_named(unit, name).id)
            person = None if same_as is None else _named(unit, same_as).who
            user = replace(user, person=None if person == user.id else person)
            unit.accounts.put_user(user)
            self._audit.record(unit, actor=by, act=Act.PERSON_LINKED, target=user.id, detail={"person": user.who})
            unit.commit()
        return user

    def begins(self, user_id: str) -> datetime | None:
        """When roles that were approved for this account begin; None when none wait."""
        with self._database.look() as unit:
            found = unit.proposals.standing_about(ProposalKind.GRANT_ROLES, user_id)
        return None if found is None or found.state is not ProposalState.WAITING else found.not_before

    # --- carrying out

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handler of GRANT_ROLES. An account that was closed meanwhile gains nothing."""
        user = unit.accounts.lock_user(proposal.subject)
        if user.disabled_at is not None:
            return
        self._put(unit, user, added(user.grants, _grants(proposal), now), proposal.id)

    def carry_out_break_glass(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Handler of BREAK_GLASS. The hours begin now; an account that was closed meanwhile gains nothing."""
        user = unit.accounts.lock_user(proposal.subject)
        if user.disabled_at is not None:
            return
        hours = proposal.body.get("hours")
        if not isinstance(hours, int):
            raise InvalidInput("the proposal does not say for how many hours; propose it anew")
        until = now + min(timedelta(hours=hours), BREAK_GLASS_LONGEST)
        grant = replace(read(proposal.body.get("grant")), valid_from=now, valid_until=until)
        kept = tuple(one for one in user.grants if one.valid_until is None or one.valid_until > now)
        self._put(unit, user, added(kept, (grant,), now), proposal.id)
        unit.authorisations.add(
            Authorisation(
                id=proposal.id,
                kind=ProposalKind.BREAK_GLASS,
                subject=grant.role.value,
                holder=user.id,
                approved_by=proposal.decided_by or proposal.proposed_by,
                issued_at=now,
                valid_until=until,
            )
        )
        self._audit.record(
            unit,
            actor=proposal.decided_by or proposal.proposed_by,
            act=Act.BREAK_GLASS_OPENED,
            target=user.id,
            detail={"proposal": proposal.id, "role": grant.role.value, "until": until.isoformat()},
        )

    # --- shared

    def _put(
        self, unit: UnitOfWork, user: User, grants: tuple[Grant, ...], by: str, *, bootstrap: bool = False
    ) -> User:
        if grants == user.grants:
            return user
        changed = replace(user, grants=grants)
        unit.accounts.put_user(changed)
        self._end_sessions(unit, user.id)
        detail: dict[str, object] = {
            "roles": sorted(grant.role.value for grant in grants),
            "scopes": sorted(grant.scope.kind.value for grant in grants),
            "disabled": False,
        }
        if bootstrap:
            detail["bootstrap"] = True
        self._audit.record(unit, actor=by, act=Act.ROLE_GRANTED, target=user.id, detail=detail)
        return changed

    def _somebody_approves(self, unit: UnitOfWork) -> bool:
        now = self._clock.now()
        return any(
            user.disabled_at is None and reaches(actor_of(user), Action.APPROVAL_DECIDE, None, now)
            for user in unit.accounts.users()
        )


def _named(unit: UnitOfWork, name: str) -> User:
    user = unit.accounts.user_by_name(name)
    if user is None:
        raise NotFound("there is no account of this name; see 'recvault user list'")
    return user


def _open(user: User) -> User:
    if user.disabled_at is not None:
        raise InvalidInput("this account is closed; a person who comes back gets a new one")
    return user


def _grants(proposal: Proposal) -> tuple[Grant, ...]:
    found = proposal.body.get("grants")
    if not isinstance(found, list):
        raise InvalidInput("the proposal names no roles; propose it anew")
    return checked([read(one) for one in found])
