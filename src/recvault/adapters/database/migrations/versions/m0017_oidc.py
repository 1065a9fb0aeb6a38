"""Identities of outside providers, sign-ins under way, break-glass accounts; who gave a role."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = ("federated_identities", "federated_sign_ins", "federated_sessions", "break_glass")


def upgrade() -> None:
    """The tables, and the origin of a role: none for those given here."""
    op.add_column("role_grants", sa.Column("origin", TEXT, nullable=True))
    op.create_table(
        "federated_identities",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("linked_at", Moment(), nullable=False),
        sa.Column("linked_by", TEXT, nullable=False),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_federated_identities")),
        sa.UniqueConstraint("user_id", "issuer", name=op.f("uq_federated_identities_user_id_issuer")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_federated_identities_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_table(
        "federated_sign_ins",
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=False),
        sa.Column("onward", TEXT, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_federated_sign_ins")),
    )
    op.create_index("ix_federated_sign_ins_expires_at", "federated_sign_ins", ["expires_at"], unique=False)
    op.create_table(
        "federated_sessions",
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("sid", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_federated_sessions")),
    )
    op.create_index("ix_federated_sessions_created_at", "federated_sessions", ["created_at"], unique=False)
    op.create_index("ix_federated_sessions_key", "federated_sessions", ["key"], unique=False)
    op.create_table(
        "break_glass",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("marked_at", Moment(), nullable=False),
        sa.Column("marked_by", TEXT, nullable=False),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_break_glass")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_break_glass_user_id_users"), ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Back to the revision before; roles that an issuer gave end, since nothing would end them there."""
    op.execute(
        "DELETE FROM role_grant_scopes WHERE EXISTS (SELECT 1 FROM role_grants WHERE role_grants.origin IS NOT NULL "
        "AND role_grants.user_id = role_grant_scopes.user_id AND role_grants.position = role_grant_scopes.position)"
    )
    op.execute("DELETE FROM role_grants WHERE origin IS NOT NULL")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("role_grants", "origin")
