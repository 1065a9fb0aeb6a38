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
class StatuteEnd:
    """What one statutory override says of one communication: kept until ``until`` under ``code``. ``mandatory`` False:
    a ground of legitimate interest (defence of claims), which an objection can be balanced against."""

    code: str
    until: datetime
    mandatory: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", require_aware(self.until, "until"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The facts of one communication. Moments are aware and kept in UTC; None means unknown or not yet.

    ``contact_at``: when the contact took place (its end, else its start). A moment after storing counts as
    storing, so that a wrong clock at the source cannot lengthen retention. ``duration_seconds`` of calls, 0
    for empty content; ``empty`` when there is no content at all, whatever the channel. ``answered`` False
    only when the source said so. ``ended_purposes``: purposes over for good, by a person or an objection,
    each with the moment it ends (which may lie ahead while a delay runs). ``do_not_keep_at``: when the
    do-not-keep mark was set. ``releases``: the ends of its releases to trainees. ``caps``: the purposes and caps
    that were fixed when it was stored; empty only while it is being stored. ``statutes``: the ends of the
    statutory overrides that cover it.
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
    caps: Mapping[str, datetime] = field(default_factory=dict)
    statutes: tuple[StatuteEnd, ...] = ()

    def __post_init__(self) -> None:
        for name in ("contact_at", "stored_at", "case_closed_at", "relationship_ended_at", "do_not_keep_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))
        object.__setattr__(self, "contact_at", min(self.contact_at, self.stored_at))
        object.__setattr__(self, "releases", tuple(sorted(require_aware(end, "a release") for end in self.releases)))
        for name, of in (("ended_purposes", "could have ended"), ("caps", "could have a cap")):
            object.__setattr__(self, name, _by_purpose(getattr(self, name), of))


def _by_purpose(moments: Mapping[str, datetime], of: str) -> Mapping[str, datetime]:
    unknown = set(moments) - {str(purpose) for purpose in PURPOSES_WITH_RETENTION}
    if unknown:
        raise ValueError(f"no purpose that {of}: {', '.join(sorted(unknown))}")
    return MappingProxyType({str(purpose): require_aware(at, purpose) for purpose, at in moments.items()})
