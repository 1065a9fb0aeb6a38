"""Tables of what people are told: alarms that stand, mails that wait, invitations."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Named,
    Table,
    TypedColumns,
    UniqueConstraint,
)  # fmt: skip

from recvault.adapters.database.metadata import index_where, metadata
from recvault.adapters.database.tables_register import users
from recvault.adapters.database.types import TEXT, Moment


class AlarmColumns(TypedColumns):
    name: Named[str] = Column(TEXT, primary_key=True)
    began_at: Named[datetime] = Column(Moment)
    seen_at: Named[datetime] = Column(Moment)
    count: Named[int] = Column(BigInteger)
    told_at: Named[datetime | None] = Column(Moment)


alarms = Table("alarms", metadata, AlarmColumns)


class MailColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    recipient: Named[str | None] = Column(TEXT)
    subject: Named[str | None] = Column(TEXT)
    body: Named[str | None] = Column(TEXT)
    created_at: Named[datetime] = Column(Moment)
    due_at: Named[datetime] = Column(Moment)
    attempts: Named[int] = Column(Integer)
    claimed_by: Named[str | None] = Column(TEXT)
    fault: Named[str | None] = Column(TEXT)
    sent_at: Named[datetime | None] = Column(Moment)


_WHOLE = "recipient IS NOT NULL AND subject IS NOT NULL AND body IS NOT NULL"
_EMPTY = "recipient IS NULL AND subject IS NULL AND body IS NULL"

# ``due_at`` is also until when a mail is in the hands of whoever claimed it. A sent one stays for a while, empty, so that
# nobody queues it again.
mails = Table(
    "mails",
    metadata,
    MailColumns,
    CheckConstraint(f"(sent_at IS NULL AND {_WHOLE}) OR (sent_at IS NOT NULL AND {_EMPTY})", name="sent"),
    index_where("ix_mails_waiting", "due_at", "id", where="sent_at IS NULL"),
)


class InvitationColumns(TypedColumns):
    hash: Named[bytes] = Column(LargeBinary, primary_key=True)
    user_id: Named[str] = Column(TEXT, ForeignKey(users.c.id, ondelete="CASCADE"))
    created_at: Named[datetime] = Column(Moment)
    expires_at: Named[datetime] = Column(Moment)
    resets_factors: Named[bool] = Column(Boolean)


invitations = Table("invitations", metadata, InvitationColumns, UniqueConstraint("user_id"))
