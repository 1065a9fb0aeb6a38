"""Data keys in a narrow table of their own, each with the keys that ever wrapped it, so that re-keying writes no wide row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_RULE = "ck_communications_shredded"
_OF_KEY = "fk_communications_key_id_period_keys"
_BY_KEY = "ix_communication_wrapped_by_key_id"
_ERASED = (
    "sealed_fields", "sealed_manifest", "source_ref_hash", "conflict_of", "ended_at",
    "customer_id", "customer_kind", "contact_point_id", "agent_id", "team", "queue", "case_ref",
    "answered", "do_not_keep_at", "case_closed_at", "relationship_ended_at",
)  # fmt: skip

_GATHERED = """
INSERT INTO communication_keys (communication_id, key_id, wrapped_key, wrapped_by)
SELECT id, key_id, wrapped_key, COALESCE(
  (SELECT {all_of} FROM communication_wrapped_by AS w WHERE w.communication_id = communications.id), key_id)
FROM communications
"""
_ALL_OF = {"postgresql": "string_agg(w.key_id, ' ' ORDER BY w.key_id)", "sqlite": "group_concat(w.key_id, ' ')"}
_PARTED = {
    "postgresql": "SELECT communication_id, unnest(string_to_array(wrapped_by, ' ')) FROM communication_keys",
    "sqlite": "SELECT communication_id, one.value FROM communication_keys, "
    "json_each('[\"' || replace(wrapped_by, ' ', '\",\"') || '\"]') AS one",
}


def upgrade() -> None:
    """What stood in two tables, in one."""
    op.create_table(
        "communication_keys",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("wrapped_by", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["period_keys.key_id"], name=op.f("fk_communication_keys_key_id_period_keys")
        ),
        sa.PrimaryKeyConstraint("communication_id", name=op.f("pk_communication_keys")),
    )
    op.execute(_GATHERED.format(all_of=_ALL_OF[op.get_bind().dialect.name]))
    op.create_index("ix_communication_keys_key_id", "communication_keys", ["key_id", "communication_id"])
    op.drop_table("communication_wrapped_by")
    with op.batch_alter_table("communications") as table:
        table.drop_constraint(op.f(_RULE), type_="check")
        table.drop_constraint(op.f(_OF_KEY), type_="foreignkey")
        table.drop_column("wrapped_key")
        table.drop_column("key_id")
        table.create_check_constraint(op.f(_RULE), _rule(*_ERASED))


def downgrade() -> None:
    """Back to the revision before."""
    op.create_table(
        "communication_wrapped_by",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("communication_id", "key_id", name=op.f("pk_communication_wrapped_by")),
    )
    op.execute(f"INSERT INTO communication_wrapped_by {_PARTED[op.get_bind().dialect.name]}")
    op.create_index(_BY_KEY, "communication_wrapped_by", ["key_id", "communication_id"])
    with op.batch_alter_table("communications") as table:
        table.drop_constraint(op.f(_RULE), type_="check")
        table.add_column(sa.Column("key_id", TEXT, nullable=True))
        table.add_column(sa.Column("wrapped_key", sa.LargeBinary(), nullable=True))
    for column in ("key_id", "wrapped_key"):
        op.execute(
            f"UPDATE communications SET {column} = "  # noqa: S608 -- one of the two names above
            f"(SELECT k.{column} FROM communication_keys AS k WHERE k.communication_id = communications.id)"
        )
    op.drop_table("communication_keys")
    with op.batch_alter_table("communications") as table:
        table.alter_column("key_id", existing_type=TEXT, nullable=False)
        table.create_foreign_key(op.f(_OF_KEY), "period_keys", ["key_id"], ["key_id"])
        table.create_check_constraint(op.f(_RULE), _rule("wrapped_key", *_ERASED))


def _rule(*erased: str) -> str:
    openable = [name for name in erased if name in ("wrapped_key", "sealed_fields", "sealed_manifest")]
    return (
        f"(state = 'stored' AND {' AND '.join(f'{name} IS NOT NULL' for name in openable)}) OR "
        f"(state = 'destroying' AND started_at = stored_at AND {' AND '.join(f'{name} IS NULL' for name in erased)})"
    )
