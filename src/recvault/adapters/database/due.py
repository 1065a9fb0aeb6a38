"""What is due for destruction, who works on it, and the taking away itself.

Invariants: a row that a hold covers is neither claimed nor counted as due; shredding and removing demand worker and
fence of the claim (:mod:`claims`) in the statement that writes, so that a worker whose claim was taken over cannot act. The
hold that arrives between claim and shred is the journey's to find, under the guard rows (rule 3).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    literal,
    not_,
    or_,
    select,
    update,
)

from recvault.adapters.database.bulk import FEW, fenced
from recvault.adapters.database.claims import Claims, is_claimed
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import (
    ERASED,
    attention,
    claims,
    communication_keys,
    communications,
    hold_items,
    holds,
    policies,
    purposes,
    releases,
    streams,
    tags,
)
from recvault.domain.communication import State
from recvault.domain.destruction import DueItem
from recvault.domain.errors import Conflict
from recvault.domain.ports.objects import ObjectVersion

_c, _k = communications.c, claims.c


def _held() -> ColumnElement[bool]:
    return or_(
        exists().where(holds.c.released_at.is_(None), holds.c.communication_id == _c.id),
        exists().where(holds.c.released_at.is_(None), holds.c.customer_id == _c.customer_id),
        exists().where(
            hold_items.c.communication_id == _c.id,
            holds.c.id == hold_items.c.hold_id,
            holds.c.released_at.is_(None),
        ),
    )


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(_c.state == State.STORED.value, _c.destroy_at <= now, _signed(), ~_held())


def _signed() -> ColumnElement[bool]:
    """Whether a person signed the very policy version that the row names, not only the one in force now."""
    return exists().where(policies.c.version == _c.policy_version, policies.c.signed_at.is_not(None))


class DueWork:
    """The part of the communications repository that the purge uses."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._claims = Claims(session)

    def claim_due(self, *, now: datetime, limit: int, worker: str, lease_until: datetime) -> list[DueItem]:
        """See the port. A row whose lease ends exactly at ``now`` is free."""
        self._claims.take_turns()
        left = self._free(_c.state == State.DESTROYING.value, now=now, limit=limit)
        free = dict.fromkeys(left, State.DESTROYING.value)
        if len(free) < limit:
            free |= dict.fromkeys(self._free(_due(now), now=now, limit=limit - len(free)), State.STORED.value)
        return self._claims.take(free, worker=worker, lease_until=lease_until)

    def release_claims(self, communication_ids: Collection[str], worker: str) -> None:
        """Those that are still the worker's."""
        self._claims.give_back(communication_ids, worker)

    def stop(self, communication_id: str, reason: str) -> None:
        """Also gives its claim back. NotFound when there is no row."""
        if not self._session.change(
            update(communications).where(_c.id == communication_id).values(stopped_reason=reason)
        ):
            raise missing("communication")
        self._claims.give_back([communication_id])

    def unstop(self, communication_id: str) -> bool:
        """See the port."""
        stopped = (_c.id == communication_id, _c.stopped_reason.is_not(None))
        return bool(self._session.change(update(communications).where(*stopped).values(stopped_reason=None)))

    def shred(self, items: Collection[DueItem], *, worker: str) -> None:
        """May be repeated by whoever holds the claims. The data keys go; keeps source, moment of storing, end, sizes, places,
        policy version, streams, and the keys that ever wrapped the data key; the start becomes the moment of
        storing.
        """
        bare: dict[str, Any] = dict.fromkeys(ERASED)
        shredding = update(communications).values(**bare, started_at=_c.stored_at, state=State.DESTROYING.value)
        self._claimed(shredding, items, worker)
        for batch in batches([item.communication_id for item in items]):
            keyless = update(communication_keys).values(wrapped_key=None)
            self._session.change(keyless.where(self._session.among(communication_keys.c.communication_id, batch)))
            for table in (purposes, tags, attention, releases):
                self._session.change(delete(table).where(self._session.among(table.c.communication_id, batch)))

    def remove(self, items: Collection[DueItem], *, worker: str) -> None:
        """Everything that belongs to the rows goes with them."""
        self._claimed(delete(communications).where(_c.state == State.DESTROYING.value), items, worker)
        ids = [item.communication_id for item in items]
        self._claims.remove(ids)
        for batch in batches(ids):
            keys = self._session.among(communication_keys.c.communication_id, batch)
            self._session.change(delete(communication_keys).where(keys))

    def count_due(self, now: datetime) -> int:
        """Stored, due, not held, not stopped; those under a lease count, those already shredded do not."""
        return self._session.count(communications, _due(now), _c.stopped_reason.is_(None))

    def count_overdue(self, before: datetime) -> int:
        """Stored or shredded, whose end lies before the moment; those that were stopped count, a person has
        to look.
        """
        late = (_c.state.in_([state.value for state in State]), _c.destroy_at < before, ~_held())
        # Two counts, so that each has a partial index.
        return self._session.count(communications, *late, _c.stopped_reason.is_(None)) + self._session.count(
            communications, *late, _c.stopped_reason.is_not(None)
        )

    def _free(self, condition: ColumnElement[bool], *, now: datetime, limit: int) -> list[str]:
        """One kind of work at a time, in the order of the index: ties, a night's calls of one moment, in that of their
        names."""
        return self._session.column(
            select(_c.id)
            .where(
                condition,
                _c.stopped_reason.is_(None),
                not_(is_claimed(now)),
            )
            .order_by(_c.destroy_at, _c.id)
            .limit(limit)
        )

    def renew_claims(self, items: Collection[DueItem], worker: str, lease_until: datetime) -> None:
        """See the port."""
        self._claims.renew(items, worker, lease_until)

    def still_claimed(self, items: Collection[DueItem], worker: str) -> list[DueItem]:
        """See the port."""
        return self._claims.live(items, worker)

    def objects_of(self, communication_ids: Collection[str]) -> list[ObjectVersion]:
        """See the port."""
        found: list[ObjectVersion] = []
        for batch in batches(communication_ids):
            rows = self._session.rows(
                select(streams.c.object_name, streams.c.version_id, streams.c.ciphertext_length, _c.stored_at)
                .join(communications, _c.id == streams.c.communication_id)
                .where(self._session.among(_c.id, batch))
                .order_by(streams.c.object_name)
            )
            found += [
                ObjectVersion(name=name, version_id=version, is_delete_marker=False, length=length, modified=at)
                for name, version, length, at in rows
            ]
        return found

    def _claimed(self, statement: Update | Delete, items: Collection[DueItem], worker: str) -> None:
        if items and self._each(statement, items, worker) != len(items):
            raise Conflict("the claim on an item is no longer this worker's; leave it to the one that has it")

    def _each(self, statement: Update | Delete, items: Collection[DueItem], worker: str) -> int:
        """Each row by its own fence; how many rows it was."""
        if not items:
            return 0
        mine = (_k.communication_id == _c.id, _k.worker == literal(worker))
        if self._session.on_postgresql and len(items) >= FEW:
            claimed = fenced(items)
            return self._session.change(statement.where(*mine, _c.id == claimed.c.item, _k.fence == claimed.c.fence))
        return self._session.change(
            statement.where(_c.id == bindparam("item"), exists().where(*mine, _k.fence == bindparam("item_fence"))),
            [{"item": item.communication_id, "item_fence": item.fence} for item in items],
        )
