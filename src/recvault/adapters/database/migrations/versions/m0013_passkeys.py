"""Passkeys and the assertions over approvals; proposals that expire.

Proposals of before have no end and no assertion: who decided them is in the log.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = ("passkeys", "passkey_challenges", "approval_assertions")

_STATES = "'open', 'waiting', 'carried-out', 'refused', 'withdrawn'"


def upgrade() -> None:
    """Passkeys, challenges, assertions; an end and an assertion of each proposal."""
    _passkeys()
    _challenges()
    _assertions()
    with op.batch_alter_table("proposals") as table:
        table.add_column(sa.Column("expires_at", Moment(), nullable=True))
        table.add_column(sa.Column("assertion", sa.LargeBinary(), nullable=True))
        table.drop_constraint(op.f("ck_proposals_state"), type_="check")
        table.create_check_constraint(op.f("ck_proposals_state"), sa.text(f"state IN ({_STATES}, 'expired')"))


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone, and what expired counts as refused."""
    op.execute("UPDATE proposals SET state = 'refused' WHERE state = 'expired'")
    with op.batch_alter_table("proposals") as table:
        table.drop_constraint(op.f("ck_proposals_state"), type_="check")
        table.create_check_constraint(op.f("ck_proposals_state"), sa.text(f"state IN ({_STATES})"))
        for column in ("assertion", "expires_at"):
            table.drop_column(column)
    for name in reversed(TABLES):
        op.drop_table(name)


def _passkeys() -> None:
    op.create_table(
        "passkeys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", TEXT, nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.Column("suspect_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_passkeys_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_passkeys_credential_id")),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id", "id"], unique=False)


def _challenges() -> None:
    op.create_table(
        "passkey_challenges",
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("use", TEXT, nullable=False),
        sa.Column("binding", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("about", TEXT, nullable=True),
        sa.Column("nonce", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "use IN ('register', 'sign-in', 'prove', 'approve')", name=op.f("ck_passkey_challenges_use")
        ),
        sa.CheckConstraint(
            "(use = 'approve') = (about IS NOT NULL AND nonce IS NOT NULL)", name=op.f("ck_passkey_challenges_about")
        ),
        sa.PrimaryKeyConstraint("challenge", name=op.f("pk_passkey_challenges")),
    )
    op.create_index("ix_passkey_challenges_expires_at", "passkey_challenges", ["expires_at"], unique=False)


def _assertions() -> None:
    op.create_table(
        "approval_assertions",
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("proposal_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("authenticator_data", sa.LargeBinary(), nullable=False),
        sa.Column("client_data", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("challenge", name=op.f("pk_approval_assertions")),
    )
    op.create_index("ix_approval_assertions_proposal_id", "approval_assertions", ["proposal_id", "at"], unique=False)
