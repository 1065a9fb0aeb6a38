"""Communications, what belongs to them, the keys that wrap them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "period_keys",
    "communications",
    "communication_purposes",
    "communication_tags",
    "communication_attention",
    "communication_streams",
    "communication_wrapped_by",
    "training_releases",
    "playback_grants",
)

_SHREDDED = (
    "(state = 'stored' AND wrapped_key IS NOT NULL AND sealed_fields IS NOT NULL"
    " AND sealed_manifest IS NOT NULL)"
    " OR (state = 'destroying' AND started_at = stored_at"
    " AND wrapped_key IS NULL AND sealed_fields IS NULL AND sealed_manifest IS NULL"
    " AND source_ref_hash IS NULL"
    " AND conflict_of IS NULL AND ended_at IS NULL AND customer_id IS NULL AND customer_kind IS NULL"
    " AND contact_point_id IS NULL AND agent_id IS NULL AND team IS NULL AND queue IS NULL"
    " AND case_ref IS NULL AND answered IS NULL AND do_not_keep_at IS NULL AND case_closed_at IS NULL"
    " AND relationship_ended_at IS NULL"
    ")"
)
_MARKS = (
    "mark IN ("
    "'empty_content', 'starts_in_future', 'ends_before_start', 'time_unreadable', "
    "'no_notice', 'unknown_customer', 'ambiguous_customer', 'unknown_agent', "
    "'number_not_recognised', 'business_id_invalid', 'identity_code_masked', 'unknown_field', "
    "'value_not_understood', 'media_type_differs', 'conflicting_content', 'overdue_on_arrival'"
    ")"
)


def upgrade() -> None:
    """Communications, what belongs to them, the keys that wrap them."""
    _period_keys()
    _communications()
    _communication_purposes()
    _communication_tags()
    _communication_attention()
    _communication_streams()
    _communication_wrapped_by()
    _training_releases()
    _playback_grants()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _period_keys() -> None:
    op.create_table(
        "period_keys",
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("period", TEXT, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("closing_at", Moment(), nullable=True),
        sa.Column("destroyed_at", Moment(), nullable=True),
        sa.CheckConstraint("generation >= 1", name=op.f("ck_period_keys_generation")),
        sa.CheckConstraint("length(period) IN (7, 10)", name=op.f("ck_period_keys_period")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_period_keys")),
        sa.UniqueConstraint("period", "generation", name=op.f("uq_period_keys_period_generation")),
    )
    op.create_index(
        "ix_period_keys_living",
        "period_keys",
        ["period"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )


def _communications() -> None:
    op.create_table("communications", *_communication_columns(), *_communication_rules())
    for column in ("customer_id", "contact_point_id", "agent_id", "team", "queue", "case_ref"):
        op.create_index(f"ix_communications_{column}", "communications", [column, "started_at", "id"])
    op.create_index("ix_communications_started_at", "communications", ["started_at", "id"])
    op.create_index("ix_communications_key_id", "communications", ["key_id", "id"])
    _partial_index("ix_communications_due", ["state", "destroy_at"], "stopped_reason IS NULL")
    _partial_index("ix_communications_stopped", ["destroy_at"], "stopped_reason IS NOT NULL")
    _partial_index("ix_communications_conflict", ["source_id"], "conflict_of IS NOT NULL")
    _partial_index(
        "uq_communications_source_ref",
        ["source_id", "source_ref_hash"],
        "source_ref_hash IS NOT NULL",
        unique=True,
    )


def _partial_index(name: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(
        name,
        "communications",
        columns,
        unique=unique,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def _communication_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("id", TEXT, nullable=False),
        sa.Column("source_id", TEXT, nullable=False),
        sa.Column("source_ref_hash", sa.LargeBinary(), nullable=True),
        sa.Column("conflict_of", TEXT, nullable=True),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("direction", TEXT, nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("stored_at", Moment(), nullable=False),
        sa.Column("customer_id", TEXT, nullable=True),
        sa.Column("customer_kind", TEXT, nullable=True),
        sa.Column("contact_point_id", TEXT, nullable=True),
        sa.Column("agent_id", TEXT, nullable=True),
        sa.Column("team", TEXT, nullable=True),
        sa.Column("queue", TEXT, nullable=True),
        sa.Column("case_ref", TEXT, nullable=True),
        sa.Column("answered", sa.Boolean(), nullable=True),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("notice_ref", TEXT, nullable=False),
        sa.Column("balancing_ref", TEXT, nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("policy_version", TEXT, nullable=False),
        sa.Column("destroy_at", Moment(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_fields", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_manifest", sa.LargeBinary(), nullable=True),
        sa.Column("place_declared", TEXT, nullable=False),
        sa.Column("place_observed", TEXT, nullable=False),
        sa.Column("do_not_keep_at", Moment(), nullable=True),
        sa.Column("case_closed_at", Moment(), nullable=True),
        sa.Column("relationship_ended_at", Moment(), nullable=True),
        sa.Column("stopped_reason", TEXT, nullable=True),
        sa.Column("claimed_by", TEXT, nullable=True),
        sa.Column("lease_until", Moment(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    ]


def _communication_rules() -> list[sa.Constraint]:
    return [
        sa.CheckConstraint(_SHREDDED, name=op.f("ck_communications_shredded")),
        sa.CheckConstraint("channel IN ('call', 'email', 'sms', 'chat')", name=op.f("ck_communications_channel")),
        sa.CheckConstraint(
            "direction IN ('inbound', 'outbound', 'internal')", name=op.f("ck_communications_direction")
        ),
        sa.CheckConstraint("state IN ('stored', 'destroying')", name=op.f("ck_communications_state")),
        sa.CheckConstraint("(claimed_by IS NULL) = (lease_until IS NULL)", name=op.f("ck_communications_lease")),
        sa.CheckConstraint("length >= 0", name=op.f("ck_communications_length")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_communications_agent_id_agents")),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_points.id"],
            name=op.f("fk_communications_contact_point_id_contact_points"),
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_communications_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["period_keys.key_id"], name=op.f("fk_communications_key_id_period_keys")),
        sa.ForeignKeyConstraint(
            ["policy_version"], ["policies.version"], name=op.f("fk_communications_policy_version_policies")
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_communications_source_id_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_communications")),
    ]


def _communication_purposes() -> None:
    op.create_table(
        "communication_purposes",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("needed_until", Moment(), nullable=False),
        sa.Column("rule", TEXT, nullable=False),
        sa.Column("cap_until", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_communication_purposes_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("communication_id", "purpose", name=op.f("pk_communication_purposes")),
    )


def _communication_tags() -> None:
    op.create_table(
        "communication_tags",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_communication_tags_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("communication_id", "tag", name=op.f("pk_communication_tags")),
    )
    op.create_index(
        op.f("ix_communication_tags_tag_communication_id"),
        "communication_tags",
        ["tag", "communication_id"],
        unique=False,
    )


def _communication_attention() -> None:
    op.create_table(
        "communication_attention",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("mark", TEXT, nullable=False),
        sa.CheckConstraint(_MARKS, name=op.f("ck_communication_attention_mark")),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_communication_attention_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("communication_id", "mark", name=op.f("pk_communication_attention")),
    )


def _communication_streams() -> None:
    op.create_table(
        "communication_streams",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("object_name", TEXT, nullable=False),
        sa.Column("version_id", TEXT, nullable=True),
        sa.Column("plaintext_length", sa.BigInteger(), nullable=False),
        sa.Column("ciphertext_length", sa.BigInteger(), nullable=False),
        sa.Column("ciphertext_sha256", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_communication_streams_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("communication_id", "name", "generation", name=op.f("pk_communication_streams")),
        sa.UniqueConstraint("object_name", name=op.f("uq_communication_streams_object_name")),
    )


def _communication_wrapped_by() -> None:
    op.create_table(
        "communication_wrapped_by",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("key_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_communication_wrapped_by_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["key_id"], ["period_keys.key_id"], name=op.f("fk_communication_wrapped_by_key_id_period_keys")
        ),
        sa.PrimaryKeyConstraint("communication_id", "key_id", name=op.f("pk_communication_wrapped_by")),
    )


def _training_releases() -> None:
    op.create_table(
        "training_releases",
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_training_releases_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_training_releases_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("communication_id", "user_id", name=op.f("pk_training_releases")),
    )
    op.create_index(op.f("ix_training_releases_user_id"), "training_releases", ["user_id"], unique=False)


def _playback_grants() -> None:
    op.create_table(
        "playback_grants",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("communication_id", TEXT, nullable=False),
        sa.Column("actor_id", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("opened_entry", TEXT, nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name=op.f("fk_playback_grants_actor_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["communication_id"],
            ["communications.id"],
            name=op.f("fk_playback_grants_communication_id_communications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_playback_grants")),
    )
    op.create_index(op.f("ix_playback_grants_communication_id"), "playback_grants", ["communication_id"], unique=False)
    op.create_index(op.f("ix_playback_grants_expires_at"), "playback_grants", ["expires_at"], unique=False)
