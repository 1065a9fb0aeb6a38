"""The log read by person and by time."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two indexes more."""
    op.create_index("ix_audit_entries_actor", "audit_entries", ["actor", "at", "id"])
    op.create_index("ix_audit_entries_at", "audit_entries", ["at", "id"])


def downgrade() -> None:
    """Without them."""
    op.drop_index("ix_audit_entries_at", table_name="audit_entries")
    op.drop_index("ix_audit_entries_actor", table_name="audit_entries")
