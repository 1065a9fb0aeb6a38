"""Who may come in, bound more tightly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ASKED = ("passkey_challenges", "federated_sign_ins")


def upgrade() -> None:
    """Client certificates of sources; the network of a stranger who asked; logout tokens that were taken."""
    op.create_table(
        "source_certificates",
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", Moment(), nullable=False),
        sa.Column("not_after", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("source_id", "fingerprint", name=op.f("pk_source_certificates")),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_source_certificates_source_id_sources"), ondelete="CASCADE"
        ),
    )
    for table in ASKED:
        op.add_column(table, sa.Column("network", sa.LargeBinary(), nullable=True))
        op.create_index(f"ix_{table}_network", table, ["network", "expires_at"])
    op.create_table(
        "federated_logouts",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_federated_logouts")),
    )
    op.create_index("ix_federated_logouts_expires_at", "federated_logouts", ["expires_at"])


def downgrade() -> None:
    """Back to the revision before, which asks no source for a certificate."""
    op.drop_table("federated_logouts")
    for table in ASKED:
        op.drop_index(f"ix_{table}_network", table_name=table)
        op.drop_column(table, "network")
    op.drop_table("source_certificates")
