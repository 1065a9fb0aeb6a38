"""Who may come in, bound more tightly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Client certificates of sources."""
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


def downgrade() -> None:
    """Back to the revision before, which asks no source for a certificate."""
    op.drop_table("source_certificates")
