"""What stops automatic destruction although retention says go: a person who suspends it, and a due set nobody foresaw.

A forecast counts how many stored communications end in each day ahead, held ones too, so that placing or releasing a hold
changes nothing. What is due later is *foreseen* as far as the forecast counted it for the same days; what came or was moved
since by an audited act is left out of the comparison by whoever counts. Decided by ADR 0012.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest

from recvault.domain.ids import require_aware

ALONE = timedelta(days=7)
"""For how long, in a row, one person may suspend destruction (DESIGN, Roles)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspension:
    """Automatic destruction stands still from ``placed_at`` until ``until``, or until a person ended it before."""

    id: str
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None

    def __post_init__(self) -> None:
        for name in ("placed_at", "until", "ended_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))

    def stands(self, now: datetime) -> bool:
        """Whether destruction stands still at ``now``."""
        return self.ended_at is None and now < self.until

    def over(self) -> datetime:
        """When it ended or will end."""
        return self.until if self.ended_at is None else self.ended_at


def latest_alone(earlier: Sequence[Suspension], now: datetime) -> datetime:
    """Until when one person may suspend at ``now``: 7 days from the beginning of the row of suspensions between which
    there were never 7 days without one."""
    began = now
    for one in sorted(earlier, key=Suspension.over, reverse=True):
        if one.over() <= began - ALONE:
            break
        began = min(began, one.placed_at)
    return began + ALONE


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardLimits:
    """A run stops when more than ``items`` are unforeseen and they are more than ``percent`` of what was foreseen."""

    percent: int = 10
    items: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """How many ends lie at or before ``edges[0]`` (the moment it was made), and between each edge and the next.

    ``confirmed_by`` names the person who confirmed that what is due now is due indeed."""

    number: int
    made_at: datetime
    edges: tuple[datetime, ...]
    counts: tuple[int, ...]
    confirmed_by: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "made_at", require_aware(self.made_at, "made_at"))
        object.__setattr__(self, "edges", tuple(require_aware(edge, "an edge") for edge in self.edges))
        if not self.edges or len(self.edges) != len(self.counts) or self.edges[0] != self.made_at:
            raise ValueError("a forecast counts up to the moment it was made, and then as often as it has edges")
        if any(one >= after for one, after in pairwise(self.edges)):
            raise ValueError("the edges of a forecast rise")

    def edges_until(self, now: datetime) -> tuple[datetime, ...]:
        """Where to count in order to compare at ``now``: the forecast's edges before it, and ``now`` itself."""
        return (*(edge for edge in self.edges if edge < now), now)

    def compare(self, counted: Sequence[int]) -> Surprise:
        """What was counted at :meth:`edges_until` some moment, day by day. Fewer than foreseen is no surprise: they were
        destroyed, or moved to later."""
        foreseen = self.counts[: len(counted)]
        beyond = sum(max(0, real - said) for real, said in zip_longest(counted, foreseen, fillvalue=0))
        return Surprise(unforeseen=beyond, foreseen=sum(foreseen))


@dataclass(frozen=True, kw_only=True, slots=True)
class Surprise:
    """How many of what is due no forecast said, and how many it said."""

    unforeseen: int
    foreseen: int

    def stops(self, limits: GuardLimits) -> bool:
        """Whether a run must not begin."""
        return self.unforeseen > limits.items and self.unforeseen * 100 > limits.percent * self.foreseen


def nothing_foreseen(counted: Sequence[int]) -> Surprise:
    """The comparison with no forecast at all."""
    return Surprise(unforeseen=sum(counted), foreseen=0)
