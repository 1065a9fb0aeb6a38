"""Statutory overrides and ended purposes in the database, and the facts of all rows, page by page.

Pages hold nothing sealed and no stream: a policy is tried on millions of rows with a flat memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from recvault.adapters.database.audit import SqlAuditLog
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import (
    audit_entries,
    communications,
    ending_items,
    endings,
    overrides,
    purposes,
    releases,
    tags,
)
from recvault.domain.audit import MOVES_ENDS, Act
from recvault.domain.communication import Communication, State, contact_moment
from recvault.domain.durations import parse
from recvault.domain.errors import Conflict
from recvault.domain.ports.database.retention import StoredFacts
from recvault.domain.retention.endings import EndingKind, PurposeEnding
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.statutes import Basis, Override, Statute

_c, _o, _e, _i, _a = communications.c, overrides.c, endings.c, ending_items.c, audit_entries.c
_STORED = _c.state == State.STORED.value
_ACTIVE = _o.ended_at.is_(None)
_STANDING = _e.withdrawn_at.is_(None)
_TERMS = ("code", "name", "keep", "basis", "source", "mandatory")
_MOVING = sorted(act.value for act in {*MOVES_ENDS, Act.ITEM_RESUMED, Act.POLICY_APPLIED})
"""Acts whose entries name the version of the facts."""

_FACTS = (
    "id", "source_id", "conflict_of", "channel", "direction", "started_at", "ended_at", "stored_at", "customer_kind",
    "team", "queue", "case_ref", "answered", "length", "policy_version", "destroy_at", "do_not_keep_at",
    "case_closed_at", "relationship_ended_at",
)  # fmt: skip


class SqlRetention:
    """Implements the port's ``RetentionRecords``."""

    def __init__(self, session: Session, *, log: SqlAuditLog) -> None:
        self._session = session
        self._log = log

    # --- overrides

    def add_override(self, override: Override) -> None:
        """See the port."""
        row = asdict(override) | {name: getattr(override.statute, name) for name in _TERMS}
        del row["statute"]
        self._session.insert(
            overrides, row | {"keep": override.statute.keep.text, "basis": override.statute.basis.value}
        )

    def override(self, override_id: str) -> Override:
        """See the port."""
        row = self._session.first(select(overrides).where(_o.id == override_id))
        if row is None:
            raise missing("statutory override")
        return _override(row)

    def end_override(self, override_id: str, *, by: str, at: datetime) -> None:
        """See the port."""
        if not self._session.change(
            update(overrides).where(_o.id == override_id, _ACTIVE).values(ended_at=at, ended_by=by)
        ):
            self.override(override_id)
            raise Conflict("this override was ended before; its first end stands")

    def overrides(self, *, active: bool = True) -> list[Override]:
        """See the port."""
        statement = select(overrides).order_by(_o.placed_at, _o.id)
        return [_override(row) for row in self._session.rows(statement.where(_ACTIVE) if active else statement)]

    def overrides_covering(self, communication_ids: Collection[str]) -> dict[str, tuple[Override, ...]]:
        """See the port; each in the order of ids."""
        found: dict[str, dict[str, Override]] = {}
        for batch in batches(communication_ids):
            direct = select(_o.communication_id.label("of"), *overrides.c).where(
                self._session.among(_o.communication_id, batch), _ACTIVE
            )
            through = (
                select(_c.id.label("of"), *overrides.c)
                .join(overrides, _o.customer_id == _c.customer_id)
                .where(self._session.among(_c.id, batch), _ACTIVE)
            )
            for statement in (direct, through):
                for row in self._session.rows(statement):
                    found.setdefault(row.of, {})[row.id] = _override(row)
        return {of: tuple(some[key] for key in sorted(some)) for of, some in found.items()}

    def overrides_of_customer(self, customer_id: str) -> tuple[Override, ...]:
        """See the port."""
        statement = select(overrides).where(_o.customer_id == customer_id, _ACTIVE).order_by(_o.id)
        return tuple(_override(row) for row in self._session.rows(statement))

    # --- ended purposes

    def add_ending(self, ending: PurposeEnding, communication_ids: Collection[str]) -> None:
        """See the port."""
        self._session.insert(endings, asdict(ending) | {"kind": ending.kind.value})
        self._session.insert(
            ending_items, ({"ending_id": ending.id, "communication_id": one} for one in sorted(set(communication_ids)))
        )

    def ending(self, ending_id: str) -> PurposeEnding:
        """See the port."""
        row = self._session.first(select(endings).where(_e.id == ending_id))
        if row is None:
            raise missing("end of a purpose")
        return _ending(row)

    def ending_items(self, ending_id: str) -> list[str]:
        """See the port."""
        return self._session.column(
            select(_i.communication_id).where(_i.ending_id == ending_id).order_by(_i.communication_id)
        )

    def withdraw_ending(self, ending_id: str, *, by: str, at: datetime) -> None:
        """See the port."""
        if not self._session.change(
            update(endings).where(_e.id == ending_id, _STANDING).values(withdrawn_at=at, withdrawn_by=by)
        ):
            self.ending(ending_id)
            raise Conflict("this was withdrawn before; nothing more is to be done")

    def endings(self, *, open_at: datetime | None = None) -> list[PurposeEnding]:
        """See the port."""
        statement = select(endings).order_by(_e.placed_at, _e.id)
        if open_at is not None:
            statement = statement.where(_STANDING, _e.ends_at > open_at)
        return [_ending(row) for row in self._session.rows(statement)]

    def endings_covering(self, communication_ids: Collection[str]) -> dict[str, tuple[PurposeEnding, ...]]:
        """See the port; each in the order of ids."""
        found: dict[str, dict[str, PurposeEnding]] = {}
        for batch in batches(communication_ids):
            direct = (
                select(_i.communication_id.label("of"), *endings.c)
                .join(endings, _e.id == _i.ending_id)
                .where(self._session.among(_i.communication_id, batch), _STANDING)
            )
            through = (
                select(_c.id.label("of"), *endings.c)
                .join(endings, _e.customer_id == _c.customer_id)
                .where(self._session.among(_c.id, batch), _STANDING)
            )
            for statement in (direct, through):
                for row in self._session.rows(statement):
                    found.setdefault(row.of, {})[row.id] = _ending(row)
        return {of: tuple(some[key] for key in sorted(some)) for of, some in found.items()}

    def endings_of_customer(self, customer_id: str) -> tuple[PurposeEnding, ...]:
        """See the port."""
        statement = select(endings).where(_e.customer_id == customer_id, _STANDING).order_by(_e.id)
        return tuple(_ending(row) for row in self._session.rows(statement))

    # --- facts of rows

    def ids_of_case(self, case_ref: str) -> list[str]:
        """See the port."""
        return self._session.column(select(_c.id).where(_c.case_ref == case_ref, _STORED).order_by(_c.id))

    def set_case_closed(self, communication_ids: Collection[str], at: datetime) -> None:
        """See the port."""
        for batch in batches(communication_ids):
            self._session.change(
                update(communications).where(self._session.among(_c.id, batch), _STORED).values(case_closed_at=at)
            )

    def releases_of(self, communication_ids: Collection[str]) -> dict[str, tuple[datetime, ...]]:
        """See the port."""
        found: dict[str, tuple[datetime, ...]] = {}
        for row in self._beside(releases, communication_ids):
            found[row.communication_id] = (*found.get(row.communication_id, ()), row.until)
        return found

    def set_digests(self, rows: Collection[Communication]) -> None:
        """See the port."""
        if rows:
            self._session.change(
                update(communications)
                .where(_c.id == bindparam("item"), _STORED)
                .values(facts_version=bindparam("version"), facts_digest=bindparam("digest")),
                [{"item": row.id, "version": row.facts_version, "digest": row.facts_digest} for row in rows],
            )

    def ids_without_digest(self, limit: int, *, after: str = "") -> list[str]:
        """See the port."""
        missing_one = (_c.facts_digest.is_(None), _STORED)
        return self._session.column(select(_c.id).where(_c.id > after, *missing_one).order_by(_c.id).limit(limit))

    def facts_versions(self, communication_ids: Collection[str]) -> dict[str, int]:
        """See the port."""
        found: dict[str, int] = {}
        for batch in batches(communication_ids):
            rows = select(audit_entries).where(self._session.among(_a.target, batch), _a.act.in_(_MOVING))
            for entry in map(self._log.opened, self._session.rows(rows)):
                version = entry.detail.get("facts")
                if entry.target is not None and isinstance(version, int):
                    found[entry.target] = max(version, found.get(entry.target, 0))
        return found

    def ids_under_other_policies(self, version: str, limit: int, *, after: str = "") -> list[str]:
        """See the port."""
        return self._session.column(
            select(_c.id).where(_c.id > after, _STORED, _c.policy_version != version).order_by(_c.id).limit(limit)
        )

    def stored_facts(self, limit: int, *, after: str = "") -> list[StoredFacts]:
        """See the port."""
        rows = self._session.rows(
            select(*(communications.c[name] for name in _FACTS))
            .where(_c.id > after, _STORED)
            .order_by(_c.id)
            .limit(limit)
        )
        ids = [row.id for row in rows]
        released = self.releases_of(ids)
        tagged: dict[str, list[str]] = {}
        capped: dict[str, list[Row[Any]]] = {}
        for row in self._beside(tags, ids):
            tagged.setdefault(row.communication_id, []).append(row.tag)
        for row in self._beside(purposes, ids):
            capped.setdefault(row.communication_id, []).append(row)
        return [_stored(row, tagged.get(row.id, ()), capped.get(row.id, ()), released.get(row.id, ())) for row in rows]

    def _beside(self, table: Any, ids: Collection[str]) -> Iterable[Row[Any]]:
        for batch in batches(ids):
            yield from self._session.rows(select(table).where(self._session.among(table.c.communication_id, batch)))


