"""Communications in the database: adding, finding, locking, and what changes while they live."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update

from recvault.adapters.database import search
from recvault.adapters.database.communication_rows import (
    LOADED,
    additions,
    insert_attention,
    insert_purposes,
    load,
    load_whole,
)
from recvault.adapters.database.due import DueWork
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import batches
from recvault.adapters.database.tables import attention, communication_keys, communications, destructions, purposes
from recvault.adapters.database.types import TEXT
from recvault.domain.communication import (
    Attention,
    Communication,
    PurposeRecord,
    SearchQuery,
    Seen,
    State,
    VisibleSet,
)

_c, _k = communications.c, communication_keys.c

_SEEN = select(
    select(_c.id)
    .where(_c.source_id == bindparam("source", type_=TEXT), _c.source_ref_hash == bindparam("hash"))
    .scalar_subquery(),
    select(destructions.c.communication_id)
    .where(
        destructions.c.source_id == bindparam("source", type_=TEXT),
        destructions.c.source_ref_hash == bindparam("hash"),
    )
    .order_by(destructions.c.shredded_at.desc(), destructions.c.communication_id.desc())
    .limit(1)
    .scalar_subquery(),
)


class SqlCommunications(DueWork):
    """Implements the port's ``Communications``."""

    def add(self, communication: Communication) -> None:
        """See the port."""
        self._session.insert_together(*additions(communication))

    def get(self, communication_id: str) -> Communication:
        """See the port."""
        found = self.find([communication_id])
        if not found:
            raise missing("communication")
        return found[0]

    def find(self, communication_ids: Collection[str]) -> list[Communication]:
        """See the port."""
        if len(communication_ids) == 1 and self._session.on_postgresql:
            return load_whole(self._session, next(iter(communication_ids)))
        return self._by_ids(communication_ids, lock=False)

    def stored_after(self, after: str, limit: int) -> list[Communication]:
        """See the port."""
        statement = LOADED.where(_c.id > after, _c.state == State.STORED.value).order_by(_c.id).limit(limit)
        return load(self._session, self._session.rows(statement))

    def guards(self, communication_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """See the port."""
        customers: set[str | None] = set()
        points: set[str | None] = set()
        for batch in batches(communication_ids):
            for row in self._session.rows(
                select(_c.customer_id, _c.contact_point_id).where(self._session.among(_c.id, batch))
            ):
                customers.add(row.customer_id)
                points.add(row.contact_point_id)
        return {one for one in customers if one}, {one for one in points if one}

    def lock(self, communication_ids: Collection[str]) -> list[Communication]:
        """See the port."""
        return self._by_ids(communication_ids, lock=True)

    def seen(self, source_id: str, source_ref_hash: bytes) -> Seen:
        """See the port."""
        row = self._session.first(_SEEN, {"source": source_id, "hash": source_ref_hash})
        return Seen(stored=row[0], destroyed=row[1]) if row is not None else Seen()

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Communication | None:
        """See the port."""
        rows = self._session.rows(LOADED.where(_c.source_id == source_id, _c.source_ref_hash == source_ref_hash))
        return next(iter(load(self._session, rows)), None)

    def search(self, query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> list[Communication]:
        """See the port; nothing visible, nothing found."""
        if not visible:
            return []
        return load(self._session, self._session.rows(search.statement(query, visible, now)))

    def set_retention(
        self,
        communication_id: str,
        *,
        destroy_at: datetime,
        purposes: Sequence[PurposeRecord],
        policy_version: str,
    ) -> None:
        """See the port. NotFound when nothing is stored under the id."""
        self._update_stored(communication_id, destroy_at=destroy_at, policy_version=policy_version)
        self._replace_purposes(communication_id, purposes)

    def set_do_not_keep(self, communication_id: str, at: datetime | None) -> None:
        """See the port. NotFound when nothing is stored under the id."""
        self._update_stored(communication_id, do_not_keep_at=at)

    def set_relationship_ended(self, communication_ids: Collection[str], at: datetime | None) -> None:
        """See the port; what is already shredded is passed over."""
        for batch in batches(communication_ids):
            self._session.change(
                update(communications)
                .where(self._session.among(_c.id, batch), _c.state == State.STORED.value)
                .values(relationship_ended_at=at)
            )

    def rewrap(self, communication_id: str, *, key_id: str, wrapped_key: bytes) -> None:
        """See the port. NotFound when nothing is stored under the id."""
        own = (_k.communication_id == communication_id, _k.wrapped_key.is_not(None))
        row = self._session.first(select(_k.wrapped_by).where(*own).with_for_update())
        if row is None:
            raise missing("stored communication")
        ever = row.wrapped_by.split()
        remembered = " ".join(ever if key_id in ever else [*ever, key_id])
        changes = {"key_id": key_id, "wrapped_key": wrapped_key, "wrapped_by": remembered}
        self._session.change(update(communication_keys).where(*own).values(**changes))

    def wrapped_by(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See the port."""
        found: dict[str, tuple[str, ...]] = {}
        for batch in batches(communication_ids):
            rows = self._session.rows(
                select(_k.communication_id, _k.wrapped_by)
                .where(self._session.among(_k.communication_id, batch))
                .order_by(_k.communication_id)
            )
            found |= {communication_id: tuple(sorted(ever.split())) for communication_id, ever in rows}
        return found

    def ids_under_key(self, key_id: str, limit: int, *, after: str = "") -> list[str]:
        """See the port."""
        return self._session.column(
            select(_k.communication_id)
            .where(_k.key_id == key_id, _k.wrapped_key.is_not(None), _k.communication_id > after)
            .order_by(_k.communication_id)
            .limit(limit)
        )

    def ids_of_customer(self, customer_id: str) -> list[str]:
        """See the port."""
        return self._session.column(select(_c.id).where(_c.customer_id == customer_id).order_by(_c.id))

    def add_attention(self, communication_id: str, marks: Iterable[Attention]) -> None:
        """See the port."""
        insert_attention(self._session, communication_id, marks)

    def clear_attention(self, communication_id: str) -> None:
        """See the port."""
        self._session.change(delete(attention).where(attention.c.communication_id == communication_id))

    def conflicts_with(self, communication_id: str) -> list[Communication]:
        """See the port."""
        stored = (_c.conflict_of == communication_id, _c.state == State.STORED.value)
        return self.find(self._session.column(select(_c.id).where(*stored)))

    def conflicts_of_source(self, source_id: str) -> int:
        """See the port."""
        return self._session.count(communications, _c.source_id == source_id, _c.conflict_of.is_not(None))

    def count_attention(self) -> int:
        """See the port."""
        row = self._session.first(select(func.count(func.distinct(attention.c.communication_id))))
        return row[0] if row else 0

    def count_marked(self, marks: Iterable[Attention]) -> int:
        """See the port."""
        wanted = attention.c.mark.in_([mark.value for mark in marks])
        row = self._session.first(select(func.count(func.distinct(attention.c.communication_id))).where(wanted))
        return row[0] if row else 0

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        """See the port."""
        found: set[str] = set()
        for batch in batches(ids):
            found.update(self._session.column(select(_c.id).where(self._session.among(_c.id, batch))))
        return found

    def _by_ids(self, ids: Collection[str], *, lock: bool) -> list[Communication]:
        found: list[Communication] = []
        for batch in batches(ids):
            statement = LOADED.where(self._session.among(_c.id, batch)).order_by(_c.id)
            if lock:
                # The key's row too: it moves in transactions that touch nothing else.
                statement = statement.with_for_update(of=(communications, communication_keys))
            found += load(self._session, self._session.rows(statement))
        return found

    def _update_stored(self, communication_id: str, **values: object) -> None:
        if not self._session.change(
            update(communications).where(_c.id == communication_id, _c.state == State.STORED.value).values(**values)
        ):
            raise missing("stored communication")

    def _replace_purposes(self, communication_id: str, records: Sequence[PurposeRecord]) -> None:
        self._session.change(delete(purposes).where(purposes.c.communication_id == communication_id))
        insert_purposes(self._session, communication_id, records)
