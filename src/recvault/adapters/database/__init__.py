"""The archive's database on PostgreSQL or SQLite: open it with :func:`connect`, bring its schema up with
:func:`migrate`.
"""

from __future__ import annotations

from recvault.adapters.database.engine import SqlDatabase, connect
from recvault.adapters.database.migration import head_revision, migrate, schema_revision

__all__ = ["SqlDatabase", "connect", "head_revision", "migrate", "schema_revision"]
