"""Puts together who may get to content: giving roles, authorisations, limits, reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recvault.bootstrap.journeys import authorisations, listening_limits
from recvault.bootstrap.services import Foundation, Parts
from recvault.domain.approvals import ProposalKind
from recvault.services.access_alarms import AccessAlarms
from recvault.services.access_review import AccessReview
from recvault.services.approval_rules import Handler
from recvault.services.authorisations import Authorisations
from recvault.services.grants import Grants
from recvault.services.listening_limits import ListeningLimits
from recvault.services.sessions import Sessions


@dataclass(frozen=True, kw_only=True)
class Granting:
    """The services that say who gets to content."""

    grants: Grants
    authorisations: Authorisations
    listening: ListeningLimits
    review: AccessReview
    alarms: AccessAlarms

    @property
    def handlers(self) -> Mapping[ProposalKind, Handler]:
        """What is carried out of what two people decided."""
        return {
            ProposalKind.GRANT_ROLES: self.grants.carry_out,
            ProposalKind.BREAK_GLASS: self.grants.carry_out_break_glass,
            ProposalKind.DISCLOSURE: self.authorisations.carry_out,
        }


def granting(parts: Parts, base: Foundation, sessions: Sessions) -> Granting:
    """All of them."""
    listening = listening_limits(parts)
    return Granting(
        grants=Grants(
            database=parts.database,
            access=base.access,
            audit=base.audit,
            clock=parts.clock,
            end_sessions=sessions.end_all,
        ),
        authorisations=authorisations(parts, base),
        listening=listening,
        review=AccessReview(
            database=parts.database, access=base.access, audit=base.audit, clock=parts.clock, listening=listening
        ),
        alarms=AccessAlarms(listening=listening),
    )
