"""Entries of the log sealed under keys that end."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLE = "audit_entries"
_NEW: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("key_id", TEXT),
    ("sealed", sa.LargeBinary()),
    ("actor_tag", sa.LargeBinary()),
    ("target_tag", sa.LargeBinary()),
    ("purpose_tag", sa.LargeBinary()),
)
_EMPTY: tuple[tuple[str, sa.types.TypeEngine[Any]], ...] = (
    ("actor", TEXT),
    ("detail", CanonicalJson()),
    ("salt", sa.LargeBinary()),
)
_PARTIAL = {"ix_audit_entries_target": "target", "ix_audit_entries_actor": "actor"}
_CHECK = (
    "(sealed IS NULL) = (key_id IS NULL) AND (sealed IS NULL) = (actor IS NOT NULL) "
    "AND (sealed IS NULL) = (detail IS NOT NULL) AND (sealed IS NULL) = (salt IS NOT NULL) "
    "AND (sealed IS NULL) = (actor_tag IS NULL) AND (sealed IS NULL OR purpose IS NULL)"
)


def upgrade() -> None:
    """Room for the seals. The worker makes them, for what is there already too: a migration has no keys."""
    for index in _PARTIAL:
        op.drop_index(index, table_name=_TABLE)
    with op.batch_alter_table(_TABLE) as table:
        for name, kind in _NEW:
            table.add_column(sa.Column(name, kind, nullable=True))
        for name, kind in _EMPTY:
            table.alter_column(name, existing_type=kind, nullable=True)
        table.create_check_constraint(op.f("ck_audit_entries_sealed"), _CHECK)
    for index, column in (*_PARTIAL.items(), ("ix_audit_entries_target_tag", "target_tag")):
        _partial(index, [column, "at", "id"], f"{column} IS NOT NULL")
    _partial("ix_audit_entries_clear", ["id"], "sealed IS NULL")
    op.create_index("ix_audit_entries_actor_tag", _TABLE, ["actor_tag", "at", "id"])


def downgrade() -> None:
    """Back to the revision before, which cannot read what is sealed: there must be none."""
    sealed = sa.text("SELECT count(*) FROM audit_entries WHERE sealed IS NOT NULL")
    if op.get_bind().execute(sealed).scalar_one():
        raise RuntimeError(
            "entries of the audit log are sealed; the program before this one cannot read them, put back a backup of its time"
        )
    for index in ("ix_audit_entries_actor_tag", "ix_audit_entries_clear", "ix_audit_entries_target_tag", *_PARTIAL):
        op.drop_index(index, table_name=_TABLE)
    with op.batch_alter_table(_TABLE) as table:
        table.drop_constraint(op.f("ck_audit_entries_sealed"), type_="check")
        for name, kind in _EMPTY:
            table.alter_column(name, existing_type=kind, nullable=False)
        for name, _ in _NEW:
            table.drop_column(name)
    for index, column in _PARTIAL.items():
        op.create_index(index, _TABLE, [column, "at", "id"])


def _partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, _TABLE, columns, sqlite_where=where, postgresql_where=where)
