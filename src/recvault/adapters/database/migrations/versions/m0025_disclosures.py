"""What an authorisation covers, and the authorisation under which something is played.

Authorisations of before cover nothing: what they were about was not said. They are proposed anew. Nothing exports in bulk.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns. What was opened for an authority before is opened again. Proposals of exports in bulk, which nothing ever
    carried out, go; the log keeps that they were made."""
    op.execute("DELETE FROM authorisations WHERE kind = 'bulk-export'")
    op.execute("DELETE FROM approval_assertions WHERE proposal_id IN (SELECT id FROM proposals WHERE kind = 'bulk-export')")
    op.execute("DELETE FROM proposals WHERE kind = 'bulk-export'")
    op.execute("DELETE FROM playback_grants WHERE purpose = 'authority'")
    with op.batch_alter_table("authorisations") as table:
        table.add_column(sa.Column("covers", CanonicalJson(), nullable=True))
    with op.batch_alter_table("playback_grants") as table:
        table.add_column(sa.Column("authorisation_id", TEXT, nullable=True))


def downgrade() -> None:
    """Without them; the program before opens anything under an authorisation, so none stays in force."""
    op.execute("DELETE FROM playback_grants WHERE purpose = 'authority'")
    op.execute("DELETE FROM authorisations WHERE kind = 'disclosure'")
    with op.batch_alter_table("playback_grants") as table:
        table.drop_column("authorisation_id")
    with op.batch_alter_table("authorisations") as table:
        table.drop_column("covers")
