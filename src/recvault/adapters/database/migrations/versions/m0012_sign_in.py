"""Second factors, failed sign-ins, notices about them; invitations that take second factors away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = ("totp", "recovery_codes", "change_notices", "sign_in_attempts")


def upgrade() -> None:
    """Four tables, and what an invitation does beside setting a password."""
    _factors()
    _attempts()
    with op.batch_alter_table("invitations") as table:
        table.add_column(sa.Column("resets_factors", sa.Boolean(), nullable=True))
    op.execute("UPDATE invitations SET resets_factors = false")
    with op.batch_alter_table("invitations") as table:
        table.alter_column("resets_factors", existing_type=sa.Boolean(), nullable=False)


def downgrade() -> None:
    """Back to the revision before; factors and counters are gone, and with them links that would take factors away."""
    op.execute("DELETE FROM invitations WHERE resets_factors")
    with op.batch_alter_table("invitations") as table:
        table.drop_column("resets_factors")
    for table_name in reversed(TABLES):
        op.drop_table(table_name)


def _factors() -> None:
    op.create_table(
        "totp",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_totp_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "active", name=op.f("pk_totp")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_recovery_codes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "hash", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "change_notices",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("change", TEXT, nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_change_notices_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_notices")),
    )
    op.create_index("ix_change_notices_user_id", "change_notices", ["user_id", "id"], unique=False)


def _attempts() -> None:
    op.create_table(
        "sign_in_attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.Column("counted", TEXT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.CheckConstraint("secret IN ('password', 'code')", name=op.f("ck_sign_in_attempts_secret")),
        sa.CheckConstraint(
            "counted IN ('pair', 'network', 'account', 'device')", name=op.f("ck_sign_in_attempts_counted")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_attempts")),
    )
    op.create_index("ix_sign_in_attempts_last_at", "sign_in_attempts", ["last_at"], unique=False)
    op.create_index("ix_sign_in_attempts_failures", "sign_in_attempts", ["failures", "last_at"], unique=False)
