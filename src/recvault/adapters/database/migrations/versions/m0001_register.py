"""The register, accounts, policies, settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson, Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "customers",
    "contact_persons",
    "contact_points",
    "agents",
    "agent_memberships",
    "sources",
    "users",
    "role_grants",
    "role_grant_scopes",
    "tokens",
    "policies",
    "settings",
)


def upgrade() -> None:
    """The register, accounts, policies, settings."""
    _customers()
    _contact_persons()
    _contact_points()
    _agents()
    _agent_memberships()
    _sources()
    _users()
    _role_grants()
    _role_grant_scopes()
    _tokens()
    _policies()
    _settings()


def downgrade() -> None:
    """Back to the revision before; what the tables held is gone."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("number", TEXT, nullable=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_folded", TEXT, nullable=False),
        sa.Column("business_id", TEXT, nullable=True),
        sa.Column("kind", TEXT, nullable=True),
        sa.Column("address", TEXT, nullable=True),
        sa.Column("domicile", TEXT, nullable=True),
        sa.Column("relationship_start", sa.Date(), nullable=True),
        sa.Column("relationship_end", sa.Date(), nullable=True),
        sa.Column("marketing_ban", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("number", name=op.f("uq_customers_number")),
    )
    op.create_index(op.f("ix_customers_business_id"), "customers", ["business_id"], unique=False)
    op.create_index(op.f("ix_customers_name_folded_id"), "customers", ["name_folded", "id"], unique=False)


def _contact_persons() -> None:
    op.create_table(
        "contact_persons",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=True),
        sa.Column("valid_from", Moment(), nullable=True),
        sa.Column("valid_until", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_contact_persons_customer_id_customers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_persons")),
    )
    op.create_index(op.f("ix_contact_persons_customer_id"), "contact_persons", ["customer_id"], unique=False)


def _contact_points() -> None:
    op.create_table(
        "contact_points",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("customer_id", TEXT, nullable=True),
        sa.Column("person_id", TEXT, nullable=True),
        sa.Column("valid_from", Moment(), nullable=True),
        sa.Column("valid_until", Moment(), nullable=True),
        sa.CheckConstraint("kind IN ('tel', 'mailto', 'handle')", name=op.f("ck_contact_points_kind")),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_contact_points_customer_id_customers"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["contact_persons.id"],
            name=op.f("fk_contact_points_person_id_contact_persons"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_points")),
    )
    op.create_index(op.f("ix_contact_points_customer_id"), "contact_points", ["customer_id"], unique=False)
    op.create_index(op.f("ix_contact_points_kind_value"), "contact_points", ["kind", "value"], unique=False)
    op.create_index(op.f("ix_contact_points_person_id"), "contact_points", ["person_id"], unique=False)


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("ref", name=op.f("uq_agents_ref")),
    )


def _agent_memberships() -> None:
    op.create_table(
        "agent_memberships",
        sa.Column("agent_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("valid_from", Moment(), nullable=True),
        sa.Column("valid_until", Moment(), nullable=True),
        sa.CheckConstraint("kind IN ('extension', 'team')", name=op.f("ck_agent_memberships_kind")),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_memberships_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "kind", "position", name=op.f("pk_agent_memberships")),
    )
    op.create_index(op.f("ix_agent_memberships_kind_value"), "agent_memberships", ["kind", "value"], unique=False)


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("notice_ref", TEXT, nullable=True),
        sa.Column("balancing_ref", TEXT, nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sources_token_hash")),
    )


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("display_name", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("agent_id", TEXT, nullable=True),
        sa.Column("disabled_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_users_agent_id_agents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )


def _role_grants() -> None:
    op.create_table(
        "role_grants",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("scope_kind", TEXT, nullable=False),
        sa.Column("valid_from", Moment(), nullable=True),
        sa.Column("valid_until", Moment(), nullable=True),
        sa.CheckConstraint(
            "role IN ('source', 'agent', 'verifier', 'trainer', 'trainee', 'team_lead', "
            "'privacy_handler', 'approver', 'auditor', 'administrator')",
            name=op.f("ck_role_grants_role"),
        ),
        sa.CheckConstraint("scope_kind IN ('all', 'teams', 'queues')", name=op.f("ck_role_grants_scope_kind")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_role_grants_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "position", name=op.f("pk_role_grants")),
    )


def _role_grant_scopes() -> None:
    op.create_table(
        "role_grant_scopes",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_role_grant_scopes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "position", "value", name=op.f("pk_role_grant_scopes")),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("last_used_at", Moment(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"], unique=False)


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("version", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("activated_at", Moment(), nullable=False),
        sa.Column("signed_by", TEXT, nullable=True),
        sa.Column("signed_at", Moment(), nullable=True),
        sa.CheckConstraint("(signed_by IS NULL) = (signed_at IS NULL)", name=op.f("ck_policies_signature")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )


def _settings() -> None:
    op.create_table(
        "settings",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", CanonicalJson(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
