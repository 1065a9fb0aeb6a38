"""What an authorisation is about: the communications that were listed, or those of one customer in a time.

Keeps: it never covers everything; a written one reads back as itself or not at all; a search under it is narrowed to it, never
widened. Who authorises, and until when, is left to ``services.authorisations``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from recvault.domain.communication import Communication, SearchQuery
from recvault.domain.errors import InvalidInput
from recvault.domain.ids import require_aware

LISTED_MAXIMUM = 500
"""Communications that one authorisation lists at most; a customer and a time cover more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Either ``communications`` (ids), or the ``customer_id`` whose communications began from ``started_from`` (inclusive)
    until ``started_until`` (exclusive); None is open. InvalidInput when it names both, neither, or too much."""

    communications: frozenset[str] = frozenset()
    customer_id: str | None = None
    started_from: datetime | None = None
    started_until: datetime | None = None

    def __post_init__(self) -> None:
        ranged = self.started_from is not None or self.started_until is not None
        if bool(self.communications) == bool(self.customer_id) or (self.communications and ranged):
            raise InvalidInput(
                "name what it covers: communications by their ids, or one customer and from when until when"
            )
        if len(self.communications) > LISTED_MAXIMUM:
            raise InvalidInput(
                f"list at most {LISTED_MAXIMUM} communications, or name the customer and the time instead"
            )
        for name in ("started_from", "started_until"):
            if (moment := getattr(self, name)) is not None:
                object.__setattr__(self, name, require_aware(moment, name))
        if self.started_from and self.started_until and self.started_until <= self.started_from:
            raise InvalidInput("what it covers ends before it begins; give a later end")

    def contains(self, row: Communication) -> bool:
        """Whether it covers this communication, as it stands now."""
        if self.communications:
            return row.id in self.communications
        return (
            row.customer_id == self.customer_id
            and (self.started_from is None or self.started_from <= row.started_at)
            and (self.started_until is None or row.started_at < self.started_until)
        )

    def narrowed(self, query: SearchQuery) -> SearchQuery:
        """The part of the query that it covers."""
        if self.communications:
            return replace(query, ids=self.communications)
        if query.customer_id not in (None, self.customer_id):
            return replace(query, ids=frozenset())
        begins = [moment for moment in (query.started_from, self.started_from) if moment is not None]
        ends = [moment for moment in (query.started_until, self.started_until) if moment is not None]
        return replace(
            query,
            customer_id=self.customer_id,
            started_from=max(begins, default=None),
            started_until=min(ends, default=None),
        )

    def written(self) -> dict[str, object]:
        """As it stands in proposals and in the database: ids and times only."""
        if self.communications:
            return {"communications": sorted(self.communications)}
        told = {"customer_id": self.customer_id, "from": self.started_from, "until": self.started_until}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in told.items()
            if value is not None
        }


def read_coverage(value: object) -> Coverage:
    """What :meth:`Coverage.written` wrote; InvalidInput when it is none."""
    if not isinstance(value, Mapping):
        raise InvalidInput("the proposal does not say what it covers; propose it anew")
    listed, customer = value.get("communications", []), value.get("customer_id")
    if not isinstance(listed, list) or not (customer is None or isinstance(customer, str)):
        raise InvalidInput("the proposal does not say what it covers; propose it anew")
    return Coverage(
        communications=frozenset(str(one) for one in listed),
        customer_id=customer,
        started_from=_moment(value.get("from")),
        started_until=_moment(value.get("until")),
    )


def _moment(text: object) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(str(text))
    except ValueError:
        raise InvalidInput("the proposal does not say what it covers; propose it anew") from None
