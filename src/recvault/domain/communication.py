"""Communications: what arrives, what is kept of it in the open, and its life cycle.

Invariants: moments are aware; a communication that is stored has a concrete ``destroy_at``; a state changes only along
``LIFE_CYCLE``. Identifying values (names, numbers as sent, subject, file name) never stand in :class:`Communication`:
they travel in a draft and end up sealed (see ``sealing.fields``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from recvault.domain.errors import TransitionError
from recvault.domain.ids import require_aware
from recvault.domain.retention import Facts


class Channel(StrEnum):
    """How the customer and the company were in contact."""

    CALL = "call"
    EMAIL = "email"
    SMS = "sms"
    CHAT = "chat"


class Direction(StrEnum):
    """Seen from the company."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class State(StrEnum):
    """``stored`` can be opened; ``destroying`` has lost its key and waits for its objects to be seen gone.

    What is destroyed has no row any more: its :class:`~recvault.domain.destruction.Destruction` tells of it.
    """

    STORED = "stored"
    DESTROYING = "destroying"


LIFE_CYCLE: Mapping[State, frozenset[State]] = {
    State.STORED: frozenset({State.DESTROYING}),
    State.DESTROYING: frozenset(),
}


def advance(current: State, wanted: State) -> State:
    """Returns ``wanted`` when the life cycle allows it from ``current``, else raises TransitionError."""
    if wanted not in LIFE_CYCLE[current]:
        raise TransitionError(f"a communication that is {current} cannot become {wanted}")
    return wanted


class Awaiting(StrEnum):
    """Why a row waits for its destruction and opens for nobody meanwhile. By the ledger it was ``destroyed``; or that was
    ``intended`` and nobody knows whether it was done; or it was intended at a moment when, by the facts of this
    database, it was not due (``unsettled``: the event that ended it was lost in a restore)."""

    INTENDED = "intended"
    UNSETTLED = "unsettled"
    DESTROYED = "destroyed"


class Attention(StrEnum):
    """What is odd about an accepted communication; a person looks at it (rule 8: calls do not come back)."""

    EMPTY_CONTENT = "empty_content"
    STARTS_IN_FUTURE = "starts_in_future"
    ENDS_BEFORE_START = "ends_before_start"
    TIME_UNREADABLE = "time_unreadable"
    NO_NOTICE = "no_notice"
    UNKNOWN_CUSTOMER = "unknown_customer"
    AMBIGUOUS_CUSTOMER = "ambiguous_customer"
    UNKNOWN_AGENT = "unknown_agent"
    NUMBER_NOT_RECOGNISED = "number_not_recognised"
    BUSINESS_ID_INVALID = "business_id_invalid"
    IDENTITY_CODE_MASKED = "identity_code_masked"
    UNKNOWN_FIELD = "unknown_field"
    VALUE_NOT_UNDERSTOOD = "value_not_understood"
    MEDIA_TYPE_DIFFERS = "media_type_differs"
    CONFLICTING_CONTENT = "conflicting_content"
    OVERDUE_ON_ARRIVAL = "overdue_on_arrival"
    OBJECT_MISSING = "object_missing"
    KEY_DAMAGED = "key_damaged"
    FACTS_ALTERED = "facts_altered"


