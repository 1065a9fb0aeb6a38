"""Named facts about the archive itself, and how far the database has followed the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, update

from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import ledger_head, settings
from recvault.domain.errors import LedgerFailure
from recvault.domain.ledger import LedgerHead


class SqlSettings:
    """Implements the port's ``Settings``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Mapping[str, object] | None:
        """See the port."""
        found = self._session.column(select(settings.c.value).where(settings.c.name == name))
        return found[0] if found else None

    def put(self, name: str, value: Mapping[str, object]) -> None:
        """See the port."""
        self._session.put(settings, {"name": name, "value": value}, key=["name"])

    def ledger_head(self) -> LedgerHead:
        """See the port. LedgerFailure when the row is gone: the database was tampered with."""
        return self._head(lock=False)

    def lock_ledger_head(self) -> LedgerHead:
        """See the port."""
        return self._head(lock=True)

    def set_ledger_head(self, head: LedgerHead) -> None:
        """See the port."""
        self._session.change(update(ledger_head).values(sequence=head.sequence, digest=head.digest))

    def _head(self, *, lock: bool) -> LedgerHead:
        statement = select(ledger_head)
        row = self._session.first(statement.with_for_update() if lock else statement)
        if row is None:
            raise LedgerFailure("the database does not know its place in the ledger; restore it from a backup")
        return LedgerHead(sequence=row.sequence, digest=row.digest)
