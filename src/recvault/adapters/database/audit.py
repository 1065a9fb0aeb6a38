"""Audit entries and their chain. An entry is written once; afterwards it only gets its number and link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from recvault.adapters.database.bulk import FEW, insert_many
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import audit_entries, audit_head
from recvault.domain.audit import Act, ChainHead, Entry, SequencedEntry
from recvault.domain.errors import AuditFailure, Conflict

_e = audit_entries.c
_PLAIN = ("id", "at", "actor", "target", "purpose", "detail", "salt")


class SqlAuditLog:
    """Implements the port's ``AuditLog``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, entries: Iterable[tuple[Entry, bytes]]) -> None:
        """See the port. Conflict when an id exists, at the latest with the commit."""
        rows = [
            {name: getattr(entry, name) for name in _PLAIN} | {"act": entry.act.value, "leaf": leaf}
            for entry, leaf in entries
        ]
        if len(rows) < FEW:
            self._session.insert_soon(audit_entries, rows)
        else:
            insert_many(self._session, audit_entries, rows)

    def unsequenced(self, limit: int) -> list[tuple[Entry, bytes]]:
        """See the port."""
        rows = self._session.rows(select(audit_entries).where(_e.number.is_(None)).order_by(_e.at, _e.id).limit(limit))
        return [(_entry(row), row.leaf) for row in rows]

    def head(self) -> ChainHead:
        """See the port. AuditFailure when the head is gone: the database was tampered with."""
        row = self._session.first(select(audit_head))
        if row is None:
            raise AuditFailure("the head of the audit chain is missing from the database; restore it from a backup")
        return ChainHead(size=row.size, link=row.link)

    def sequence(self, previous: ChainHead, items: Sequence[SequencedEntry], head: ChainHead) -> None:
        """See the port. Conflict also when an entry is unknown or has a number."""
        moved = self._session.change(
            update(audit_head)
            .where(audit_head.c.size == previous.size, audit_head.c.link == previous.link)
            .values(size=head.size, link=head.link)
        )
        if not moved:
            raise Conflict("another sequencer moved the head of the audit chain first; read it again")
        if not items:
            return
        numbered = self._session.change(
            update(audit_entries)
            .where(_e.id == bindparam("entry"), _e.number.is_(None))
            .values(number=bindparam("place"), link=bindparam("chained")),
            [{"entry": item.entry.id, "place": item.index, "chained": item.link} for item in items],
        )
        if numbered != len(items):
            raise Conflict("an entry to be sequenced has a number already or is unknown; read them again")

    def read(self, first: int, limit: int) -> list[SequencedEntry]:
        """See the port."""
        rows = self._session.rows(select(audit_entries).where(_e.number >= first).order_by(_e.number).limit(limit))
        return [SequencedEntry(entry=_entry(row), index=row.number, leaf=row.leaf, link=row.link) for row in rows]

    def about(self, target: str, limit: int) -> list[Entry]:
        """See the port."""
        rows = self._session.rows(
            select(audit_entries).where(_e.target == target).order_by(_e.at.desc(), _e.id.desc()).limit(limit)
        )
        return [_entry(row) for row in rows]


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{name: getattr(row, name) for name in _PLAIN}, act=Act(row.act))
