"""Port to proposals: what one person asked for and another decides."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from recvault.domain.approvals import Proposal, ProposalKind


class Proposals(Protocol):
    """Proposals, kept after their decision: that two people decided is evidence."""

    def add(self, proposal: Proposal) -> None:
        """Inserts; Conflict when one of the same kind about the same subject stands (open or waiting)."""

    def get(self, proposal_id: str) -> Proposal:
        """NotFound when unknown."""

    def lock(self, proposal_id: str) -> Proposal:
        """FOR UPDATE until commit: two deciders at once come one after the other. NotFound when unknown."""

    def settle(self, proposal: Proposal) -> None:
        """Writes state, decider, moment of the decision, ``not_before`` and ``assertion``; NotFound when unknown."""

    def standing(self) -> list[Proposal]:
        """Open and waiting ones, oldest first."""

    def standing_about(self, kind: ProposalKind, subject: str) -> Proposal | None:
        """The one that stands about the subject."""

    def waiting(self, until: datetime) -> list[str]:
        """Ids of those that wait and whose ``not_before`` is not after ``until``, oldest first."""

    def expired(self, until: datetime) -> list[str]:
        """Ids of open ones whose time was over at ``until``, oldest first."""

    def ended_by_itself(self, *, since: datetime) -> int:
        """How many the archive refused, because they were not what had been approved."""

    def recent(self, limit: int) -> list[Proposal]:
        """Those that stand no longer, newest decision first."""
