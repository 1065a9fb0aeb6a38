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
_MARK = "ck_communication_attention_mark"
_MARKS = (
    "'empty_content', 'starts_in_future', 'ends_before_start', 'time_unreadable', "
    "'no_notice', 'unknown_customer', 'ambiguous_customer', 'unknown_agent', "
    "'number_not_recognised', 'business_id_invalid', 'identity_code_masked', 'unknown_field', "
    "'value_not_understood', 'media_type_differs', 'conflicting_content', 'overdue_on_arrival', 'object_missing'"
)
_INDEX = "ix_communications_unattested"


def upgrade() -> None:
    """A trigger and two marks more, and digests, which the worker makes for the rows that are there."""
    _allow("destructions", _TRIGGER, "trigger", "'retention', 'do_not_keep', 'purpose_ended_early', 'ledger_replay'")
    _allow("communication_attention", _MARK, "mark", f"{_MARKS}, 'key_damaged', 'facts_altered'")
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
    op.execute("DELETE FROM communication_attention WHERE mark IN ('key_damaged', 'facts_altered')")
    _allow("communication_attention", _MARK, "mark", _MARKS)
    _allow("destructions", _TRIGGER, "trigger", _BEFORE)


def _allow(table: str, constraint: str, column: str, values: str) -> None:
    with op.batch_alter_table(table) as changed:
        changed.drop_constraint(op.f(constraint), type_="check")
        changed.create_check_constraint(op.f(constraint), f"{column} IN ({values})")
