"""Tables of what needs a second person, and of what stops automatic destruction.

No foreign key leads from here: a proposal outlives what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    TypedColumns,
    UniqueConstraint,
)

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
    expires_at: Named[datetime | None] = Column(Moment)
    assertion: Named[bytes | None] = Column(LargeBinary)


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


class SuspensionColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    reason: Named[str] = Column(TEXT)
    placed_by: Named[str] = Column(TEXT)
    placed_at: Named[datetime] = Column(Moment)
    until: Named[datetime] = Column(Moment)
    ended_at: Named[datetime | None] = Column(Moment)
    ended_by: Named[str | None] = Column(TEXT)
    standing: Named[int | None] = Column(Integer)


# ``standing`` is 1 until it is ended and then empty; empty values are all different, so one stands at a time.
suspensions = Table(
    "suspensions",
    metadata,
    SuspensionColumns,
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
    CheckConstraint("(ended_at IS NULL) = (standing IS NOT NULL AND standing = 1)", name="standing"),
    UniqueConstraint("standing"),
    Index("ix_suspensions_placed_at", "placed_at", "id"),
)


class ForecastColumns(TypedColumns):
    number: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    made_at: Named[datetime] = Column(Moment)
    envelope: Named[str] = Column(TEXT)


forecasts = Table("forecasts", metadata, ForecastColumns)
