"""Generations of period keys that wait for a newer backup."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENTS = ("superseded_at", "demanded_at", "vacant_at", "noted_at")


def upgrade() -> None:
    """Generations of period keys that wait for a newer backup."""
    for name in MOMENTS:
        op.add_column("period_keys", sa.Column(name, Moment(), nullable=True))
    op.create_table(
        "period_key_departures",
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["period_keys.key_id"], name=op.f("fk_period_key_departures_key_id_period_keys")
        ),
        sa.PrimaryKeyConstraint("key_id", "at", name=op.f("pk_period_key_departures")),
    )
    op.create_index("ix_communication_wrapped_by_key_id", "communication_wrapped_by", ["key_id", "communication_id"])
    op.drop_index("ix_communications_key_id", table_name="communications")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE communications SET (fillfactor = 80)")  # of pages filled from here on


def downgrade() -> None:
    """Back to the revision before; which keys wait is forgotten."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE communications RESET (fillfactor)")
    op.create_index("ix_communications_key_id", "communications", ["key_id", "id"])
    op.drop_index("ix_communication_wrapped_by_key_id", table_name="communication_wrapped_by")
    op.drop_table("period_key_departures")
    for name in reversed(MOMENTS):
        op.drop_column("period_keys", name)
