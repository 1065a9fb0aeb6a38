"""A mark for a recording whose object is missing or is not the one that was stored."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NAME = "ck_communication_attention_mark"
_BEFORE = (
    "'empty_content', 'starts_in_future', 'ends_before_start', 'time_unreadable', "
    "'no_notice', 'unknown_customer', 'ambiguous_customer', 'unknown_agent', "
    "'number_not_recognised', 'business_id_invalid', 'identity_code_masked', 'unknown_field', "
    "'value_not_understood', 'media_type_differs', 'conflicting_content', 'overdue_on_arrival'"
)


def upgrade() -> None:
    """A mark for a recording whose object is missing or is not the one that was stored."""
    _allow(f"mark IN ({_BEFORE}, 'object_missing')")


def downgrade() -> None:
    """Back to the revision before; the marks are gone."""
    op.execute("DELETE FROM communication_attention WHERE mark = 'object_missing'")
    _allow(f"mark IN ({_BEFORE})")


def _allow(marks: str) -> None:
    with op.batch_alter_table("communication_attention") as table:
        table.drop_constraint(op.f(_NAME), type_="check")
        table.create_check_constraint(op.f(_NAME), marks)
