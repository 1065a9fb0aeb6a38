"""Statutory overrides and ended purposes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("statutory_overrides", "purpose_endings", "purpose_ending_items")


def upgrade() -> None:
    """Statutory overrides and ended purposes."""
    _overrides()
    _endings()
    _ending_items()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _overrides() -> None:
    op.create_table(
        "statutory_overrides",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("communication_id", TEXT, nullable=True),
        sa.Column("customer_id", TEXT, nullable=True),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("keep", TEXT, nullable=False),
        sa.Column("basis", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("mandatory", sa.Boolean(), nullable=False),
        sa.Column("year_end", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("approved_by", TEXT, nullable=False),
        sa.Column("placed_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_by", TEXT, nullable=True),
        sa.CheckConstraint(
            "basis IN ('financial_year', 'contact', 'placed')", name=op.f("ck_statutory_overrides_basis")
        ),
        sa.CheckConstraint(
            "(communication_id IS NULL) <> (customer_id IS NULL)", name=op.f("ck_statutory_overrides_covers")
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_statutory_overrides_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statutory_overrides")),
    )
    for what in ("communication", "customer"):
        _index_where(f"ix_statutory_overrides_{what}", "statutory_overrides", f"{what}_id", "ended_at IS NULL")


def _endings() -> None:
    op.create_table(
        "purpose_endings",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("approved_by", TEXT, nullable=True),
        sa.Column("placed_at", Moment(), nullable=False),
        sa.Column("ends_at", Moment(), nullable=False),
        sa.Column("withdrawn_at", Moment(), nullable=True),
        sa.Column("withdrawn_by", TEXT, nullable=True),
        sa.CheckConstraint("kind IN ('objection', 'person')", name=op.f("ck_purpose_endings_kind")),
        sa.CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name=op.f("ck_purpose_endings_withdrawn")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purpose_endings")),
    )
    _index_where("ix_purpose_endings_customer", "purpose_endings", "customer_id", "withdrawn_at IS NULL")


def _ending_items() -> None:
    op.create_table(
        "purpose_ending_items",
        sa.Column("ending_id", TEXT, nullable=False),
        sa.Column("communication_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["ending_id"],
            ["purpose_endings.id"],
            name=op.f("fk_purpose_ending_items_ending_id_purpose_endings"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ending_id", "communication_id", name=op.f("pk_purpose_ending_items")),
    )
    op.create_index(
        op.f("ix_purpose_ending_items_communication_id"), "purpose_ending_items", ["communication_id"], unique=False
    )


def _index_where(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