class PartyKind(StrEnum):
    """Kinds of address a party is reached by (vCon party parameters ``tel``, ``mailto``; handle for chats)."""

    TEL = "tel"
    MAILTO = "mailto"
    HANDLE = "handle"


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """One side of a communication. ``value`` is normalised (E.164, lower-case address) or None when it could not be
    recognised; ``as_sent`` is what the source wrote, with identity codes masked."""

    kind: PartyKind | None = None
    value: str | None = None
    as_sent: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerKey:
    """How a source names the customer: at most one of customer number, Y-tunnus, our own id is needed."""

    number: str | None = None
    business_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What a source says of one communication, understood and normalised; the content follows as a stream.

    ``source_ref`` is the source's own id (at most 255 characters): with the source it makes an upload idempotent.
    ``sha256`` (lower-case hex) and ``length`` (bytes) are verified when given. ``extra`` is kept sealed, unread.
    """

    source_ref: str
    channel: Channel
    direction: Direction
    started_at: datetime
    ended_at: datetime | None = None
    customer: CustomerKey = field(default_factory=CustomerKey)
    remote: Party | None = None
    local: Party | None = None
    agent: str | None = None
    team: str | None = None
    queue: str | None = None
    case_ref: str | None = None
    tags: frozenset[str] = frozenset()
    media_type: str | None = None
    filename: str | None = None
    subject: str | None = None
    notice_ref: str | None = None
    sha256: str | None = None
    length: int | None = None
    answered: bool | None = None
    participants: tuple[Party, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    attention: frozenset[Attention] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", require_aware(self.started_at, "started_at"))
        if self.ended_at is not None:
            object.__setattr__(self, "ended_at", require_aware(self.ended_at, "ended_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamRecord:
    """One sealed stream of a communication as the database knows it. Lengths in bytes, digest in hex."""

    name: str
    generation: int
    object_name: str
    version_id: str | None
    plaintext_length: int
    ciphertext_length: int
    ciphertext_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PurposeRecord:
    """One purpose of one communication: until when, by which rule, and whether a person or objection ended it."""

    purpose: str
    needed_until: datetime
    rule: str
    cap_until: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Communication:
    """A stored communication: ids, times and classes for search and retention, and its sealed parts.

    ``wrapped_key`` is the data key under ``key_id``; both sealed parts open only with it. All three are None once the
    communication is shredded. ``facts_digest`` authenticates facts and ends (``domain.retention.attested``), whose changes
    ``facts_version`` counts.
    """

    id: str
    source_id: str
    source_ref_hash: bytes | None
    conflict_of: str | None
    channel: Channel
    direction: Direction
    started_at: datetime
    ended_at: datetime | None
    stored_at: datetime
    customer_id: str | None
    customer_kind: str | None
    contact_point_id: str | None
    agent_id: str | None
    team: str | None
    queue: str | None
    case_ref: str | None
    tags: frozenset[str]
    answered: bool | None
    media_type: str
    notice_ref: str
    balancing_ref: str
    length: int
    policy_version: str
    destroy_at: datetime
    purposes: tuple[PurposeRecord, ...]
    attention: frozenset[Attention]
    state: State
    key_id: str
    wrapped_key: bytes | None
    sealed_fields: bytes | None
    sealed_manifest: bytes | None
    streams: tuple[StreamRecord, ...]
    place_declared: str
    place_observed: str
    do_not_keep_at: datetime | None = None
    case_closed_at: datetime | None = None
    relationship_ended_at: datetime | None = None
    awaiting_purge: str | None = None
    facts_version: int = 1
    facts_digest: bytes | None = None

    def live_purposes(self, now: datetime) -> frozenset[str]:
        """The purposes whose end lies ahead of ``now`` and that nobody ended."""
        return frozenset(p.purpose for p in self.purposes if p.ended_at is None and p.needed_until > now)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds between start and end as the source told them, None when it told no end or one before the start."""
        if self.ended_at is None or self.ended_at < self.started_at:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def facts(self) -> Facts:
        """What the retention engine decides from (the same facts at ingest and, again, at purge). Statutory overrides
        stand beside the row (``services.retention`` adds them)."""
        return Facts(
            channel=self.channel,
            direction=self.direction,
            queue=self.queue,
            team=self.team,
            tags=self.tags,
            source=self.source_id,
            customer_kind=self.customer_kind,
            has_case=self.case_ref is not None,
            contact_at=contact_moment(self.started_at, self.ended_at, self.stored_at),
            stored_at=self.stored_at,
            duration_seconds=self.duration_seconds,
            answered=self.answered,
            empty=self.length == 0,
            quarantined=self.conflict_of is not None,
            case_closed_at=self.case_closed_at,
            relationship_ended_at=self.relationship_ended_at,
            ended_purposes={p.purpose: p.ended_at for p in self.purposes if p.ended_at is not None},
            do_not_keep_at=self.do_not_keep_at,
            caps={p.purpose: p.cap_until for p in self.purposes},
        )


def contact_moment(started_at: datetime, ended_at: datetime | None, stored_at: datetime) -> datetime:
    """When the contact took place, for retention: its end, else its start; a moment after storing counts as storing
    (a wrong clock at the source must not lengthen retention)."""
    latest = started_at if ended_at is None else max(started_at, ended_at)
    return min(latest, stored_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The archive's answer to a stored upload: it promises that the bytes with this digest are durable."""

    id: str
    sha256: str
    length: int
    stored_at: datetime
    destroy_at: datetime
    place: str
    needs_attention: tuple[Attention, ...]
    already_stored: bool = False

    @classmethod
    def of(cls, row: Communication, sha256: str) -> Receipt:
        """The receipt of a stored row; the digest (hex) is not in the row, it comes from the sealed manifest."""
        return cls(
            id=row.id,
            sha256=sha256,
            length=row.length,
            stored_at=row.stored_at,
            destroy_at=row.destroy_at,
            place=row.place_declared,
            needs_attention=tuple(sorted(row.attention)),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What is known of a source's id: the id of what is stored under it, or of what was and is destroyed."""

    stored: str | None = None
    destroyed: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchQuery:
    """Filters of a search; None means any. ``after`` is the keyset position (started_at, id) of the last row seen;
    rows come newest first. ``limit`` rows at most; ``ids`` are those that it may find at all."""

    customer_id: str | None = None
    contact_point_ids: tuple[str, ...] | None = None
    agent_id: str | None = None
    team: str | None = None
    queue: str | None = None
    channel: Channel | None = None
    direction: Direction | None = None
    tag: str | None = None
    case_ref: str | None = None
    started_from: datetime | None = None
    started_until: datetime | None = None
    live_purpose: str | None = None
    state: State | None = State.STORED
    needs_attention: bool | None = None
    unmatched: bool | None = None
    ids: frozenset[str] | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class VisibleSet:
    """One set of communications that an actor may see: those live for ``purpose`` (None: any) within the scope.
    ``teams``/``queues`` None mean no limit; ``agent_id`` limits to own calls; ``released_to`` to what was released."""

    purpose: str | None = None
    teams: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    agent_id: str | None = None
    released_to: str | None = None
