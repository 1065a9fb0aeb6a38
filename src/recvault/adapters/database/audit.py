"""Audit entries, the tree over their leaves, published checkpoints.

An entry is written once; afterwards it only gets its number, and may end. A tile only grows; the head moves by
compare-and-set, in the transaction that numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Text,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from recvault.adapters.database.bulk import FEW, insert_many
from recvault.adapters.database.log_seals import LogSeals, opened, require
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import (
    audit_checkpoints,
    audit_ended,
    audit_entries,
    audit_head,
    audit_tiles,
    communications,
)
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.audit import Entry, SequencedEntry, TreeHead
from recvault.domain.checkpoints import Checkpoint, parse_checkpoint
from recvault.domain.errors import AuditFailure, Conflict, NotFound, Tampered
from recvault.domain.log_keys import month_of
from recvault.domain.log_query import LIVES_WITH_COMMUNICATION, MOST, NEVER_ENDS, Endable, FoundEntry, LogQuery
from recvault.domain.log_tree import Growth, Place
from recvault.domain.ports.database.log import Ended, RawEntry, Waiting

_e = audit_entries.c
_t = audit_tiles.c

_TAGS = 4000
"""Tags in one statement, about."""

# Any constant will do, as long as nothing else in the same PostgreSQL database locks on it.
_SEQUENCING = 0x7265637661756C75

# What domain.audit.leaf_data takes from an entry, written by the database itself: a program that makes a value of each
# column first is several times slower. Where a text should be written differently here, only time is lost: whoever
# verifies looks at such an entry again.
_RAW_POSTGRESQL = text(
    """SELECT number, salt, sealed, id, act, (extract(epoch FROM at) * 1000000)\\:\\:bigint, key_id, target, actor_tag,
    target_tag, purpose_tag, CASE WHEN sealed IS NULL THEN
    '{"act":' || to_json(act) || ',"actor":' || to_json(actor) || ',"at":"'
    || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US') || '+00:00","detail":' || detail || ',"id":'
    || to_json(id) || ',"purpose":' || coalesce(to_json(purpose)::text, 'null') || ',"target":'
    || coalesce(to_json(target)::text, 'null') || '}' END
    FROM audit_entries WHERE number >= :first AND number < :last ORDER BY number"""
)
_RAW_SQLITE = text(
    """SELECT number, salt, sealed, id, act, at, key_id, target, actor_tag, target_tag, purpose_tag, CASE WHEN sealed IS
    NULL THEN '{"act":' || json_quote(act) || ',"actor":' || json_quote(actor) || ',"at":"'
    || strftime('%Y-%m-%dT%H\\:%M\\:%S', at / 1000000, 'unixepoch') || printf('.%06d+00\\:00', at % 1000000)
    || '","detail":' || detail || ',"id":' || json_quote(id) || ',"purpose":' || json_quote(purpose) || ',"target":'
    || json_quote(target) || '}' END
    FROM audit_entries WHERE number >= :first AND number < :last ORDER BY number"""
)


class SqlAuditLog:
    """Implements the port's ``AuditLog``."""

    def __init__(self, session: Session, *, seals: LogSeals | None) -> None:
        """``seals``: None where the database was opened without a keyring; then nothing is written, and what is sealed is
        not read."""
        self._session = session
        self._seals = seals

    # --- acts

    def append(self, entries: Iterable[tuple[Entry, bytes]]) -> None:
        """See the port. Conflict when an id exists, at the latest with the commit."""
        seals = require(self._seals)
        rows = [seals.row(entry, leaf) for entry, leaf in entries]
        if len(rows) < FEW:
            self._session.insert_soon(audit_entries, rows)
        else:
            insert_many(self._session, audit_entries, rows)

    # --- the sequencer

    def waiting(self, limit: int) -> list[Waiting]:
        """See the port."""
        rows = self._session.rows(select(_e.id, _e.leaf).where(_e.number.is_(None)).order_by(_e.at, _e.id).limit(limit))
        return [Waiting(id=row.id, leaf=row.leaf) for row in rows]

    def oldest_waiting(self) -> datetime | None:
        """See the port."""
        found = self._session.column(select(_e.at).where(_e.number.is_(None)).order_by(_e.at, _e.id).limit(1))
        return found[0] if found else None

    def alone(self) -> bool:
        """See the port."""
        if not self._session.on_postgresql:
            return True
        return self._session.one(select(func.pg_try_advisory_xact_lock(_SEQUENCING))) is True

    def head(self) -> TreeHead:
        """See the port. AuditFailure when the head is gone: the database was tampered with."""
        row = self._session.first(select(audit_head))
        if row is None:
            raise AuditFailure("the head of the audit log is missing from the database; restore it from a backup")
        return TreeHead(size=row.size, root=row.root)

    def tiles(self, places: Collection[Place]) -> dict[Place, bytes]:
        """See the port."""
        if not places:
            return {}
        rows = self._session.rows(select(audit_tiles).where(tuple_(_t.level, _t.position).in_(sorted(places))))
        return {(row.level, row.position): row.hashes for row in rows}

    def sequence(self, previous: TreeHead, ids: Sequence[str], growth: Growth) -> None:
        """See the port. Conflict also when an entry is unknown or has a number."""
        moved = self._session.change(
            update(audit_head)
            .where(audit_head.c.size == previous.size, audit_head.c.root == previous.root)
            .values(size=growth.size, root=growth.root)
        )
        if not moved:
            raise Conflict("another sequencer moved the head of the audit log first; read it again")
        if not ids:
            return
        for (level, position), hashes in growth.tiles.items():
            row = {"level": level, "position": position, "hashes": hashes}
            self._session.put(audit_tiles, row, key=["level", "position"])
        if self._number(ids, previous.size) != len(ids):
            raise Conflict("an entry to be sequenced has a number already or is unknown; read them again")

    def _number(self, ids: Sequence[str], first: int) -> int:
        unnumbered = update(audit_entries).where(_e.number.is_(None))
        if not self._session.on_postgresql:
            statement = unnumbered.where(_e.id == bindparam("entry")).values(number=bindparam("place"))
            rows = [{"entry": entry_id, "place": place} for place, entry_id in enumerate(ids, first)]
            return self._session.change(statement, rows)
        given = func.unnest(bindparam("entries", list(ids), ARRAY(Text()))).table_valued(
            column("entry", TEXT), with_ordinality="place", name="given"
        )
        place = column("place", BigInteger())
        entry = column("entry", TEXT)
        found = select(entry, place).select_from(given.render_derived()).subquery()
        return self._session.change(unnumbered.where(_e.id == found.c.entry).values(number=first - 1 + found.c.place))

    # --- reading

    def read(self, first: int, limit: int) -> list[SequencedEntry]:
        """See the port."""
        rows = self._session.rows(select(audit_entries).where(_e.number >= first).order_by(_e.number).limit(limit))
        return [SequencedEntry(entry=self.opened(row), index=row.number, leaf=row.leaf) for row in rows]

    def find(self, entry_id: str) -> Entry:
        """See the port."""
        return self.opened(self._row(entry_id))

    def find_all(self, entry_ids: Collection[str]) -> Mapping[str, Entry]:
        """See the port."""
        found: dict[str, Entry] = {}
        for batch in batches(entry_ids):
            rows = self._session.rows(select(audit_entries).where(self._session.among(_e.id, batch)))
            found |= {row.id: self.opened(row) for row in rows}
        return found

    def place_of(self, entry_id: str) -> int | None:
        """See the port."""
        place: int | None = self._row(entry_id).number
        return place

    def _row(self, entry_id: str) -> Row[Any]:
        row = self._session.first(select(audit_entries).where(_e.id == entry_id))
        if row is None:
            raise NotFound("there is no such audit entry, or it has ended; its leaf can be proven by its index")
        return row

    def opened(self, row: Row[Any]) -> Entry:
        """The entry of a row of ``audit_entries``; Tampered, AuditFailure."""
        return opened(row, self._seals)

    def about(self, target: str, limit: int) -> list[Entry]:
        """See the port."""
        return [found.entry for found in self.search(LogQuery(target=target, limit=min(limit, MOST)))]

    def search(self, query: LogQuery) -> list[FoundEntry]:
        """See the port."""
        conditions = [*plain_conditions(query), *self._tagged(query)]
        newest: list[Row[Any]] = []
        for part in self._about(query):
            rows = self._session.rows(
                select(audit_entries).where(*conditions, *part).order_by(_e.at.desc(), _e.id.desc()).limit(query.limit)
            )
            newest = sorted([*newest, *rows], key=lambda row: (row.at, row.id), reverse=True)[: query.limit]
        return [FoundEntry(entry=self.opened(row), index=row.number) for row in newest]

    def _tagged(self, query: LogQuery) -> list[ColumnElement[bool]]:
        given = (("actor", query.actor), ("target", query.target), ("purpose", query.purpose))
        return [self._one_of(name, [value], query) for name, value in given if value is not None]

    def _about(self, query: LogQuery) -> Iterator[list[ColumnElement[bool]]]:
        """Conditions, one after the other, that together ask for the customer: themselves, and portions of what is stored
        of theirs."""
        if query.customer_id is None:
            yield []
            return
        yield [self._one_of("target", [query.customer_id], query)]
        keys = len(require(self._seals).keys(query.since, query.until))
        portion, after = max(1, _TAGS // max(1, keys)), ""
        while True:
            c = communications.c
            theirs = select(c.id).where(c.customer_id == query.customer_id, c.id > after).order_by(c.id).limit(portion)
            found = self._session.column(theirs)
            if found:
                yield [self._one_of("target", found, query)]
            if len(found) < portion:
                return
            after = found[-1]

    def _one_of(self, name: str, values: list[str], query: LogQuery) -> ColumnElement[bool]:
        tags = require(self._seals).tags(name, values, query.since, query.until)
        tagged = _e[f"{name}_tag"].in_(tags)
        return or_(tagged, and_(_e[name].in_(values), _e.sealed.is_(None))) if self._some_clear else tagged

    @cached_property
    def _some_clear(self) -> bool:
        return self._session.first(select(_e.id).where(_e.sealed.is_(None)).limit(1)) is not None

    # --- sealing what earlier versions wrote

    def seal_clear(self, limit: int) -> int:
        """See the port."""
        seals = require(self._seals)
        rows = self._session.rows(select(audit_entries).where(_e.sealed.is_(None)).order_by(_e.id).limit(limit))
        emptied = {"actor": None, "purpose": None, "detail": None, "salt": None}
        statement = update(audit_entries).where(_e.id == bindparam("entry"), _e.sealed.is_(None))
        changes = [seals.sealed(self.opened(row)) | emptied | {"entry": row.id} for row in rows]
        if changes:
            names = [name for name in changes[0] if name != "entry"]
            self._session.change(
                statement.values({name: bindparam(f"to_{name}", type_=_e[name].type) for name in names}),
                [{"entry": one["entry"], **{f"to_{name}": one[name] for name in names}} for one in changes],
            )
        return len(rows)

    def any_under(self, key_id: str) -> bool:
        """See the port."""
        begin, end = month_of(key_id)
        under = select(_e.id).where(
            _e.at >= literal(begin, Moment()),
            _e.at < literal(end, Moment()),
            or_(_e.key_id == key_id, _e.sealed.is_(None)),
        )
        return self._session.first(under.limit(1)) is not None

    def endable(self, before: datetime, *, after: int, limit: int) -> list[Endable]:
        """See the port."""
        stored = exists().where(communications.c.id == _e.target)
        stays = and_(_e.act.in_(sorted(LIVES_WITH_COMMUNICATION)), stored)
        rows = self._session.rows(
            select(_e.number, _e.id, _e.at)
            .where(
                _e.number > after, _e.at <= literal(before, Moment()), _e.act.not_in(sorted(NEVER_ENDS)), not_(stays)
            )
            .order_by(_e.number)
            .limit(limit)
        )
        return [Endable(index=row.number, id=row.id, at=row.at) for row in rows]

    def raw(self, first: int, last: int) -> Sequence[RawEntry]:
        """See the port."""
        statement = _RAW_POSTGRESQL if self._session.on_postgresql else _RAW_SQLITE
        rows = self._session.raw(statement, {"first": first or -(2**63), "last": last})
        found: list[RawEntry] = []
        for number, salt, sealed, *beside, body in rows:
            if sealed is not None:
                found.append((number, self._unsealed(sealed, beside)))
            else:
                found.append((number, b"" if salt is None or body is None else salt + body.encode()))
        return found

    def _unsealed(self, sealed: bytes, beside: Sequence[Any]) -> bytes:
        try:
            return require(self._seals).open(sealed, *beside)
        except Tampered:
            return b""

    def beyond(self, size: int) -> int | None:
        """See the port."""
        return self._session.one(select(func.min(_e.number)).where(_e.number >= size))

    # --- what ends

    def end(self, entry_ids: Collection[str], *, said_in: str) -> list[int]:
        """See the port."""
        ended: list[int] = []
        for batch in batches(entry_ids):
            gone = delete(audit_entries).where(self._session.among(_e.id, batch), _e.number.is_not(None))
            ended += [number for number in self._session.column(gone.returning(_e.number)) if number is not None]
        insert_many(self._session, audit_ended, [{"number": number, "said_in": said_in} for number in ended])
        return sorted(ended)

    def ended(self, first: int, last: int) -> list[Ended]:
        """See the port."""
        number = audit_ended.c.number
        rows = self._session.rows(select(audit_ended).where(number >= first, number < last).order_by(number))
        return [Ended(index=row.number, said_in=row.said_in) for row in rows]

    # --- checkpoints

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See the port."""
        if checkpoint.published_at is None:
            raise ValueError("a published checkpoint has a moment")
        row = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "note": checkpoint.note(),
            "published_at": checkpoint.published_at,
        }
        self._session.put(audit_checkpoints, row, key=["origin", "size"])

    def checkpoints(self, limit: int) -> list[Checkpoint]:
        """See the port."""
        c = audit_checkpoints.c
        rows = self._session.rows(select(audit_checkpoints).order_by(c.published_at.desc(), c.size.desc()).limit(limit))
        return [parse_checkpoint(row.note, published_at=row.published_at) for row in rows]


def plain_conditions(query: LogQuery) -> list[ColumnElement[bool]]:
    """What stands in clear: acts, times, where the answer before ended."""
    wanted: list[ColumnElement[bool]] = []
    if query.acts:
        wanted.append(_e.act.in_(sorted(query.acts)))
    if query.since is not None:
        wanted.append(_e.at >= literal(query.since, Moment()))
    if query.until is not None:
        wanted.append(_e.at < literal(query.until, Moment()))
    if query.after is not None:
        at, entry_id = query.after
        wanted.append(tuple_(_e.at, _e.id) < tuple_(literal(at, Moment()), literal(entry_id, TEXT)))
    return wanted
