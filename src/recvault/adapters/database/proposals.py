"""Proposals in the database. Rows stay after their decision: that two people decided is evidence."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import proposals
from recvault.domain.approvals import STANDING, Proposal, ProposalKind, ProposalState

_p = proposals.c
_STANDS = _p.state.in_(sorted(state.value for state in STANDING))


class SqlProposals:
    """Implements the port's ``Proposals``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, proposal: Proposal) -> None:
        """See the port."""
        self._session.insert(proposals, asdict(proposal))

    def get(self, proposal_id: str) -> Proposal:
        """See the port."""
        return self._one(proposal_id, lock=False)

    def lock(self, proposal_id: str) -> Proposal:
        """See the port."""
        return self._one(proposal_id, lock=True)

    def settle(self, proposal: Proposal) -> None:
        """See the port."""
        if not self._session.change(
            update(proposals)
            .where(_p.id == proposal.id)
            .values(
                state=proposal.state.value,
                decided_by=proposal.decided_by,
                decided_at=proposal.decided_at,
                not_before=proposal.not_before,
                assertion=proposal.assertion,
            )
        ):
            raise missing("proposal")

    def standing(self) -> list[Proposal]:
        """See the port."""
        rows = self._session.rows(select(proposals).where(_STANDS).order_by(_p.proposed_at, _p.id))
        return [_proposal(row) for row in rows]

    def standing_about(self, kind: ProposalKind, subject: str) -> Proposal | None:
        """See the port."""
        row = self._session.first(select(proposals).where(_STANDS, _p.kind == kind.value, _p.subject == subject))
        return None if row is None else _proposal(row)

    def waiting(self, until: datetime) -> list[str]:
        """See the port."""
        return self._session.column(
            select(_p.id)
            .where(_p.state == ProposalState.WAITING.value, _p.not_before <= until)
            .order_by(_p.not_before, _p.id)
        )

    def expired(self, until: datetime) -> list[str]:
        """See the port."""
        over = (_p.state == ProposalState.OPEN.value, _p.expires_at <= until)
        return self._session.column(select(_p.id).where(*over).order_by(_p.expires_at, _p.id))

    def ended_by_itself(self, *, since: datetime) -> int:
        """See the port."""
        return self._session.count(
            proposals,
            _p.state == ProposalState.REFUSED.value,
            _p.decided_by.startswith("system:"),
            _p.decided_at >= since,
        )

    def recent(self, limit: int) -> list[Proposal]:
        """See the port."""
        rows = self._session.rows(
            select(proposals).where(~_STANDS).order_by(_p.decided_at.desc(), _p.id.desc()).limit(limit)
        )
        return [_proposal(row) for row in rows]

    def _one(self, proposal_id: str, *, lock: bool) -> Proposal:
        statement = select(proposals).where(_p.id == proposal_id)
        row = self._session.first(statement.with_for_update() if lock else statement)
        if row is None:
            raise missing("proposal")
        return _proposal(row)


def _proposal(row: Row[Any]) -> Proposal:
    values = dict(row._mapping)
    values["kind"] = ProposalKind(values["kind"])
    values["state"] = ProposalState(values["state"])
    return Proposal(**values)
