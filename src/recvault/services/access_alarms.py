"""What people should hear of who gets to content: roles that begin soon, break-glass access, unusual listening, reviews that
wait. Numbers only; whom it reaches, and when, is left to ``services.notices``.
"""

from __future__ import annotations

from datetime import datetime

from recvault.domain.access_review import bounds, last_week, teams_of
from recvault.domain.accounts import actor_of
from recvault.domain.approvals import ProposalKind, ProposalState
from recvault.domain.notices import AlarmCode
from recvault.domain.ports.database import UnitOfWork
from recvault.services.alarms import Sights
from recvault.services.break_glass import used_lately
from recvault.services.listening_limits import ListeningLimits


class AccessAlarms:
    """Looks at roles, openings and reviews."""

    def __init__(self, *, listening: ListeningLimits) -> None:
        self._listening = listening

    def sights(self, unit: UnitOfWork, now: datetime) -> Sights:
        """What is to be told now, with its number."""
        numbers = {
            AlarmCode.ROLES_APPROVED: _roles_approved(unit),
            AlarmCode.BREAK_GLASS: unit.authorisations.live(ProposalKind.BREAK_GLASS, now),
            AlarmCode.BREAK_GLASS_SIGN_IN: used_lately(unit, now),
            AlarmCode.UNUSUAL_LISTENING: self._listening.unusual_today(unit, now),
            AlarmCode.REVIEW_DUE: _reviews_due(unit, now),
        }
        return {code: count for code, count in numbers.items() if count}


def _roles_approved(unit: UnitOfWork) -> int:
    """Grants of roles whose delay runs: the time to object."""
    return sum(
        one.kind is ProposalKind.GRANT_ROLES and one.state is ProposalState.WAITING for one in unit.proposals.standing()
    )


def _reviews_due(unit: UnitOfWork, now: datetime) -> int:
    """Team leads who have not confirmed the last week, when anybody looked at anything in it."""
    week = last_week(now)
    since, until = bounds(week)
    if not unit.listening.any(since, until):
        return 0
    confirmed = {one.reviewer for one in unit.reviews.of_week(week)}
    return sum(
        user.id not in confirmed and user.disabled_at is None and teams_of(actor_of(user), now) != frozenset()
        for user in unit.accounts.users()
    )
