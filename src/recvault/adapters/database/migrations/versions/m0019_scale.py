"""Claims in a narrow table of their own; an index of what is due that no row need be read for; none of what is not there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_DUE = "ix_communications_due"
_COLUMNS = ["state", "destroy_at", "id"]
_OF_ROW = "fk_communication_wrapped_by_communication_id_communications"
_OF_KEY = "fk_communication_wrapped_by_key_id_period_keys"
_SPARSE = ("contact_point_id", "agent_id", "team", "queue", "case_ref")
_CONDITION = sa.text("stopped_reason IS NULL")


def upgrade() -> None:
    """Leases of minutes are not carried over: whoever had one finds that it is gone."""
    op.create_table(
        "communication_claims",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("worker", TEXT, nullable=True),
        sa.Column("lease_until", Moment(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(worker IS NULL) = (lease_until IS NULL)", name=op.f("ck_communication_claims_lease")),
        sa.CheckConstraint("fence >= 1", name=op.f("ck_communication_claims_fence")),
        sa.PrimaryKeyConstraint("communication_id", name=op.f("pk_communication_claims")),
    )
    with op.batch_alter_table("communications") as table:
        table.drop_constraint(op.f("ck_communications_lease"), type_="check")
        table.drop_column("claimed_by")
        table.drop_column("lease_until")
        table.drop_column("fence")
    _index(include=["policy_version", "customer_id"])
    _sparse(True)
    with op.batch_alter_table("communication_wrapped_by") as table:
        for name in (_OF_ROW, _OF_KEY):
            table.drop_constraint(op.f(name), type_="foreignkey")


def downgrade() -> None:
    """Back to the revision before; claims are given back."""
    op.drop_table("communication_claims")
    with op.batch_alter_table("communications") as table:
        table.add_column(sa.Column("claimed_by", TEXT, nullable=True))
        table.add_column(sa.Column("lease_until", Moment(), nullable=True))
        table.add_column(sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        table.create_check_constraint(op.f("ck_communications_lease"), "(claimed_by IS NULL) = (lease_until IS NULL)")
    _index(include=[])
    _sparse(False)
    with op.batch_alter_table("communication_wrapped_by") as table:
        table.create_foreign_key(op.f(_OF_ROW), "communications", ["communication_id"], ["id"], ondelete="CASCADE")
        table.create_foreign_key(op.f(_OF_KEY), "period_keys", ["key_id"], ["key_id"])


def _index(*, include: list[str]) -> None:
    op.drop_index(_DUE, table_name="communications")
    op.create_index(
        _DUE,
        "communications",
        _COLUMNS,
        sqlite_where=_CONDITION,
        postgresql_where=_CONDITION,
        postgresql_include=include,
    )


def _sparse(only_present: bool) -> None:
    """Indexes of what many rows, and all shredded ones, do not have."""
    for column in _SPARSE:
        name = f"ix_communications_{column}"
        condition = sa.text(f"{column} IS NOT NULL") if only_present else None
        op.drop_index(name, table_name="communications")
        op.create_index(
            name,
            "communications",
            [column, "started_at", "id"],
            sqlite_where=condition,
            postgresql_where=condition,
        )
