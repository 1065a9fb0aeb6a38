"""Tables of communications, what belongs to them, and the keys that wrap them.

Invariants kept by the database itself: a stored communication has its key and sealed parts; a destroying one
has none, nor anything that points to a person, and tells the moment of storing as its start (``search`` and
paging need one); one communication per source and source reference; what belongs to a communication goes with
its row.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    TypedColumns,
    UniqueConstraint,
    text,
)  # fmt: skip

from recvault.adapters.database.metadata import index_where, metadata, one_of
from recvault.adapters.database.tables_register import (
    agents,
    contact_points,
    customers,
    policies,
    sources,
    users,
)
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.communication import Attention, Channel, Direction, State


class PeriodKeyColumns(TypedColumns):
    key_id: Named[str] = Column(TEXT, primary_key=True)
    period: Named[str] = Column(TEXT)
    generation: Named[int] = Column(Integer)
    created_at: Named[datetime] = Column(Moment)
    closing_at: Named[datetime | None] = Column(Moment)
    destroyed_at: Named[datetime | None] = Column(Moment)
    superseded_at: Named[datetime | None] = Column(Moment)
    demanded_at: Named[datetime | None] = Column(Moment)
    vacant_at: Named[datetime | None] = Column(Moment)
    noted_at: Named[datetime | None] = Column(Moment)


period_keys = Table(
    "period_keys",
    metadata,
    PeriodKeyColumns,
    UniqueConstraint("period", "generation"),
    CheckConstraint("length(period) IN (7, 10)", name="period"),
    CheckConstraint("generation >= 1", name="generation"),
    index_where("ix_period_keys_living", "period", where="destroyed_at IS NULL"),
)


class KeyDepartureColumns(TypedColumns):
    key_id: Named[str] = Column(TEXT, ForeignKey(period_keys.c.key_id), primary_key=True)
    at: Named[datetime] = Column(Moment, primary_key=True)


# When something alive left a key for another. Only added to, so that moving never waits for the key's own row.
key_departures = Table("period_key_departures", metadata, KeyDepartureColumns)


class CommunicationColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    source_id: Named[str] = Column(TEXT, ForeignKey(sources.c.id))
    source_ref_hash: Named[bytes | None] = Column(LargeBinary)
    conflict_of: Named[str | None] = Column(TEXT)
    channel: Named[str] = Column(TEXT)
    direction: Named[str] = Column(TEXT)
    started_at: Named[datetime] = Column(Moment)
    ended_at: Named[datetime | None] = Column(Moment)
    stored_at: Named[datetime] = Column(Moment)
    customer_id: Named[str | None] = Column(TEXT, ForeignKey(customers.c.id))
    customer_kind: Named[str | None] = Column(TEXT)
    contact_point_id: Named[str | None] = Column(TEXT, ForeignKey(contact_points.c.id))
    agent_id: Named[str | None] = Column(TEXT, ForeignKey(agents.c.id))
    team: Named[str | None] = Column(TEXT)
    queue: Named[str | None] = Column(TEXT)
    case_ref: Named[str | None] = Column(TEXT)
    answered: Named[bool | None] = Column(Boolean)
    media_type: Named[str] = Column(TEXT)
    notice_ref: Named[str] = Column(TEXT)
    balancing_ref: Named[str] = Column(TEXT)
    length: Named[int] = Column(BigInteger)
    policy_version: Named[str] = Column(TEXT, ForeignKey(policies.c.version))
    destroy_at: Named[datetime] = Column(Moment)
    state: Named[str] = Column(TEXT)
    sealed_fields: Named[bytes | None] = Column(LargeBinary)
    sealed_manifest: Named[bytes | None] = Column(LargeBinary)
    place_declared: Named[str] = Column(TEXT)
    place_observed: Named[str] = Column(TEXT)
    do_not_keep_at: Named[datetime | None] = Column(Moment)
    case_closed_at: Named[datetime | None] = Column(Moment)
    relationship_ended_at: Named[datetime | None] = Column(Moment)
    stopped_reason: Named[str | None] = Column(TEXT)
    awaiting_purge: Named[str | None] = Column(TEXT)
    facts_version: Named[int] = Column(Integer, server_default=text("1"))
    facts_digest: Named[bytes | None] = Column(LargeBinary)


# Columns that a shredded row has lost: everything that could point to a person. Its data key goes with them.
ERASED = (
    "sealed_fields", "sealed_manifest", "source_ref_hash", "conflict_of", "ended_at",
    "customer_id", "customer_kind", "contact_point_id", "agent_id", "team", "queue", "case_ref",
    "answered", "do_not_keep_at", "case_closed_at", "relationship_ended_at",
)  # fmt: skip

_OPENABLE = "sealed_fields IS NOT NULL AND sealed_manifest IS NOT NULL"
_BARE = " AND ".join(f"{name} IS NULL" for name in ERASED)

communications = Table(
    "communications",
    metadata,
    CommunicationColumns,
    one_of("state", State),
    one_of("channel", Channel),
    one_of("direction", Direction),
    CheckConstraint("length >= 0", name="length"),
    CheckConstraint(
        f"(state = 'stored' AND {_OPENABLE}) OR (state = 'destroying' AND started_at = stored_at AND {_BARE})",
        name="shredded",
    ),
    CheckConstraint("facts_version >= 1", name="facts_version"),
    index_where("ix_communications_unattested", "id", where="facts_digest IS NULL AND state = 'stored'"),
    Index("ix_communications_started_at", "started_at", "id"),
    Index("ix_communications_customer_id", "customer_id", "started_at", "id"),
    # Where there is nothing to find, no entry: a shredded row leaves all of these at once.
    *(
        index_where(f"ix_communications_{name}", name, "started_at", "id", where=f"{name} IS NOT NULL")
        for name in ("contact_point_id", "agent_id", "team", "queue", "case_ref")
    ),
    index_where("ix_communications_awaiting", "awaiting_purge", "id", where="awaiting_purge IS NOT NULL"),
    index_where("ix_communications_stopped", "destroy_at", where="stopped_reason IS NOT NULL"),
    # With all that says whether something is due, so that a scan among millions reads no row.
    index_where(
        "ix_communications_due",
        "state",
        "destroy_at",
        "id",
        where="stopped_reason IS NULL",
        include=("policy_version", "customer_id"),
    ),
    index_where(
        "uq_communications_source_ref",
        "source_id",
        "source_ref_hash",
        where="source_ref_hash IS NOT NULL",
        unique=True,
    ),
    index_where("ix_communications_conflict", "source_id", where="conflict_of IS NOT NULL"),
    postgresql_with={"fillfactor": 80},
)


class ClaimColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, primary_key=True)
    worker: Named[str | None] = Column(TEXT)
    lease_until: Named[datetime | None] = Column(Moment)
    fence: Named[int] = Column(BigInteger)


# Who destroys what, until when. No foreign key: its check would lock, and so write, the wide row of each that is claimed.
claims = Table(
    "communication_claims",
    metadata,
    ClaimColumns,
    CheckConstraint("(worker IS NULL) = (lease_until IS NULL)", name="lease"),
    CheckConstraint("fence >= 1", name="fence"),
)


class PurposeColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), primary_key=True)
    purpose: Named[str] = Column(TEXT, primary_key=True)
    position: Named[int] = Column(Integer)
    needed_until: Named[datetime] = Column(Moment)
    rule: Named[str] = Column(TEXT)
    cap_until: Named[datetime] = Column(Moment)
    ended_at: Named[datetime | None] = Column(Moment)


purposes = Table("communication_purposes", metadata, PurposeColumns)


class TagColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), primary_key=True)
    tag: Named[str] = Column(TEXT, primary_key=True)


tags = Table("communication_tags", metadata, TagColumns, Index(None, "tag", "communication_id"))


class AttentionColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), primary_key=True)
    mark: Named[str] = Column(TEXT, primary_key=True)


attention = Table("communication_attention", metadata, AttentionColumns, one_of("mark", Attention))


class StreamColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), primary_key=True)
    name: Named[str] = Column(TEXT, primary_key=True)
    generation: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    position: Named[int] = Column(Integer)
    object_name: Named[str] = Column(TEXT)
    version_id: Named[str | None] = Column(TEXT)
    plaintext_length: Named[int] = Column(BigInteger)
    ciphertext_length: Named[int] = Column(BigInteger)
    ciphertext_sha256: Named[str] = Column(TEXT)


streams = Table("communication_streams", metadata, StreamColumns, UniqueConstraint("object_name"))


class CommunicationKeyColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, primary_key=True)
    key_id: Named[str] = Column(TEXT, ForeignKey(period_keys.c.key_id))
    wrapped_key: Named[bytes | None] = Column(LargeBinary)
    wrapped_by: Named[str] = Column(TEXT)


# The data key of each communication, apart from the wide row and its indexes, so that re-keying writes a tenth of it: a row
# for every communication, as long as that has one; no foreign key to it, whose check would lock the wide row of each. A
# shredded one has lost its key, and tells still which ever wrapped it: the certificate is complete when all of those are gone.
# ``wrapped_by``: their ids, none twice, each after a space but the first.
communication_keys = Table(
    "communication_keys",
    metadata,
    CommunicationKeyColumns,
    Index("ix_communication_keys_key_id", "key_id", "communication_id"),
)


class ReleaseColumns(TypedColumns):
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), primary_key=True)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    until: Named[datetime] = Column(Moment)


releases = Table("training_releases", metadata, ReleaseColumns, Index(None, "user_id"))


class PlaybackColumns(TypedColumns):
    hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    communication_id: Named[str] = Column(TEXT, ForeignKey(communications.c.id, ondelete="CASCADE"), index=True)
    actor_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"))
    purpose: Named[str] = Column(TEXT)
    opened_entry: Named[str] = Column(TEXT)
    expires_at: Named[datetime] = Column(Moment, index=True)
    authorisation_id: Named[str | None] = Column(TEXT)


playback_grants = Table("playback_grants", metadata, PlaybackColumns)
