"""Certificates of whole batches; a tombstone names those that it is a leaf of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

from recvault.adapters.database.types import TEXT, Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OWN_INACCESSIBLE = "stage = 'shredded' OR (inaccessible_at IS NOT NULL AND certificate_inaccessible IS NOT NULL)"
_OWN_COMPLETE = "(stage = 'complete') = (complete_at IS NOT NULL AND certificate_complete IS NOT NULL)"
_INACCESSIBLE = (
    "stage = 'shredded' OR (inaccessible_at IS NOT NULL AND "
    "(certificate_inaccessible IS NOT NULL OR inaccessible_in IS NOT NULL))"
)
_COMPLETE = (
    "(stage = 'complete') = (complete_at IS NOT NULL AND (certificate_complete IS NOT NULL OR complete_in IS NOT NULL))"
)


def upgrade() -> None:
    """Certificates of earlier destructions stay with their tombstones, as they were signed."""
    op.create_table(
        "batch_certificates",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("issued_at", Moment(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.CheckConstraint("stage IN ('inaccessible', 'complete')", name=op.f("ck_batch_certificates_stage")),
        sa.CheckConstraint("length(leaves) > 0 AND length(leaves) % 32 = 0", name=op.f("ck_batch_certificates_leaves")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_certificates")),
    )
    op.create_index(op.f("ix_batch_certificates_issued_at_id"), "batch_certificates", ["issued_at", "id"])
    with op.batch_alter_table("destructions") as table:
        table.add_column(sa.Column("inaccessible_in", TEXT, nullable=True))
        table.add_column(sa.Column("complete_in", TEXT, nullable=True))
        _replace_checks(table, _INACCESSIBLE, _COMPLETE)
    _replace_due_index(["state", "destroy_at", "id"])


def downgrade() -> None:
    """Back to the revision before: the batch's document stands with each of its tombstones, without a proof."""
    _replace_due_index(["state", "destroy_at"])
    for stage in ("inaccessible", "complete"):
        op.execute(
            f"UPDATE destructions SET certificate_{stage} = "  # noqa: S608 -- two constants
            f"(SELECT document FROM batch_certificates WHERE id = destructions.{stage}_in) WHERE {stage}_in IS NOT NULL"
        )
    with op.batch_alter_table("destructions") as table:
        _replace_checks(table, _OWN_INACCESSIBLE, _OWN_COMPLETE)
        table.drop_column("inaccessible_in")
        table.drop_column("complete_in")
    op.drop_table("batch_certificates")


def _replace_checks(table: BatchOperations, inaccessible: str, complete: str) -> None:
    for name, condition in (("inaccessible", inaccessible), ("complete", complete)):
        table.drop_constraint(op.f(f"ck_destructions_{name}"), type_="check")
        table.create_check_constraint(op.f(f"ck_destructions_{name}"), sa.text(condition))


def _replace_due_index(columns: list[str]) -> None:
    """In the order in which due rows are claimed, so that a claim reads as many as it takes."""
    op.drop_index("ix_communications_due", "communications")
    where = sa.text("stopped_reason IS NULL")
    op.create_index("ix_communications_due", "communications", columns, sqlite_where=where, postgresql_where=where)
