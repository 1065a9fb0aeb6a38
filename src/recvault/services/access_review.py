"""The weekly access review: what a team lead is shown of who reaches the team, and the recorded confirmation of it.

Keeps: reading the report leaves a trace; a lead sees the own teams only, an auditor all; what is confirmed is the report as it
was shown, once by each lead and week. It is made of roles, counts and approvals, never of content or customers.

Leaves to others: counting (``services.listening_limits``), telling leads that a report waits (``services.access_alarms``).
"""

from __future__ import annotations

from datetime import datetime

from recvault.domain.access import Action, Actor, Role
from recvault.domain.access_review import (
    REACHING,
    UNUSED,
    Member,
    Review,
    bounds,
    last_week,
    reaches_team,
    teams_of,
)
from recvault.domain.accounts import User, actor_of
from recvault.domain.approvals import ProposalKind
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, Forbidden, InvalidInput
from recvault.domain.listening import Day
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.database.grants import Confirmation
from recvault.domain.ports.system import Clock
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.listening_limits import KEPT, ListeningLimits


class AccessReview:
    """Makes the report and takes its confirmation."""

    def __init__(
        self, *, database: Database, access: Access, audit: AuditLog, clock: Clock, listening: ListeningLimits
    ) -> None:
        self._database = database
        self._access = access
        self._audit = audit
        self._clock = clock
        self._listening = listening

    def report(self, actor: Actor, week: str | None = None) -> tuple[Review, tuple[Confirmation, ...]]:
        """The report of a week that is over (the last one unless named), and who confirmed theirs."""
        self._access.require(actor, Action.ACCESS_REVIEW)
        now = self._clock.now()
        with self._database.begin() as unit:
            review = self._review(unit, actor, week or last_week(now), now)
            confirmed = tuple(unit.reviews.of_week(review.week))
            self._audit.record(unit, actor=actor.id, act=Act.REVIEW_READ, detail={"week": review.week})
            unit.commit()
        return review, confirmed

    def confirm(self, actor: Actor, week: str, digest: str) -> Confirmation:
        """Records that the lead saw this report. Conflict when it is not as it was shown, or confirmed already."""
        self._access.require(actor, Action.ACCESS_CONFIRM)
        now = self._clock.now()
        with self._database.begin() as unit:
            review = self._review(unit, actor, week, now)
            if review.digest != digest:
                raise Conflict("the report has changed since you looked at it; look again, then confirm")
            if any(one.reviewer == actor.id for one in unit.reviews.of_week(week)):
                raise Conflict("you have confirmed this week already")
            made = Confirmation(week=week, reviewer=actor.id, digest=digest, unusual=review.unusual, confirmed_at=now)
            unit.reviews.confirm(made)
            detail: dict[str, object] = {"week": week, "digest": digest, "unusual": review.unusual}
            self._audit.record(unit, actor=actor.id, act=Act.REVIEW_CONFIRMED, detail=detail)
            unit.commit()
        return made

    def _review(self, unit: UnitOfWork, actor: Actor, week: str, now: datetime) -> Review:
        since, until = bounds(week)
        if until > now:
            raise InvalidInput("this week is not over; its report is ready on Monday")
        if until < now - KEPT:
            raise InvalidInput("nothing is kept of a week so long ago; the audit log tells of it")
        teams = None if Role.AUDITOR in actor.roles(now) else teams_of(actor, now)
        if teams is not None and not teams:
            raise Forbidden("a review needs a team; ask an administrator for the teams you lead")
        unusual = self._listening.unusual_days(unit, since, until)
        days = unit.listening.days(since, until)
        used = unit.reviews.last_used()
        opened = unit.authorisations.issued(ProposalKind.BREAK_GLASS, since=since, until=until)
        holders = {one.holder for one in opened}
        members = tuple(
            _member(user, days, unusual, used.get(user.id), now)
            for user in unit.accounts.users()
            if _left_in(user, since, days)
            or (user.disabled_at is None and (user.id in holders or self._belongs(unit, user, teams, since, now)))
        )
        return Review(
            week=week,
            since=since,
            until=until,
            teams=teams,
            members=members,
            break_glass=tuple(opened),  # everybody's: few, and what each reached is told by its proposal
        )

    def _belongs(
        self, unit: UnitOfWork, user: User, teams: frozenset[str] | None, since: datetime, now: datetime
    ) -> bool:
        """Whether the account reaches the teams by a role, or did since then, or is an agent of one."""
        for grant in user.grants:
            begun = grant.valid_from is None or grant.valid_from <= now
            over = grant.valid_until is not None and grant.valid_until <= since
            if grant.role in REACHING - {Role.AGENT} and begun and not over and reaches_team(grant.scope, teams):
                return True
        if user.agent_id is None or not actor_of(user).is_agent(user.agent_id, now):
            return False
        return teams is None or unit.register.agent(user.agent_id).team_at(now) in teams


def _left_in(user: User, since: datetime, days: list[Day]) -> bool:
    """Whether somebody who opened or looked in the week has left since it began. Roles went with the account, and the teams
    with the roles: so every lead is shown it."""
    return user.disabled_at is not None and user.disabled_at >= since and any(day.person == user.who for day in days)


def _member(user: User, days: list[Day], unusual: list[Day], used: datetime | None, now: datetime) -> Member:
    last = user.created_at if used is None else used
    return Member(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        grants=tuple(grant for grant in user.grants if grant.valid_until is None or grant.valid_until > now),
        days=tuple(day for day in days if day.person == user.who),
        unusual=tuple(day for day in unusual if day.person == user.who),
        last_used_at=used,
        unused=user.disabled_at is None and now - last >= UNUSED,
        left_at=user.disabled_at,
    )
