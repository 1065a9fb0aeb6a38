"""Holds, destructions, the audit chain, the ledger's head."""

from __future__ import annotations

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson, Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "holds",
    "destructions",
    "destruction_keys",
    "audit_entries",
    "audit_head",
    "ledger_head",
)


def upgrade() -> None:
    """Holds, destructions, the audit chain, the ledger's head."""
    _holds()
    _destructions()
    _destruction_keys()
    _audit_entries()
    _audit_head()
    _ledger_head()
    _heads()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("communication_id", TEXT, nullable=True),
        sa.Column("customer_id", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=True),
        sa.Column("placed_by", TEXT, nullable=False),
        sa.Column("placed_at", Moment(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("released_at", Moment(), nullable=True),
        sa.Column("released_by", TEXT, nullable=True),
        sa.CheckConstraint("(communication_id IS NULL) <> (customer_id IS NULL)", name=op.f("ck_holds_covers")),
        sa.CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name=op.f("ck_holds_release")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index(
        "ix_holds_active_communication",
        "holds",
        ["communication_id"],
        unique=False,
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_index(
        "ix_holds_active_customer",
        "holds",
        ["customer_id"],
        unique=False,
        sqlite_where=sa.text("released_at IS NULL"),
        postgresql_where=sa.text("released_at IS NULL"),
    )


def _destructions() -> None:
    op.create_table(
        "destructions",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("source_ref_hash", sa.LargeBinary(), nullable=True),
        sa.Column("batch", TEXT, nullable=False),
        sa.Column("trigger", TEXT, nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("facts", CanonicalJson(), nullable=False),
        sa.Column("shredded_at", Moment(), nullable=False),
        sa.Column("inaccessible_at", Moment(), nullable=True),
        sa.Column("complete_at", Moment(), nullable=True),
        sa.Column("certificate_inaccessible", TEXT, nullable=True),
        sa.Column("certificate_complete", TEXT, nullable=True),
        sa.Column("looked_for_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "(stage = 'complete') = (complete_at IS NOT NULL AND certificate_complete IS NOT NULL)",
            name=op.f("ck_destructions_complete"),
        ),
        sa.CheckConstraint(
            "stage = 'shredded' OR (inaccessible_at IS NOT NULL AND certificate_inaccessible IS NOT NULL)",
            name=op.f("ck_destructions_inaccessible"),
        ),
        sa.CheckConstraint("stage IN ('shredded', 'inaccessible', 'complete')", name=op.f("ck_destructions_stage")),
        sa.CheckConstraint(
            "trigger IN ('retention', 'do_not_keep', 'ledger_replay')", name=op.f("ck_destructions_trigger")
        ),
        sa.PrimaryKeyConstraint("communication_id", name=op.f("pk_destructions")),
    )
    op.create_index("ix_destructions_looked_for_at", "destructions", ["looked_for_at"], unique=False)
    op.create_index("ix_destructions_shredded_at", "destructions", ["shredded_at", "communication_id"], unique=False)
    op.create_index(
        "ix_destructions_source_ref",
        "destructions",
        ["source_id", "source_ref_hash"],
        unique=False,
        sqlite_where=sa.text("source_ref_hash IS NOT NULL"),
        postgresql_where=sa.text("source_ref_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_destructions_waiting",
        "destructions",
        ["inaccessible_at"],
        unique=False,
        sqlite_where=sa.text("stage = 'inaccessible'"),
        postgresql_where=sa.text("stage = 'inaccessible'"),
    )


def _destruction_keys() -> None:
    op.create_table(
        "destruction_keys",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["destructions.communication_id"],
            name=op.f("fk_destruction_keys_communication_id_destructions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("communication_id", "key_id", name=op.f("pk_destruction_keys")),
    )
    op.create_index(op.f("ix_destruction_keys_key_id"), "destruction_keys", ["key_id"], unique=False)


def _audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("act", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=True),
        sa.Column("purpose", TEXT, nullable=True),
        sa.Column("detail", CanonicalJson(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("link", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(number IS NULL) = (link IS NULL)", name=op.f("ck_audit_entries_sequenced")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("number", name=op.f("uq_audit_entries_number")),
    )
    op.create_index("ix_audit_entries_target", "audit_entries", ["target", "at", "id"], unique=False)
    op.create_index(
        "ix_audit_entries_unsequenced",
        "audit_entries",
        ["at", "id"],
        unique=False,
        sqlite_where=sa.text("number IS NULL"),
        postgresql_where=sa.text("number IS NULL"),
    )


def _audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("single", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("single = 1", name=op.f("ck_audit_head_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_audit_head")),
    )


def _ledger_head() -> None:
    op.create_table(
        "ledger_head",
        sa.Column("single", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.CheckConstraint("single = 1", name=op.f("ck_ledger_head_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_ledger_head")),
    )


def _heads() -> None:
    """Both chains begin empty, at the SHA-256 of their names."""
    op.execute(
        sa.table("audit_head", sa.column("single"), sa.column("size"), sa.column("link", sa.LargeBinary()))
        .insert()
        .values(single=1, size=0, link=sha256(b"recvault/audit/v1").digest())
    )
    op.execute(
        sa.table("ledger_head", sa.column("single"), sa.column("sequence"), sa.column("digest"))
        .insert()
        .values(single=1, sequence=0, digest=sha256(b"recvault/ledger/v1").hexdigest())
    )
