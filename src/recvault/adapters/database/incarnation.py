"""Which incarnation of the database a connection leads to, asked once for each connection.

PostgreSQL: the cluster's system identifier, its timeline (a promoted standby and a recovery to a moment begin a new one), the
database and the table of the ledger's head (a dump that is read back makes a new one). SQLite: the file's inode and birth; a
connection whose file was moved away or replaced under it is dropped before it is used again, so that nothing is written
into a file that nobody will ever open. Left to others: what may be served by which incarnation (``services.ledger``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import DisconnectionError

from recvault.adapters.database.failures import attempt
from recvault.adapters.database.file_birth import file_identity
from recvault.adapters.database.tables import audit_head, ledger_head, settings
from recvault.domain.errors import LedgerFailure
from recvault.domain.incarnation import INCARNATION, RESTORED, Witness
from recvault.domain.ledger import LedgerHead
from recvault.domain.ports.database import Judge

_ADMITTED = "recvault_admitted"
_INODE = "recvault_inode"
_FILE = "recvault_file"
_MEMORY = "sqlite/memory"

# The control file learns of a new timeline only at the checkpoint after a promotion; the name of the current WAL file at once.
_POSTGRESQL = text(
    "SELECT 'postgresql/' || (SELECT system_identifier FROM pg_control_system()) || '/' || "
    "CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint()) "
    "ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END || '/' || "
    "(SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'ledger_head'::regclass::oid"
)


_HEADS = select(ledger_head, select(audit_head.c.size).scalar_subquery().label("logged"))


class Door:
    """Lets a connection in once its database was judged; one that was refused is judged anew each time."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def admit(self, connection: Connection) -> None:
        """DatabaseBehind, LedgerFailure and the ledger's own faults; nothing when it was admitted before."""
        if connection.info.get(_ADMITTED) is self:
            return
        outlook = self._judge.outlook()
        self._judge.judge(witness(connection), outlook)
        connection.info[_ADMITTED] = self


class Leave(threading.local):
    """Whether this thread reads and writes unjudged: a replay, or a look at what is wrong."""

    given = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """For as long as the block runs."""
        before, self.given = self.given, True
        try:
            yield
        finally:
            self.given = before


def witness(connection: Connection) -> Witness:
    """What the database says of itself; ConfigurationError when it has no tables yet."""
    head = attempt(lambda: connection.execute(_HEADS).first())
    if head is None:
        raise LedgerFailure("the database does not know its place in the ledger; restore it from a backup")
    found = attempt(
        lambda: connection.execute(
            select(settings.c.name, settings.c.value).where(settings.c.name.in_([INCARNATION, RESTORED]))
        ).all()
    )
    noted = {row.name: row.value for row in found}
    return Witness(
        identity=_identity(connection),
        head=LedgerHead(sequence=head.sequence, digest=head.digest),
        noted=noted.get(INCARNATION),
        put_back=RESTORED in noted and "replayed_at" not in noted[RESTORED],
        logged=head.logged or 0,
    )


def watch_file(engine: Engine, path: Path | None) -> None:
    """Remembers at each connect which file a SQLite connection was opened on, and looks again at each checkout."""

    def remember(_connection: Any, record: Any) -> None:
        if path is not None:
            record.info[_INODE] = _inode(path)
            record.info[_FILE] = file_identity(path)

    def look(_connection: Any, record: Any, _proxy: Any) -> None:
        if path is not None and record.info[_INODE] != _inode(path):
            raise DisconnectionError

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", look)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _identity(connection: Connection) -> str:
    if connection.dialect.name == "postgresql":
        return str(attempt(lambda: connection.execute(_POSTGRESQL).scalar_one()))
    file = connection.info.get(_FILE)
    return _MEMORY if file is None else f"sqlite/{file}"
