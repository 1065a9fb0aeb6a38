"""What stands over a communication beside its own row: statutory overrides, ends of purposes that its customer's
objection or a person set, and releases to trainees.

Adding it to the facts depends on no order: of several ends of one purpose the first in time counts, overrides only add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from recvault.domain.retention.endings import PurposeEnding
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.statutes import Override


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Overrides and ends that count, and until when a recording is released to trainees."""

    overrides: tuple[Override, ...] = ()
    endings: tuple[PurposeEnding, ...] = ()
    releases: tuple[datetime, ...] = ()

    def over(self, facts: Facts, zone: tzinfo) -> Facts:
        """The facts with what stands over them."""
        if self == NOTHING_STANDS:
            return facts
        ended = dict(facts.ended_purposes)
        for ending in self.endings:
            ended[ending.purpose] = min(ended.get(ending.purpose, ending.ends_at), ending.ends_at)
        return replace(
            facts,
            ended_purposes=ended,
            releases=(*facts.releases, *self.releases),
            statutes=tuple(override.end_for(facts.contact_at, zone) for override in self.overrides),
        )


def first_end(endings: tuple[PurposeEnding, ...], purpose: str) -> datetime | None:
    """When the purpose ends by the first of those that name it; None when none does."""
    return min((ending.ends_at for ending in endings if ending.purpose == purpose), default=None)


NOTHING_STANDS = Standing()
