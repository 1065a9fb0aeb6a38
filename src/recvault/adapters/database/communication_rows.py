"""Communications to rows and back.

What a page of communications has beside its rows comes with one query per table, never one per row; a single
communication comes with all of it in one statement where the database can. A row
in state ``destroying`` loads too: ids and classes are None, its start is the moment it was stored, it has no
purposes or tags; its streams are still there, because their objects have yet to be seen gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import attention, communication_keys, communications, purposes, streams, tags
from recvault.adapters.database.together import Addition
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.communication import (
    Attention,
    Channel,
    Communication,
    Direction,
    PurposeRecord,
    State,
    StreamRecord,
)
from recvault.domain.errors import Conflict

# Values that stand in the row under the same name.
_PLAIN = (
    "id", "source_id", "source_ref_hash", "conflict_of", "started_at", "ended_at", "stored_at",
    "customer_id", "customer_kind", "contact_point_id", "agent_id", "team", "queue", "case_ref",
    "answered", "media_type", "notice_ref", "balancing_ref", "length", "policy_version", "destroy_at",
    "sealed_fields", "sealed_manifest", "place_declared", "place_observed", "do_not_keep_at",
    "case_closed_at", "relationship_ended_at", "awaiting_purge", "facts_version", "facts_digest",
)  # fmt: skip
_KEY = ("key_id", "wrapped_key")
_STREAM = (
    "name", "generation", "object_name", "version_id", "plaintext_length", "ciphertext_length",
    "ciphertext_sha256",
)  # fmt: skip
_PURPOSE = ("purpose", "needed_until", "rule", "cap_until", "ended_at")

# The plain values first, so that they can be taken by their places: by their names that is the costliest part of loading.
LOADED: Select[Any] = select(
    *(communications.c[name] for name in _PLAIN),
    *(communication_keys.c[name] for name in _KEY),
    *(communications.c[name] for name in ("channel", "direction", "state")),
).join_from(communications, communication_keys, communication_keys.c.communication_id == communications.c.id)


def additions(communication: Communication) -> list[Addition]:
    """The row and everything beside it."""
    item = {"communication_id": communication.id}
    row = {name: getattr(communication, name) for name in _PLAIN}
    row["channel"] = communication.channel.value
    row["direction"] = communication.direction.value
    row["state"] = communication.state.value
    beside: list[tuple[Table[Any], list[dict[str, Any]]]] = [
        (purposes, _purpose_rows(communication.id, communication.purposes)),
        (tags, [item | {"tag": tag} for tag in sorted(communication.tags)]),
        (attention, _attention_rows(communication.id, communication.attention)),
        (
            streams,
            [
                item | {"position": position} | {name: getattr(stream, name) for name in _STREAM}
                for position, stream in enumerate(communication.streams)
            ],
        ),
        (communication_keys, [_key_row(communication)]),
    ]
    return [
        Addition(table=communications, rows=[row]),
        *(Addition(table=table, rows=rows) for table, rows in beside),
    ]


def insert_purposes(session: Session, communication_id: str, records: Sequence[PurposeRecord]) -> None:
    """The purposes in their order."""
    session.insert(purposes, _purpose_rows(communication_id, records))


def insert_attention(session: Session, communication_id: str, marks: Iterable[Attention]) -> None:
    """Those of the marks that are not there yet."""
    session.insert_missing(attention, _attention_rows(communication_id, marks))


def _key_row(communication: Communication) -> dict[str, Any]:
    """Conflict when a stored communication has no key: it could never be opened."""
    if communication.state is State.STORED and communication.wrapped_key is None:
        raise Conflict("a stored communication without its data key breaks the rules; nothing was stored")
    return {
        "communication_id": communication.id,
        "wrapped_by": communication.key_id,
        **{name: getattr(communication, name) for name in _KEY},
    }


def _purpose_rows(communication_id: str, records: Sequence[PurposeRecord]) -> list[dict[str, Any]]:
    return [
        {"communication_id": communication_id, "position": position}
        | {name: getattr(record, name) for name in _PURPOSE}
        for position, record in enumerate(records)
    ]


def _attention_rows(communication_id: str, marks: Iterable[Attention]) -> list[dict[str, Any]]:
    return [{"communication_id": communication_id, "mark": mark.value} for mark in sorted(set(marks))]


def load(session: Session, rows: Sequence[Row[Any]]) -> list[Communication]:
    """The communications of rows selected by ``LOADED``, in the same order."""
    ids = [row.id for row in rows]
    of_purpose = _beside(session, purposes, ids)
    of_tag = _beside(session, tags, ids)
    of_mark = _beside(session, attention, ids)
    of_stream = _beside(session, streams, ids)
    return [
        _made(
            row,
            tags=[tag.tag for tag in of_tag[row.id]],
            marks=[mark.mark for mark in of_mark[row.id]],
            purposes=[_purpose(record) for record in of_purpose[row.id]],
            streams=[_stream(stream) for stream in of_stream[row.id]],
        )
        for row in rows
    ]


def _whole() -> Select[Any]:
    """One communication with everything beside it, in one statement and so of one moment (PostgreSQL)."""

    def beside(table: Table[Any], names: Sequence[str], order: str) -> Any:
        values = func.json_build_array(*(table.c[name] for name in names))
        rows = select(func.json_agg(aggregate_order_by(values, table.c[order])))
        return rows.where(table.c.communication_id == communications.c.id).scalar_subquery()

    return LOADED.add_columns(
        beside(purposes, _PURPOSE, "position").label("of_purpose"),
        beside(tags, ("tag",), "tag").label("of_tag"),
        beside(attention, ("mark",), "mark").label("of_mark"),
        beside(streams, _STREAM, "position").label("of_stream"),
    ).where(communications.c.id == bindparam("item", type_=TEXT))


_WHOLE = _whole()


def load_whole(session: Session, communication_id: str) -> list[Communication]:
    """The communication of the id, if any, by one statement; on PostgreSQL only."""
    row = session.first(_WHOLE, {"item": communication_id})
    if row is None:
        return []
    streams_told = [dict(zip(_STREAM, values, strict=True)) for values in row.of_stream or ()]
    purposes_told = [
        dict(zip(_PURPOSE, map(_of_json, _PURPOSE, values), strict=True)) for values in row.of_purpose or ()
    ]
    return [
        _made(
            row,
            tags=[tag for (tag,) in row.of_tag or ()],
            marks=[mark for (mark,) in row.of_mark or ()],
            purposes=[PurposeRecord(**told) for told in purposes_told],
            streams=[StreamRecord(**told) for told in streams_told],
        )
    ]


def _of_json(name: str, value: Any) -> Any:
    """PostgreSQL writes a moment into JSON as ISO 8601 with its offset."""
    is_moment = value is not None and isinstance(purposes.c[name].type, Moment)
    return datetime.fromisoformat(value).astimezone(UTC) if is_moment else value


def _made(
    row: Row[Any],
    *,
    tags: Iterable[str],
    marks: Iterable[str],
    purposes: Iterable[PurposeRecord],
    streams: Iterable[StreamRecord],
) -> Communication:
    return Communication(
        **dict(zip((*_PLAIN, *_KEY), row, strict=False)),
        channel=Channel(row.channel),
        direction=Direction(row.direction),
        state=State(row.state),
        tags=frozenset(tags),
        attention=frozenset(Attention(mark) for mark in marks),
        purposes=tuple(purposes),
        streams=tuple(streams),
    )


def _purpose(row: Row[Any]) -> PurposeRecord:
    return PurposeRecord(**{name: getattr(row, name) for name in _PURPOSE})


def _stream(row: Row[Any]) -> StreamRecord:
    return StreamRecord(**{name: getattr(row, name) for name in _STREAM})


def _beside(session: Session, table: Table[Any], ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for batch in batches(ids):
        for row in session.rows(select(table).where(session.among(table.c.communication_id, batch))):
            found[row.communication_id].append(row)
    if "position" in table.c:
        for rows in found.values():
            rows.sort(key=lambda row: row.position)
    return found
