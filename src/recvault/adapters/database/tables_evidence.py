"""Tables of holds, destructions and the ledger's head.

No foreign key leads from here to communications, customers or keys: holds, tombstones and audit entries
outlive what they name, and after a restore they may come before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    TypedColumns,
)  # fmt: skip

from recvault.adapters.database.metadata import index_where, metadata, one_of
from recvault.adapters.database.types import TEXT, CanonicalJson, Moment
from recvault.domain.destruction import Stage, Trigger
from recvault.domain.holds import HoldKind


class HoldColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    communication_id: Named[str | None] = Column(TEXT)
    customer_id: Named[str | None] = Column(TEXT)
    reason: Named[str] = Column(TEXT)
    authority: Named[str | None] = Column(TEXT)
    placed_by: Named[str] = Column(TEXT)
    placed_at: Named[datetime] = Column(Moment)
    review_on: Named[date] = Column(Date)
    released_at: Named[datetime | None] = Column(Moment)
    released_by: Named[str | None] = Column(TEXT)
    snapshot: Named[str | None] = Column(TEXT)
    owner: Named[str | None] = Column(TEXT)
    release_noted_at: Named[datetime | None] = Column(Moment)
    kind: Named[str] = Column(TEXT, server_default=HoldKind.HOLD.value)


# ``release_noted_at``: when the ledger was told; what it was not told yet stands there as held.
holds = Table(
    "holds",
    metadata,
    HoldColumns,
    CheckConstraint(
        "(CASE WHEN communication_id IS NULL THEN 0 ELSE 1 END + CASE WHEN customer_id IS NULL THEN 0 ELSE 1 END"
        " + CASE WHEN snapshot IS NULL THEN 0 ELSE 1 END) = 1",
        name="covers",
    ),
    CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="release"),
    one_of("kind", HoldKind),
    index_where("ix_holds_active_communication", "communication_id", where="released_at IS NULL"),
    index_where("ix_holds_active_customer", "customer_id", where="released_at IS NULL"),
    index_where("ix_holds_release_unnoted", "id", where="released_at IS NOT NULL AND release_noted_at IS NULL"),
)


class HoldItemColumns(TypedColumns):
    hold_id: Named[str] = Column(TEXT, primary_key=True)
    communication_id: Named[str] = Column(TEXT, primary_key=True)


# What a search found when a hold was placed on it.
hold_items = Table("hold_items", metadata, HoldItemColumns, Index(None, "communication_id"))


class DestructionColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, primary_key=True)
    source_id: Named[str] = Column(TEXT)
    source_ref_hash: Named[bytes | None] = Column(LargeBinary)
    batch: Named[str] = Column(TEXT)
    trigger: Named[str] = Column(TEXT)
    stage: Named[str] = Column(TEXT)
    facts: Named[Mapping[str, object]] = Column(CanonicalJson, nullable=False)
    shredded_at: Named[datetime] = Column(Moment)
    inaccessible_at: Named[datetime | None] = Column(Moment)
    complete_at: Named[datetime | None] = Column(Moment)
    certificate_inaccessible: Named[str | None] = Column(TEXT)
    certificate_complete: Named[str | None] = Column(TEXT)
    looked_for_at: Named[datetime | None] = Column(Moment)
    inaccessible_in: Named[str | None] = Column(TEXT)
    complete_in: Named[str | None] = Column(TEXT)


# A certificate is a text of the row's own (as earlier versions issued them) or a leaf of a batch certificate.
destructions = Table(
    "destructions",
    metadata,
    DestructionColumns,
    one_of("trigger", Trigger),
    one_of("stage", Stage),
    CheckConstraint(
        "stage = 'shredded' OR (inaccessible_at IS NOT NULL AND "
        "(certificate_inaccessible IS NOT NULL OR inaccessible_in IS NOT NULL))",
        name="inaccessible",
    ),
    CheckConstraint(
        "(stage = 'complete') = (complete_at IS NOT NULL AND "
        "(certificate_complete IS NOT NULL OR complete_in IS NOT NULL))",
        name="complete",
    ),
    Index("ix_destructions_shredded_at", "shredded_at", "communication_id"),
    Index("ix_destructions_looked_for_at", "looked_for_at"),
    index_where("ix_destructions_waiting", "inaccessible_at", where="stage = 'inaccessible'"),
    index_where("ix_destructions_source_ref", "source_id", "source_ref_hash", where="source_ref_hash IS NOT NULL"),
)


class DestructionKeyColumns(TypedColumns):
    communication_id: Named[str] = Column(
        TEXT, ForeignKey(destructions.c.communication_id, ondelete="CASCADE"), primary_key=True
    )
    key_id: Named[str] = Column(TEXT, primary_key=True)
    position: Named[int] = Column(Integer)


destruction_keys = Table("destruction_keys", metadata, DestructionKeyColumns, Index(None, "key_id"))


class BatchCertificateColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    stage: Named[str] = Column(TEXT)
    issued_at: Named[datetime] = Column(Moment)
    leaves: Named[bytes] = Column(LargeBinary)
    document: Named[str] = Column(TEXT)


# ``leaves``: the tree's hashes one after the other, 32 bytes each.
batch_certificates = Table(
    "batch_certificates",
    metadata,
    BatchCertificateColumns,
    CheckConstraint("stage IN ('inaccessible', 'complete')", name="stage"),
    CheckConstraint("length(leaves) > 0 AND length(leaves) % 32 = 0", name="leaves"),
    Index(None, "issued_at", "id"),
)


class LedgerHeadColumns(TypedColumns):
    single: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    sequence: Named[int] = Column(BigInteger)
    digest: Named[str] = Column(TEXT)


ledger_head = Table("ledger_head", metadata, LedgerHeadColumns, CheckConstraint("single = 1", name="single"))
