"""Approvals, scopes of holds, suspensions, forecasts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson, Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("proposals", "suspensions", "forecasts")


def upgrade() -> None:
    """Approvals, scopes of holds, suspensions, forecasts."""
    _proposals()
    _suspensions()
    _forecasts()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("body", CanonicalJson(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("proposed_by", TEXT, nullable=False),
        sa.Column("proposed_at", Moment(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("decided_by", TEXT, nullable=True),
        sa.Column("decided_at", Moment(), nullable=True),
        sa.Column("not_before", Moment(), nullable=True),
        sa.CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name=op.f("ck_proposals_decider")),
        sa.CheckConstraint("(state = 'open') = (decided_at IS NULL)", name=op.f("ck_proposals_decided")),
        sa.CheckConstraint(
            "state IN ('open', 'waiting', 'carried-out', 'refused', 'withdrawn')", name=op.f("ck_proposals_state")
        ),
        sa.CheckConstraint("state <> 'waiting' OR not_before IS NOT NULL", name=op.f("ck_proposals_waits")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    standing = "state IN ('open', 'waiting')"
    op.create_index(
        "ix_proposals_standing",
        "proposals",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text(standing),
        postgresql_where=sa.text(standing),
    )
    op.create_index("ix_proposals_decided_at", "proposals", ["decided_at", "id"], unique=False)


def _suspensions() -> None:
    op.create_table(
        "suspensions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("placed_at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("ended_by", TEXT, nullable=True),
        sa.Column("standing", sa.Integer(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_suspensions_ended")),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (standing IS NOT NULL AND standing = 1)", name=op.f("ck_suspensions_standing")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suspensions")),
        sa.UniqueConstraint("standing", name=op.f("uq_suspensions_standing")),
    )
    op.create_index("ix_suspensions_placed_at", "suspensions", ["placed_at", "id"], unique=False)


def _forecasts() -> None:
    op.create_table(
        "forecasts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("envelope", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_forecasts")),
    )