def _override(row: Any) -> Override:
    return Override(
        id=row.id,
        communication_id=row.communication_id,
        customer_id=row.customer_id,
        statute=Statute(
            code=row.code,
            name=row.name,
            keep=parse(row.keep),
            basis=Basis(row.basis),
            source=row.source,
            mandatory=row.mandatory,
        ),
        year_end=row.year_end,
        reason=row.reason,
        placed_by=row.placed_by,
        approved_by=row.approved_by,
        placed_at=row.placed_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
    )


def _ending(row: Any) -> PurposeEnding:
    return PurposeEnding(
        id=row.id,
        purpose=row.purpose,
        kind=EndingKind(row.kind),
        customer_id=row.customer_id,
        reason=row.reason,
        placed_by=row.placed_by,
        approved_by=row.approved_by,
        placed_at=row.placed_at,
        ends_at=row.ends_at,
        withdrawn_at=row.withdrawn_at,
        withdrawn_by=row.withdrawn_by,
    )


def _stored(
    row: Any, tagged: Iterable[str], purposes_of: Iterable[Row[Any]], released: tuple[datetime, ...]
) -> StoredFacts:
    """The same facts as ``Communication.facts`` gives, with its releases; a test holds the two equal."""
    records = list(purposes_of)
    duration = None if row.ended_at is None or row.ended_at < row.started_at else row.ended_at - row.started_at
    facts = Facts(
        channel=row.channel,
        direction=row.direction,
        queue=row.queue,
        team=row.team,
        tags=frozenset(tagged),
        source=row.source_id,
        customer_kind=row.customer_kind,
        has_case=row.case_ref is not None,
        contact_at=contact_moment(row.started_at, row.ended_at, row.stored_at),
        stored_at=row.stored_at,
        duration_seconds=None if duration is None else duration.total_seconds(),
        answered=row.answered,
        empty=row.length == 0,
        quarantined=row.conflict_of is not None,
        case_closed_at=row.case_closed_at,
        relationship_ended_at=row.relationship_ended_at,
        ended_purposes={one.purpose: one.ended_at for one in records if one.ended_at is not None},
        do_not_keep_at=row.do_not_keep_at,
        releases=released,
        caps={one.purpose: one.cap_until for one in records},
    )
    return StoredFacts(id=row.id, facts=facts, destroy_at=row.destroy_at, policy_version=row.policy_version)
