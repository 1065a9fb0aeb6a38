"""Approvals, scopes of holds, suspensions, forecasts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson, Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("proposals", "suspensions", "forecasts", "hold_items")

_COVERED = "(communication_id IS NULL) <> (customer_id IS NULL)"
_COVERS = (
    "(CASE WHEN communication_id IS NULL THEN 0 ELSE 1 END + CASE WHEN customer_id IS NULL THEN 0 ELSE 1 END"
    " + CASE WHEN snapshot IS NULL THEN 0 ELSE 1 END) = 1"
)
_UNNOTED = "released_at IS NOT NULL AND release_noted_at IS NULL"


def upgrade() -> None:
    """Approvals, scopes of holds, suspensions, forecasts."""
    _proposals()
    _suspensions()
    _forecasts()
    _hold_items()
    with op.batch_alter_table("holds") as table:
        table.add_column(sa.Column("snapshot", TEXT, nullable=True))
        table.add_column(sa.Column("owner", TEXT, nullable=True))
        table.add_column(sa.Column("release_noted_at", Moment(), nullable=True))
        table.drop_constraint(op.f("ck_holds_covers"), type_="check")
        table.create_check_constraint(op.f("ck_holds_covers"), sa.text(_COVERS))
    op.execute("UPDATE holds SET release_noted_at = released_at")
    op.create_index(
        "ix_holds_release_unnoted",
        "holds",
        ["id"],
        unique=False,
        sqlite_where=sa.text(_UNNOTED),
        postgresql_where=sa.text(_UNNOTED),
    )


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone, and so are holds on what a search had found."""
    op.execute("DELETE FROM holds WHERE snapshot IS NOT NULL")
    op.drop_index("ix_holds_release_unnoted", "holds")
    with op.batch_alter_table("holds") as table:
        table.drop_constraint(op.f("ck_holds_covers"), type_="check")
        table.create_check_constraint(op.f("ck_holds_covers"), sa.text(_COVERED))
        for column in ("snapshot", "owner", "release_noted_at"):
            table.drop_column(column)
    for name in reversed(TABLES):
        op.drop_table(name)


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


def _hold_items() -> None:
    op.create_table(
        "hold_items",
        sa.Column("hold_id", TEXT, nullable=False),
        sa.Column("communication_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("hold_id", "communication_id", name=op.f("pk_hold_items")),
    )
    op.create_index(op.f("ix_hold_items_communication_id"), "hold_items", ["communication_id"], unique=False)
