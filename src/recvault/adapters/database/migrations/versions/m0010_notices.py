"""Notices sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("alarms", "mails", "invitations")


def upgrade() -> None:
    """Alarms that stand, mails that wait, invitations."""
    _alarms()
    _mails()
    _invitations()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _alarms() -> None:
    op.create_table(
        "alarms",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("began_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("told_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alarms")),
    )


def _mails() -> None:
    whole = "recipient IS NOT NULL AND subject IS NOT NULL AND body IS NOT NULL"
    empty = "recipient IS NULL AND subject IS NULL AND body IS NULL"
    op.create_table(
        "mails",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("recipient", TEXT, nullable=True),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("body", TEXT, nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", TEXT, nullable=True),
        sa.Column("fault", TEXT, nullable=True),
        sa.Column("sent_at", Moment(), nullable=True),
        sa.CheckConstraint(
            f"(sent_at IS NULL AND {whole}) OR (sent_at IS NOT NULL AND {empty})", name=op.f("ck_mails_sent")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    waiting = "sent_at IS NULL"
    op.create_index(
        "ix_mails_waiting",
        "mails",
        ["due_at", "id"],
        unique=False,
        sqlite_where=sa.text(waiting),
        postgresql_where=sa.text(waiting),
    )


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_invitations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_invitations")),
        sa.UniqueConstraint("user_id", name=op.f("uq_invitations_user_id")),
    )
