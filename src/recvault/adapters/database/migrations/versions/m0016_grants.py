"""Roles granted by approval, limits, reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("listening", "listened_customers", "authorisations", "access_reviews")


def upgrade() -> None:
    """Persons behind accounts, the end of an agent, counts of listening, authorisations, confirmed reviews."""
    op.add_column("users", sa.Column("person", TEXT, nullable=True))
    op.add_column("agents", sa.Column("valid_until", Moment(), nullable=True))
    _listening()
    _authorisations()
    op.create_table(
        "access_reviews",
        sa.Column("week", TEXT, nullable=False),
        sa.Column("reviewer", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("unusual", sa.Integer(), nullable=False),
        sa.Column("confirmed_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("week", "reviewer", name=op.f("pk_access_reviews")),
    )


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("agents", "valid_until")
    op.drop_column("users", "person")


def _listening() -> None:
    counts = ("looks", "verification", "training", "request", "authority")
    op.create_table(
        "listening",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("hour", Moment(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        sa.PrimaryKeyConstraint("person", "hour", name=op.f("pk_listening")),
    )
    op.create_index("ix_listening_hour", "listening", ["hour", "person"], unique=False)
    op.create_table(
        "listened_customers",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("day", Moment(), nullable=False),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("person", "day", "customer_id", name=op.f("pk_listened_customers")),
    )
    op.create_index("ix_listened_customers_day", "listened_customers", ["day"], unique=False)


def _authorisations() -> None:
    op.create_table(
        "authorisations",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("approved_by", TEXT, nullable=False),
        sa.Column("issued_at", Moment(), nullable=False),
        sa.Column("valid_until", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.CheckConstraint("issued_at < valid_until", name=op.f("ck_authorisations_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorisations")),
    )
    op.create_index("ix_authorisations_holder", "authorisations", ["holder", "valid_until"], unique=False)
