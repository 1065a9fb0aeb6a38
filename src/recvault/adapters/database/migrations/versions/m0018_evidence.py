"""More in certificates; a digest of the facts that a row's end follows from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TRIGGER = "ck_destructions_trigger"
_BEFORE = "'retention', 'do_not_keep', 'ledger_replay'"
_INDEX = "ix_communications_unattested"


def upgrade() -> None:
    """A trigger more, and digests, which the worker makes for the rows that are there."""
    _allow("'retention', 'do_not_keep', 'purpose_ended_early', 'ledger_replay'")
    with op.batch_alter_table("communications") as table:
        table.add_column(sa.Column("facts_version", sa.Integer(), server_default=sa.text("1"), nullable=False))
        table.add_column(sa.Column("facts_digest", sa.LargeBinary(), nullable=True))
        table.create_check_constraint(op.f("ck_communications_facts_version"), "facts_version >= 1")
    condition = sa.text("facts_digest IS NULL AND state = 'stored'")
    op.create_index(_INDEX, "communications", ["id"], sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    """Back to the revision before; what was certified with the new trigger would not verify any more, so there must be none."""
    early = sa.text("SELECT count(*) FROM destructions WHERE \"trigger\" = 'purpose_ended_early'")
    if op.get_bind().execute(early).scalar_one():
        raise RuntimeError(
            "certificates name the trigger 'purpose ended early'; the program before this one cannot show them"
        )
    op.drop_index(_INDEX, table_name="communications")
    with op.batch_alter_table("communications") as table:
        table.drop_constraint(op.f("ck_communications_facts_version"), type_="check")
        table.drop_column("facts_digest")
        table.drop_column("facts_version")
    _allow(_BEFORE)


def _allow(triggers: str) -> None:
    with op.batch_alter_table("destructions") as table:
        table.drop_constraint(op.f(_TRIGGER), type_="check")
        table.create_check_constraint(op.f(_TRIGGER), f"trigger IN ({triggers})")
