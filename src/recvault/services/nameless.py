"""What lies in the object store under ids that no row of the database names.

The walk that sweeping, reconciling and looking after a restore share. Keeps: the store's listing and the database are read
some hundred ids at a time, so memory grows with neither; only names that begin with a UUIDv7 are ours to judge. How old
something must be before anything is done about it, and what, is left to the journeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice

from recvault.domain.ids import is_uuid7, uuid7_time
from recvault.domain.ports.database import Database
from recvault.domain.ports.objects import ObjectVersion

BATCH = 500
"""Ids looked up at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The versions under one id; none where only an upload was begun. ``began_at`` is when its upload began."""

    id: str
    began_at: datetime
    versions: tuple[ObjectVersion, ...] = ()


def by_id(versions: Iterable[ObjectVersion]) -> Iterator[Found]:
    """A listing in the order of names, gathered by the ids that the names begin with."""
    for head, group in groupby(versions, key=lambda version: id_in(version.name)):
        if is_uuid7(head):
            yield Found(id=head, began_at=uuid7_time(head), versions=tuple(group))


def nameless(database: Database, found: Iterable[Found], *, destroyed_too: bool = False) -> Iterator[Found]:
    """Those that no row names; with ``destroyed_too`` no tombstone either."""
    walk = iter(found)
    while batch := {one.id: one for one in islice(walk, BATCH)}:
        ids = list(batch)
        with database.read() as unit:
            named = unit.communications.existing_ids(ids)
            if destroyed_too:
                named |= set(unit.destructions.find(ids))
        yield from (one for one in batch.values() if one.id not in named)


def id_in(name: str) -> str:
    """The id that an object's name begins with."""
    return name.split("/", 1)[0]
