"""Restrictions of processing and open requests beside holds."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column

from recvault.adapters.database.types import TEXT

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_NAME = "ck_holds_kind"


def upgrade() -> None:
    """What stood before was a hold."""
    with op.batch_alter_table("holds") as table:
        table.add_column(Column("kind", TEXT, nullable=False, server_default="hold"))
        table.create_check_constraint(op.f(_NAME), "kind IN ('hold', 'restriction', 'request')")


def downgrade() -> None:
    """All become holds: what they freeze stays frozen."""
    with op.batch_alter_table("holds") as table:
        table.drop_constraint(op.f(_NAME), type_="check")
        table.drop_column("kind")
