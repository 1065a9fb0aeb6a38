"""Tables of the audit log: entries, the tree over their leaves, its head, what ended, what was published.

Tiles hold the leaves apart from the entries, so that an entry may end while the tree stays whole. No foreign key leads from
here to anything that entries name, nor from tiles to entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    TypedColumns,
    UniqueConstraint,
)  # fmt: skip

from recvault.adapters.database.metadata import index_where, metadata
from recvault.adapters.database.types import TEXT, CanonicalJson, Moment


class AuditEntryColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    at: Named[datetime] = Column(Moment)
    actor: Named[str | None] = Column(TEXT)
    act: Named[str] = Column(TEXT)
    target: Named[str | None] = Column(TEXT)
    purpose: Named[str | None] = Column(TEXT)
    detail: Named[Mapping[str, object] | None] = Column(CanonicalJson, nullable=True)
    salt: Named[bytes | None] = Column(LargeBinary)
    leaf: Named[bytes] = Column(LargeBinary)
    number: Named[int | None] = Column(BigInteger)
    key_id: Named[str | None] = Column(TEXT)
    sealed: Named[bytes | None] = Column(LargeBinary)
    actor_tag: Named[bytes | None] = Column(LargeBinary)
    target_tag: Named[bytes | None] = Column(LargeBinary)
    purpose_tag: Named[bytes | None] = Column(LargeBinary)


# ``number`` is the leaf's index, from 0; an entry has none until the sequencer comes by. ``leaf``: what its leaf says.
# ``sealed``: salt and entry under ``key_id`` of the keyring; ``actor``, ``purpose``, ``detail`` and ``salt`` then stand nowhere
# else, ``target`` only where the database joins it, and the tags find them. Entries of earlier versions are clear until they
# are sealed.
audit_entries = Table(
    "audit_entries",
    metadata,
    AuditEntryColumns,
    UniqueConstraint("number"),
    index_where("ix_audit_entries_unsequenced", "at", "id", where="number IS NULL"),
    CheckConstraint(
        "(sealed IS NULL) = (key_id IS NULL) AND (sealed IS NULL) = (actor IS NOT NULL) "
        "AND (sealed IS NULL) = (detail IS NOT NULL) AND (sealed IS NULL) = (salt IS NOT NULL) "
        "AND (sealed IS NULL) = (actor_tag IS NULL) AND (sealed IS NULL OR purpose IS NULL)",
        name="sealed",
    ),
    index_where("ix_audit_entries_clear", "id", where="sealed IS NULL"),
    index_where("ix_audit_entries_target", "target", "at", "id", where="target IS NOT NULL"),
    index_where("ix_audit_entries_actor", "actor", "at", "id", where="actor IS NOT NULL"),
    index_where("ix_audit_entries_target_tag", "target_tag", "at", "id", where="target_tag IS NOT NULL"),
    Index("ix_audit_entries_actor_tag", "actor_tag", "at", "id"),
    Index("ix_audit_entries_at", "at", "id"),
)


class AuditHeadColumns(TypedColumns):
    single: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    size: Named[int] = Column(BigInteger)
    root: Named[bytes] = Column(LargeBinary)


audit_head = Table("audit_head", metadata, AuditHeadColumns, CheckConstraint("single = 1", name="single"))


class AuditTileColumns(TypedColumns):
    level: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    position: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    hashes: Named[bytes] = Column(LargeBinary)


# ``hashes``: 1 to 256 of them, one after the other, 32 bytes each.
audit_tiles = Table(
    "audit_tiles",
    metadata,
    AuditTileColumns,
    CheckConstraint("length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0", name="hashes"),
)


class AuditEndedColumns(TypedColumns):
    number: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    said_in: Named[str] = Column(TEXT)


# Entries that were taken out under their own retention; ``said_in`` is the entry that says so.
audit_ended = Table("audit_ended", metadata, AuditEndedColumns)


class AuditCheckpointColumns(TypedColumns):
    origin: Named[str] = Column(TEXT, primary_key=True)
    size: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    note: Named[str] = Column(TEXT)
    published_at: Named[datetime] = Column(Moment)


# ``note``: the checkpoint as signed, with the signatures of witnesses.
audit_checkpoints = Table("audit_checkpoints", metadata, AuditCheckpointColumns, Index(None, "published_at", "size"))
