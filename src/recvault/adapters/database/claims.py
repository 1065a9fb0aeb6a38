"""Who works on what is due: leases in a narrow table of their own, so that claiming touches no wide row and none of its
indexes.

Invariants: each claim of a communication raises its fence, and a claim that was given back keeps its row, so the fence never
falls while the communication is there; a claim goes with its communication; at most one live claim of a communication. On
PostgreSQL claimers take turns under an advisory lock that ends with their transaction, and never wait for a claim that a
slow worker has locked. What is due is :mod:`due`'s to say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, false, func, literal, select, true, update
from sqlalchemy.dialects import postgresql

from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import claims, communications
from recvault.adapters.database.types import TEXT, TEXTS, Moment
from recvault.domain.destruction import DueItem

_c, _k = communications.c, claims.c

CLAIMING = 0x7265637661756C63
"""The advisory lock of claimers; nothing else in the same PostgreSQL database locks on it."""

# A commit of claims that is lost in a crash takes only the claims with it: whoever had them can write nothing any more.
# Compiling the scan would take longer than the scan.
_TURN = select(
    func.pg_advisory_xact_lock(CLAIMING),
    func.set_config("synchronous_commit", "off", true()),
    func.set_config("jit", "off", true()),
)


def is_claimed(now: datetime) -> ColumnElement[bool]:
    """Whether a live lease lies on the communication. A value looked up by key, and not a join: the order of the ends
    leads, whatever a planner guesses of claims."""
    lease = select(_k.lease_until).where(_k.communication_id == _c.id).scalar_subquery()
    return func.coalesce(lease > literal(now, Moment()), false())


class Claims:
    """The rows of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take_turns(self) -> None:
        """Until the transaction ends no other claims; on SQLite nobody else writes anyway."""
        if self._session.on_postgresql:
            self._session.first(_TURN)

    def take(self, states: Mapping[str, str], *, worker: str, lease_until: datetime) -> list[DueItem]:
        """Claims those, by id, whose claim nobody has locked; in id order. The caller has its turn, and has seen that no
        live lease lies on them."""
        fences: dict[str, int] = {}
        for batch in batches(states):
            first = self._first(batch, worker, lease_until)
            fences |= dict.fromkeys(first, 1) | self._again(sorted({*batch} - {*first}), worker, lease_until)
        return [DueItem(communication_id=one, state=states[one], fence=fences[one]) for one in sorted(fences)]

    def _first(self, ids: Sequence[str], worker: str, lease_until: datetime) -> list[str]:
        """Those that nobody has claimed before."""
        columns = ["communication_id", "worker", "lease_until", "fence"]
        claim = (literal(worker, TEXT), literal(lease_until, Moment()), literal(1))
        if self._session.on_postgresql:
            new = postgresql.insert(claims).from_select(columns, select(func.unnest(literal(ids, TEXTS)), *claim))
            return self._session.column(new.on_conflict_do_nothing().returning(_k.communication_id))
        known = {*self._session.column(select(_k.communication_id).where(self._among(ids)))}
        rest = [one for one in ids if one not in known]
        self._session.insert(
            claims,
            [{"communication_id": one, "worker": worker, "lease_until": lease_until, "fence": 1} for one in rest],
        )
        return rest

    def _again(self, ids: list[str], worker: str, lease_until: datetime) -> dict[str, int]:
        if not ids:
            return {}
        free = select(_k.communication_id).where(self._among(ids)).with_for_update(skip_locked=True)
        rows = self._session.rows(
            update(claims)
            .where(_k.communication_id.in_(free))
            .values(worker=worker, lease_until=lease_until, fence=_k.fence + 1)
            .returning(_k.communication_id, _k.fence)
        )
        return {row.communication_id: row.fence for row in rows}

    def live(self, items: Collection[DueItem], worker: str) -> list[DueItem]:
        """Locked, in id order: those that are still the worker's under the same fence."""
        fences = {item.communication_id: item for item in items}
        found: list[DueItem] = []
        for batch in batches(fences):
            rows = self._session.rows(
                select(_k.communication_id, _k.fence)
                .where(self._among(batch), _k.worker == worker)
                .order_by(_k.communication_id)
                .with_for_update()
            )
            found += [fences[row.communication_id] for row in rows if fences[row.communication_id].fence == row.fence]
        return found

    def renew(self, items: Collection[DueItem], worker: str, lease_until: datetime) -> None:
        """The leases of those that are still the worker's."""
        self._change([one.communication_id for one in self.live(items, worker)], worker, lease_until)

    def give_back(self, ids: Collection[str], worker: str | None = None) -> None:
        """Those of the worker, or whosever they are; the fences stay."""
        self._change(ids, worker, None)

    def remove(self, ids: Collection[str]) -> None:
        """With their communications."""
        for batch in batches(ids):
            self._session.change(delete(claims).where(self._among(batch)))

    def _change(self, ids: Collection[str], worker: str | None, lease_until: datetime | None) -> None:
        mine: Sequence[ColumnElement[bool]] = () if worker is None else (_k.worker == worker,)
        left = {"worker": None} if lease_until is None else {}
        for batch in batches(ids):
            self._session.change(
                update(claims).where(self._among(batch), *mine).values(lease_until=lease_until, **left)
            )

    def _among(self, ids: Collection[str]) -> ColumnElement[bool]:
        return self._session.among(_k.communication_id, ids)
