"""Tables of the register (customers, persons, points, agents), of accounts, and of what the archive knows of
itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import (
    Boolean,
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
    UniqueConstraint,
)  # fmt: skip

from recvault.adapters.database.metadata import metadata, one_of
from recvault.adapters.database.types import TEXT, CanonicalJson, Moment
from recvault.domain.access import Role, ScopeKind
from recvault.domain.communication import PartyKind


class CustomerColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    number: Named[str | None] = Column(TEXT)
    name: Named[str] = Column(TEXT)
    name_folded: Named[str] = Column(TEXT)
    business_id: Named[str | None] = Column(TEXT)
    kind: Named[str | None] = Column(TEXT)
    address: Named[str | None] = Column(TEXT)
    domicile: Named[str | None] = Column(TEXT)
    relationship_start: Named[date | None] = Column(Date)
    relationship_end: Named[date | None] = Column(Date)
    marketing_ban: Named[bool] = Column(Boolean)


customers = Table(
    "customers",
    metadata,
    CustomerColumns,
    UniqueConstraint("number"),
    Index(None, "business_id"),
    Index(None, "name_folded", "id"),
)


class ContactPersonColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    customer_id: Named[str] = Column(TEXT, ForeignKey(customers.c.id, ondelete="CASCADE"), index=True)
    name: Named[str] = Column(TEXT)
    role: Named[str | None] = Column(TEXT)
    valid_from: Named[datetime | None] = Column(Moment)
    valid_until: Named[datetime | None] = Column(Moment)


contact_persons = Table("contact_persons", metadata, ContactPersonColumns)


class ContactPointColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    kind: Named[str] = Column(TEXT)
    value: Named[str] = Column(TEXT)
    customer_id: Named[str | None] = Column(TEXT, ForeignKey(customers.c.id, ondelete="CASCADE"), index=True)
    person_id: Named[str | None] = Column(TEXT, ForeignKey(contact_persons.c.id, ondelete="SET NULL"), index=True)
    valid_from: Named[datetime | None] = Column(Moment)
    valid_until: Named[datetime | None] = Column(Moment)


contact_points = Table(
    "contact_points", metadata, ContactPointColumns, one_of("kind", PartyKind), Index(None, "kind", "value")
)


class AgentColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    ref: Named[str] = Column(TEXT)
    name: Named[str] = Column(TEXT)
    valid_until: Named[datetime | None] = Column(Moment)


agents = Table("agents", metadata, AgentColumns, UniqueConstraint("ref"))


class AgentMembershipColumns(TypedColumns):
    agent_id: Named[str] = Column(TEXT, ForeignKey(agents.c.id, ondelete="CASCADE"), primary_key=True)
    kind: Named[str] = Column(TEXT, primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    value: Named[str] = Column(TEXT)
    valid_from: Named[datetime | None] = Column(Moment)
    valid_until: Named[datetime | None] = Column(Moment)


agent_memberships = Table(
    "agent_memberships",
    metadata,
    AgentMembershipColumns,
    CheckConstraint("kind IN ('extension', 'team')", name="kind"),
    Index(None, "kind", "value"),
)


class SourceColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    name: Named[str] = Column(TEXT)
    token_hash: Named[bytes] = Column(LargeBinary)
    notice_ref: Named[str | None] = Column(TEXT)
    balancing_ref: Named[str | None] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    revoked_at: Named[datetime | None] = Column(Moment)


sources = Table("sources", metadata, SourceColumns, UniqueConstraint("name"), UniqueConstraint("token_hash"))


class SourceCertificateColumns(TypedColumns):
    source_id: Named[str] = Column(TEXT, ForeignKey(sources.c.id, ondelete="CASCADE"), primary_key=True)
    fingerprint: Named[bytes] = Column(LargeBinary, primary_key=True)
    added_at: Named[datetime] = Column(Moment)
    not_after: Named[datetime | None] = Column(Moment)


source_certificates = Table("source_certificates", metadata, SourceCertificateColumns)


class UserColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    name: Named[str] = Column(TEXT)
    display_name: Named[str] = Column(TEXT)
    password_hash: Named[str | None] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    language: Named[str] = Column(TEXT)
    agent_id: Named[str | None] = Column(TEXT, ForeignKey(agents.c.id))
    disabled_at: Named[datetime | None] = Column(Moment)
    person: Named[str | None] = Column(TEXT)


users = Table("users", metadata, UserColumns, UniqueConstraint("name"))


class RoleGrantColumns(TypedColumns):
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    role: Named[str] = Column(TEXT)
    scope_kind: Named[str] = Column(TEXT)
    valid_from: Named[datetime | None] = Column(Moment)
    valid_until: Named[datetime | None] = Column(Moment)
    origin: Named[str | None] = Column(TEXT)


role_grants = Table("role_grants", metadata, RoleGrantColumns, one_of("role", Role), one_of("scope_kind", ScopeKind))


class RoleGrantScopeColumns(TypedColumns):
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    position: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    value: Named[str] = Column(TEXT, primary_key=True)


role_grant_scopes = Table("role_grant_scopes", metadata, RoleGrantScopeColumns)


class TokenColumns(TypedColumns):
    hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), index=True)
    kind: Named[str] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    expires_at: Named[datetime] = Column(Moment)
    last_used_at: Named[datetime] = Column(Moment)
    revoked_at: Named[datetime | None] = Column(Moment)
    id: Named[str] = Column(TEXT)
    label: Named[str] = Column(TEXT)
    methods: Named[str] = Column(TEXT)
    scopes: Named[str | None] = Column(TEXT)
    proved_at: Named[datetime | None] = Column(Moment)


tokens = Table("tokens", metadata, TokenColumns, UniqueConstraint("id"))


class PolicyColumns(TypedColumns):
    version: Named[str] = Column(TEXT, primary_key=True)
    text: Named[str] = Column(TEXT)
    digest: Named[str] = Column(TEXT)
    activated_at: Named[datetime] = Column(Moment)
    signed_by: Named[str | None] = Column(TEXT)
    signed_at: Named[datetime | None] = Column(Moment)


policies = Table(
    "policies",
    metadata,
    PolicyColumns,
    CheckConstraint("(signed_by IS NULL) = (signed_at IS NULL)", name="signature"),
)


class SettingColumns(TypedColumns):
    name: Named[str] = Column(TEXT, primary_key=True)
    value: Named[Mapping[str, object]] = Column(CanonicalJson, nullable=False)


settings = Table("settings", metadata, SettingColumns)
