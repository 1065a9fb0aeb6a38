"""What the retention engine decides from: the facts of one communication, none of them identifying.

The same facts give the same ends, at ingest and again at purge; so they hold nothing that depends on the
present moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from recvault.domain.ids import require_aware
from recvault.domain.purpose import PURPOSES_WITH_RETENTION


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The facts of one communication. Moments are aware and kept in UTC; None means unknown or not yet.

    ``contact_at``: when the contact took place (its end, else its start). A moment after storing counts as
    storing, so that a wrong clock at the source cannot lengthen retention. ``duration_seconds`` of calls, 0
    for empty content; ``empty`` when there is no content at all, whatever the channel. ``answered`` False
    only when the source said so. ``ended_purposes``: purposes over for good, by a person or an objection,
    each with the moment it ends (which may lie ahead while a delay runs). ``do_not_keep_at``: when the
    do-not-keep mark was set. ``releases``: the ends of its releases to trainees.
    """

    channel: str
    direction: str
    contact_at: datetime
    stored_at: datetime
    queue: str | None = None
    team: str | None = None
    tags: frozenset[str] = frozenset()
    source: str | None = None
    customer_kind: str | None = None
    has_case: bool = False
    duration_seconds: float | None = None
    answered: bool | None = None
    empty: bool = False
    quarantined: bool = False
    case_closed_at: datetime | None = None
    relationship_ended_at: datetime | None = None
    ended_purposes: Mapping[str, datetime] = field(default_factory=dict)
    do_not_keep_at: datetime | None = None
    releases: tuple[datetime, ...] = ()

    def __post_init__(self) -> None:
        for name in ("contact_at", "stored_at", "case_closed_at", "relationship_ended_at", "do_not_keep_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))
        object.__setattr__(self, "contact_at", min(self.contact_at, self.stored_at))
        object.__setattr__(self, "releases", tuple(sorted(require_aware(end, "a release") for end in self.releases)))
        unknown = set(self.ended_purposes) - {str(purpose) for purpose in PURPOSES_WITH_RETENTION}
        if unknown:
            raise ValueError(f"no purpose that could have ended: {', '.join(sorted(unknown))}")
        ended = {str(purpose): require_aware(at, "ended_at") for purpose, at in self.ended_purposes.items()}
        object.__setattr__(self, "ended_purposes", MappingProxyType(ended))
