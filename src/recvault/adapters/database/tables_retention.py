"""Tables of statutory overrides and ended purposes. They name communications and customers by random id and outlive
them: that something was kept or ended, and why, is evidence."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Named, Table, TypedColumns

from recvault.adapters.database.metadata import index_where, metadata, one_of
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.retention.endings import EndingKind
from recvault.domain.retention.statutes import Basis


class OverrideColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    communication_id: Named[str | None] = Column(TEXT)
    customer_id: Named[str | None] = Column(TEXT)
    code: Named[str] = Column(TEXT)
    name: Named[str] = Column(TEXT)
    keep: Named[str] = Column(TEXT)
    basis: Named[str] = Column(TEXT)
    source: Named[str] = Column(TEXT)
    mandatory: Named[bool] = Column(Boolean)
    year_end: Named[str | None] = Column(TEXT)
    reason: Named[str] = Column(TEXT)
    placed_by: Named[str] = Column(TEXT)
    approved_by: Named[str] = Column(TEXT)
    placed_at: Named[datetime] = Column(Moment)
    ended_at: Named[datetime | None] = Column(Moment)
    ended_by: Named[str | None] = Column(TEXT)


overrides = Table(
    "statutory_overrides",
    metadata,
    OverrideColumns,
    one_of("basis", Basis),
    CheckConstraint("(communication_id IS NULL) <> (customer_id IS NULL)", name="covers"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
    index_where("ix_statutory_overrides_communication", "communication_id", where="ended_at IS NULL"),
    index_where("ix_statutory_overrides_customer", "customer_id", where="ended_at IS NULL"),
)


class EndingColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    purpose: Named[str] = Column(TEXT)
    kind: Named[str] = Column(TEXT)
    customer_id: Named[str | None] = Column(TEXT)
    reason: Named[str] = Column(TEXT)
    placed_by: Named[str] = Column(TEXT)
    approved_by: Named[str | None] = Column(TEXT)
    placed_at: Named[datetime] = Column(Moment)
    ends_at: Named[datetime] = Column(Moment)
    withdrawn_at: Named[datetime | None] = Column(Moment)
    withdrawn_by: Named[str | None] = Column(TEXT)


endings = Table(
    "purpose_endings",
    metadata,
    EndingColumns,
    one_of("kind", EndingKind),
    CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name="withdrawn"),
    index_where("ix_purpose_endings_customer", "customer_id", where="withdrawn_at IS NULL"),
)


class EndingItemColumns(TypedColumns):
    ending_id: Named[str] = Column(TEXT, ForeignKey(endings.c.id, ondelete="CASCADE"), primary_key=True)
    communication_id: Named[str] = Column(TEXT, primary_key=True, index=True)


ending_items = Table("purpose_ending_items", metadata, EndingItemColumns)
