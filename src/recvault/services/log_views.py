"""The auditor's views of the log: by person, by what it is about, by customer, by act, by time; and as a file.

Keeps: only who may read the log reads it; every reading is an entry itself, committed before the first line leaves; people
and customers appear by their random ids, and names of accounts only on demand, which the entry of the reading tells. Memory
does not grow with what is exported.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act, Entry
from recvault.domain.ids import canonical_json
from recvault.domain.log_query import MOST, FoundEntry, LogQuery
from recvault.domain.ports.database import Database
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog

COLUMNS = ("index", "id", "at", "actor", "act", "target", "purpose", "detail")
"""Of a line of an export."""

LISTENING = frozenset({Act.OPENED, Act.CLOSED, Act.OPEN_REFUSED})
"""What was listened to or read, by whom, for which purpose; without a ``closed``, the whole was."""


class LogViews:
    """Reads the log for people who may."""

    def __init__(self, *, database: Database, access: Access, audit: AuditLog) -> None:
        self._database = database
        self._access = access
        self._audit = audit

    def find(self, actor: Actor, query: LogQuery) -> list[FoundEntry]:
        """Newest first, at most ``query.limit``. Forbidden."""
        self._tell(actor, query, exported=False)
        return self._read(query)

    def names(self, actor: Actor, found: Sequence[FoundEntry]) -> dict[str, str]:
        """Sign-in names of the accounts among the actors, by id: asked for apart, and told apart."""
        self._access.require(actor, Action.AUDIT_READ)
        ids = {one.entry.actor for one in found if ":" not in one.entry.actor}
        self._audit.note(actor=actor.id, act=Act.LOG_NAMES_SHOWN, detail={"accounts": len(ids)})
        with self._database.read() as unit:
            return {user.id: user.name for user in unit.accounts.users() if user.id in ids}

    def export(self, actor: Actor, query: LogQuery, form: str) -> Iterator[str]:
        """All that the query asks for, in lines: ``jsonl`` (one object a line) or ``csv`` (RFC 4180, with a heading)."""
        self._tell(actor, query, exported=True)
        return _jsonl(self._all(query)) if form == "jsonl" else _csv(self._all(query))

    def _tell(self, actor: Actor, query: LogQuery, *, exported: bool) -> None:
        self._access.require(actor, Action.AUDIT_READ)
        act = Act.LOG_EXPORTED if exported else Act.LOG_READ
        self._audit.note(actor=actor.id, act=act, target=query.target, detail={"by": query.asked_by})

    def _read(self, query: LogQuery) -> list[FoundEntry]:
        with self._database.read() as unit:
            return unit.audit.search(query)

    def _all(self, query: LogQuery) -> Iterator[FoundEntry]:
        portion = replace(query, limit=MOST)
        while found := self._read(portion):
            yield from found
            last = found[-1].entry
            portion = replace(portion, after=(last.at, last.id))


def entry_json(found: FoundEntry) -> dict[str, object]:
    """The entry as JSON values, with its index in the tree (null while it has none)."""
    entry: Entry = found.entry
    return {
        "index": found.index,
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "act": entry.act.value,
        "target": entry.target,
        "purpose": entry.purpose,
        "detail": dict(entry.detail),
    }


def _jsonl(found: Iterator[FoundEntry]) -> Iterator[str]:
    for one in found:
        yield json.dumps(entry_json(one), ensure_ascii=False, separators=(",", ":")) + "\n"


def _csv(found: Iterator[FoundEntry]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for one in found:
        line = entry_json(one) | {"detail": canonical_json(one.entry.detail).decode()}
        writer.writerow([line[column] for column in COLUMNS])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if buffer.getvalue():  # a heading and nothing under it
        yield buffer.getvalue()
