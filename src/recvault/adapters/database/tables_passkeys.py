"""Tables of passkeys, of challenges that wait for an answer, and of assertions over approvals.

No foreign key leads from assertions: they outlive the passkey, and the account, that made them.
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
    LargeBinary,
    Named,
    Table,
    TypedColumns,
    UniqueConstraint,
)  # fmt: skip

from recvault.adapters.database.metadata import metadata, one_of
from recvault.adapters.database.tables_register import users
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.passkeys import Use


class PasskeyColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"))
    credential_id: Named[bytes] = Column(LargeBinary)
    public_key: Named[bytes] = Column(LargeBinary)
    sign_count: Named[int] = Column(BigInteger)
    transports: Named[str] = Column(TEXT)
    backed_up: Named[bool] = Column(Boolean)
    label: Named[str] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    last_used_at: Named[datetime | None] = Column(Moment)
    suspect_at: Named[datetime | None] = Column(Moment)


passkeys = Table(
    "passkeys",
    metadata,
    PasskeyColumns,
    UniqueConstraint("credential_id"),
    Index("ix_passkeys_user_id", "user_id", "id"),
)


class PasskeyChallengeColumns(TypedColumns):
    challenge: Named[bytes] = Column(LargeBinary, primary_key=True)
    use: Named[str] = Column(TEXT)
    binding: Named[str] = Column(TEXT)
    user_id: Named[str | None] = Column(TEXT)
    expires_at: Named[datetime] = Column(Moment)
    about: Named[str | None] = Column(TEXT)
    nonce: Named[bytes | None] = Column(LargeBinary)
    network: Named[bytes | None] = Column(LargeBinary)


passkey_challenges = Table(
    "passkey_challenges",
    metadata,
    PasskeyChallengeColumns,
    one_of("use", Use),
    CheckConstraint("(use = 'approve') = (about IS NOT NULL AND nonce IS NOT NULL)", name="about"),
    Index("ix_passkey_challenges_expires_at", "expires_at"),
    Index("ix_passkey_challenges_network", "network", "expires_at"),
)


class ApprovalAssertionColumns(TypedColumns):
    challenge: Named[bytes] = Column(LargeBinary, primary_key=True)
    proposal_id: Named[str] = Column(TEXT)
    user_id: Named[str] = Column(TEXT)
    nonce: Named[bytes] = Column(LargeBinary)
    credential_id: Named[bytes] = Column(LargeBinary)
    public_key: Named[bytes] = Column(LargeBinary)
    authenticator_data: Named[bytes] = Column(LargeBinary)
    client_data: Named[bytes] = Column(LargeBinary)
    signature: Named[bytes] = Column(LargeBinary)
    at: Named[datetime] = Column(Moment)


approval_assertions = Table(
    "approval_assertions",
    metadata,
    ApprovalAssertionColumns,
    Index("ix_approval_assertions_proposal_id", "proposal_id", "at"),
)
