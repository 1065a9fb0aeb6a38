"""The weekly review of access: whose roles reach a team, what they looked at and why, and what somebody should ask about.

Keeps: a week is a whole ISO 8601 week in UTC, and only one that is over is reviewed; the digest covers everything that was
shown, so that a confirmation is of this report and of no other. It tells of staff by account; no customer is in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recvault.domain.access import NEEDS_APPROVAL, Actor, Grant, Role, Scope, ScopeKind
from recvault.domain.errors import InvalidInput
from recvault.domain.grants import Authorisation, written
from recvault.domain.ids import canonical_json, require_aware
from recvault.domain.listening import Day

WEEK = timedelta(days=7)
UNUSED = timedelta(days=90)
"""An account that nobody used for so long should be closed."""
REACHING = NEEDS_APPROVAL | {Role.AGENT}
"""Roles by which somebody gets to a team's communications."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One account that reaches the team: its roles, its days of the week with an act, when it was last used (None: never) and
    whether that is too long ago; ``left_at`` when it was closed, for one that opened or looked in the week before that."""

    id: str
    name: str
    display_name: str
    grants: tuple[Grant, ...]
    days: tuple[Day, ...]
    unusual: tuple[Day, ...]
    last_used_at: datetime | None
    unused: bool
    left_at: datetime | None = None

    def opened(self) -> dict[str, int]:
        """Openings of the week by purpose."""
        sums: dict[str, int] = {}
        for day in self.days:
            for purpose, many in day.opens.items():
                sums[purpose.value] = sums.get(purpose.value, 0) + many
        return sums

    def looks(self) -> int:
        """Searches and views of the week."""
        return sum(day.looks for day in self.days)


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """The report. ``teams``: those it is about, None for all; ``break_glass`` what was opened in the week."""

    week: str
    since: datetime
    until: datetime
    teams: frozenset[str] | None
    members: tuple[Member, ...]
    break_glass: tuple[Authorisation, ...]

    @property
    def unusual(self) -> int:
        """How many unusual days there were."""
        return sum(len(member.unusual) for member in self.members)

    @property
    def digest(self) -> str:
        """SHA-256 of what it tells, in hex."""
        told: dict[str, object] = {
            "week": self.week,
            "teams": None if self.teams is None else sorted(self.teams),
            "members": [
                {
                    "id": one.id,
                    "roles": [written(grant) for grant in one.grants],
                    "opened": one.opened(),
                    "looks": one.looks(),
                    "unusual": [day.day.date().isoformat() for day in one.unusual],
                    "unused": one.unused,
                    **({} if one.left_at is None else {"left_at": one.left_at.isoformat()}),
                }
                for one in self.members
            ],
            "break_glass": [one.id for one in self.break_glass],
        }
        return hashlib.sha256(canonical_json(told)).hexdigest()


def last_week(now: datetime) -> str:
    """The name of the last week that is over, as 2026-W47."""
    year, week, _ = (require_aware(now, "now") - WEEK).isocalendar()
    return f"{year}-W{week:02}"


def bounds(week: str) -> tuple[datetime, datetime]:
    """From (inclusive) and until (exclusive); InvalidInput when it names no week."""
    try:
        begins = datetime.strptime(f"{week}-1", "%G-W%V-%u").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("a week is written as 2026-W47 (ISO 8601)") from None
    return begins, begins + WEEK


def teams_of(actor: Actor, now: datetime, role: Role = Role.TEAM_LEAD) -> frozenset[str] | None:
    """The teams that a lead answers for; None for all, empty for none."""
    scopes = [grant.scope for grant in actor.grants if grant.role is role and grant.live(now)]
    if any(scope.kind is ScopeKind.ALL for scope in scopes):
        return None
    return frozenset(value for scope in scopes if scope.kind is ScopeKind.TEAMS for value in scope.values)


def reaches_team(scope: Scope, teams: frozenset[str] | None) -> bool:
    """Whether a grant of this scope gets to communications of the teams; a queue may carry anybody's."""
    return teams is None or scope.kind is not ScopeKind.TEAMS or bool(scope.values & teams)
