"""The one statement that searches communications.

Invariants: what the actor may not see is excluded by the database, before the limit; paging is by position
(started_at, id), never by offset, so that rows deleted meanwhile shift nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, literal, or_, true, tuple_

from recvault.adapters.database.communication_rows import LOADED
from recvault.adapters.database.tables import attention, communications, purposes, releases, tags
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.communication import SearchQuery, VisibleSet

_c = communications.c


def statement(query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> Select[Any]:
    """Newest first. ``started_from`` is inclusive, ``started_until`` exclusive."""
    found = (
        LOADED.where(or_(*(_seen(one, now) for one in visible)))
        .where(_c.awaiting_purge.is_(None), *_equalities(query), *_ranges(query), *_existence(query, now))
        .order_by(_c.started_at.desc(), _c.id.desc())
        .limit(query.limit)
    )
    if query.after is None:
        return found
    started_at, communication_id = query.after
    return found.where(
        tuple_(_c.started_at, _c.id) < tuple_(literal(started_at, Moment()), literal(communication_id, TEXT))
    )


def _seen(one: VisibleSet, now: datetime) -> ColumnElement[bool]:
    limits: list[ColumnElement[bool]] = []
    if one.teams is not None:
        limits.append(_c.team.in_(sorted(one.teams)))
    if one.queues is not None:
        limits.append(_c.queue.in_(sorted(one.queues)))
    if one.agent_id is not None:
        limits.append(_c.agent_id == one.agent_id)
    if one.released_to is not None:
        limits.append(
            exists().where(
                releases.c.communication_id == _c.id,
                releases.c.user_id == one.released_to,
                releases.c.until > now,
            )
        )
    if one.purpose is not None:
        limits.append(_live(one.purpose, now))
    return and_(true(), *limits)


def _live(purpose: str, now: datetime) -> ColumnElement[bool]:
    return exists().where(
        purposes.c.communication_id == _c.id,
        purposes.c.purpose == purpose,
        purposes.c.ended_at.is_(None),
        purposes.c.needed_until > now,
    )


def _equalities(query: SearchQuery) -> Iterator[ColumnElement[bool]]:
    for name in ("customer_id", "agent_id", "team", "queue", "channel", "direction", "case_ref", "state"):
        wanted = getattr(query, name)
        if wanted is not None:
            yield _c[name] == str(wanted)


def _ranges(query: SearchQuery) -> Iterator[ColumnElement[bool]]:
    if query.ids is not None:
        yield _c.id.in_(sorted(query.ids))
    if query.contact_point_ids is not None:
        yield _c.contact_point_id.in_(query.contact_point_ids)
    if query.started_from is not None:
        yield _c.started_at >= query.started_from
    if query.started_until is not None:
        yield _c.started_at < query.started_until
    if query.unmatched is not None:
        yield _c.customer_id.is_(None) if query.unmatched else _c.customer_id.is_not(None)


def _existence(query: SearchQuery, now: datetime) -> Iterator[ColumnElement[bool]]:
    if query.tag is not None:
        yield exists().where(tags.c.communication_id == _c.id, tags.c.tag == query.tag)
    if query.live_purpose is not None:
        yield _live(query.live_purpose, now)
    if query.needs_attention is not None:
        marked = exists().where(attention.c.communication_id == _c.id)
        yield marked if query.needs_attention else ~marked
