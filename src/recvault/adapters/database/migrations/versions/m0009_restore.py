"""What a restore leaves behind: rows whose destruction only the ledger remembers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "ix_communications_awaiting"


def upgrade() -> None:
    """What a restore leaves behind."""
    op.add_column("communications", sa.Column("awaiting_purge", TEXT, nullable=True))
    condition = sa.text("awaiting_purge IS NOT NULL")
    op.create_index(
        _INDEX, "communications", ["awaiting_purge", "id"], sqlite_where=condition, postgresql_where=condition
    )


def downgrade() -> None:
    """Back to the revision before; rows that wait for their destruction could be opened again, so there must be none."""
    found = op.get_bind().execute(sa.text("SELECT count(*) FROM communications WHERE awaiting_purge IS NOT NULL"))
    if found.scalar_one():
        raise RuntimeError("rows of the ledger's replay still wait for their destruction; run 'recvault purge' first")
    op.drop_index(_INDEX, table_name="communications")
    op.drop_column("communications", "awaiting_purge")
