"""Tables of second factors, of notices about them, and of failed sign-ins.

``sign_in_attempts`` names neither person nor address: its key is a keyed hash. Secrets of apps are sealed under a key of the
keyring; of recovery codes there are hashes.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Named, Table, TypedColumns

from recvault.adapters.database.metadata import metadata, one_of
from recvault.adapters.database.tables_register import users
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.attempts import Counted, Secret


class TotpColumns(TypedColumns):
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    active: Named[bool] = Column(Boolean, primary_key=True)
    sealed: Named[bytes] = Column(LargeBinary)
    created_at: Named[datetime] = Column(Moment)
    last_step: Named[int | None] = Column(BigInteger)


# At most two rows a person: the app in use, and one that waits for its first code.
totp = Table("totp", metadata, TotpColumns)


class RecoveryCodeColumns(TypedColumns):
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True)
    hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    created_at: Named[datetime] = Column(Moment)


# A used one is gone.
recovery_codes = Table("recovery_codes", metadata, RecoveryCodeColumns)


class ChangeNoticeColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"))
    at: Named[datetime] = Column(Moment)
    change: Named[str] = Column(TEXT)
    own: Named[bool] = Column(Boolean)


# ``change`` is checked by the program only: newer programs know more of them.
change_notices = Table(
    "change_notices", metadata, ChangeNoticeColumns, Index("ix_change_notices_user_id", "user_id", "id")
)


class AttemptColumns(TypedColumns):
    key: Named[bytes] = Column(LargeBinary, primary_key=True)
    secret: Named[str] = Column(TEXT)
    counted: Named[str] = Column(TEXT)
    failures: Named[int] = Column(Integer)
    last_at: Named[datetime] = Column(Moment)
    until: Named[datetime | None] = Column(Moment)
    told: Named[bool] = Column(Boolean)


sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    AttemptColumns,
    one_of("secret", Secret),
    one_of("counted", Counted),
    Index("ix_sign_in_attempts_last_at", "last_at"),
    Index("ix_sign_in_attempts_failures", "failures", "last_at"),
)
