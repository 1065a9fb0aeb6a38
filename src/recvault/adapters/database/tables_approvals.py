"""Tables of what needs a second person.

No foreign key leads from here: a proposal outlives what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Index, Named, Table, TypedColumns

from recvault.adapters.database.metadata import index_where, metadata, one_of
from recvault.adapters.database.types import TEXT, CanonicalJson, Moment
from recvault.domain.approvals import ProposalState


class ProposalColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    kind: Named[str] = Column(TEXT)
    subject: Named[str] = Column(TEXT)
    body: Named[Mapping[str, object]] = Column(CanonicalJson, nullable=False)
    reason: Named[str] = Column(TEXT)
    proposed_by: Named[str] = Column(TEXT)
    proposed_at: Named[datetime] = Column(Moment)
    state: Named[str] = Column(TEXT)
    decided_by: Named[str | None] = Column(TEXT)
    decided_at: Named[datetime | None] = Column(Moment)
    not_before: Named[datetime | None] = Column(Moment)


# ``kind`` is checked by the program only: a kind that is added later needs no new table.
proposals = Table(
    "proposals",
    metadata,
    ProposalColumns,
    one_of("state", ProposalState),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="decider"),
    CheckConstraint("state <> 'waiting' OR not_before IS NOT NULL", name="waits"),
    index_where("ix_proposals_standing", "kind", "subject", where="state IN ('open', 'waiting')", unique=True),
    Index("ix_proposals_decided_at", "decided_at", "id"),
)
