"""Tables of signing in at an issuer: people over there, sign-ins under way, where sessions came from, break-glass accounts.

No secret and no name of a person: hashes and ids only. No foreign key leads from ``federated_sessions``: it is cleared by
age.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Named, Table, TypedColumns, UniqueConstraint

from recvault.adapters.database.metadata import metadata
from recvault.adapters.database.tables_register import users
from recvault.adapters.database.types import TEXT, Moment


class FederatedIdentityColumns(TypedColumns):
    key: Named[bytes] = Column(LargeBinary, primary_key=True)
    issuer: Named[str] = Column(TEXT)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"))
    linked_at: Named[datetime] = Column(Moment)
    linked_by: Named[str] = Column(TEXT)
    last_used_at: Named[datetime | None] = Column(Moment)


# One person of an issuer for each account: the roles that one gives must not be taken away by another's sign-in.
federated_identities = Table(
    "federated_identities", metadata, FederatedIdentityColumns, UniqueConstraint("user_id", "issuer")
)


class FederatedSignInColumns(TypedColumns):
    state_hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    issuer: Named[str] = Column(TEXT)
    browser_hash: Named[bytes] = Column(LargeBinary)
    onward: Named[str] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    expires_at: Named[datetime] = Column(Moment, index=True)
    network: Named[bytes | None] = Column(LargeBinary)


federated_sign_ins = Table(
    "federated_sign_ins",
    metadata,
    FederatedSignInColumns,
    Index("ix_federated_sign_ins_network", "network", "expires_at"),
)


class FederatedLogoutColumns(TypedColumns):
    token: Named[bytes] = Column(LargeBinary, primary_key=True)
    expires_at: Named[datetime] = Column(Moment, index=True)


# Logout tokens that were taken, as hashes, for as long as they would be good.
federated_logouts = Table("federated_logouts", metadata, FederatedLogoutColumns)


class FederatedSessionColumns(TypedColumns):
    session_id: Named[str] = Column(TEXT, primary_key=True)
    issuer: Named[str] = Column(TEXT)
    key: Named[bytes] = Column(LargeBinary)
    sid: Named[bytes | None] = Column(LargeBinary)
    created_at: Named[datetime] = Column(Moment, index=True)


federated_sessions = Table("federated_sessions", metadata, FederatedSessionColumns, Index(None, "key"))


class BreakGlassColumns(TypedColumns):
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    marked_at: Named[datetime] = Column(Moment)
    marked_by: Named[str] = Column(TEXT)
    last_used_at: Named[datetime | None] = Column(Moment)


break_glass = Table("break_glass", metadata, BreakGlassColumns)
