"""Sessions and API tokens that can be told apart, listed and limited.

Sessions of before say nothing of how they began: they end, and people sign in again. API tokens go on.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ID = "uq_tokens_id"
_ADDED = ("id", "label", "methods", "scopes", "proved_at")


def upgrade() -> None:
    """Identifier, label, methods, scopes and moment of proof of each token."""
    op.execute("DELETE FROM tokens WHERE kind = 'session'")
    with op.batch_alter_table("tokens") as table:
        table.add_column(sa.Column("id", TEXT, nullable=True))
        table.add_column(sa.Column("label", TEXT, nullable=True))
        table.add_column(sa.Column("methods", TEXT, nullable=True))
        table.add_column(sa.Column("scopes", TEXT, nullable=True))
        table.add_column(sa.Column("proved_at", Moment(), nullable=True))
    tokens = sa.table("tokens", sa.column("hash"), sa.column("id"), sa.column("label"), sa.column("methods"))
    connection = op.get_bind()
    for (found,) in connection.execute(sa.select(tokens.c.hash)).all():
        named = {"id": str(uuid.uuid4()), "label": "", "methods": ""}
        connection.execute(sa.update(tokens).where(tokens.c.hash == found).values(**named))
    with op.batch_alter_table("tokens") as table:
        for column in ("id", "label", "methods"):
            table.alter_column(column, existing_type=TEXT, nullable=False)
        table.create_unique_constraint(op.f(_ID), ["id"])


def downgrade() -> None:
    """Back to the revision before; sessions end, since they would count as complete there."""
    op.execute("DELETE FROM tokens WHERE kind = 'session' OR scopes IS NOT NULL")
    with op.batch_alter_table("tokens") as table:
        table.drop_constraint(op.f(_ID), type_="unique")
        for column in reversed(_ADDED):
            table.drop_column(column)
