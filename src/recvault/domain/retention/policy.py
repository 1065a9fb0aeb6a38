"""A retention policy as a value: rules, ceiling, the do-not-keep rule, and the clocks of records other than
content.

Invariants: a rule always has a cap, so every end is concrete from the first day; equal policies have equal
digests, and the order in which rules are written means nothing (priorities decide, and
:func:`~recvault.domain.retention.check` refuses equal ones). The digest covers the reasons too: a person
signs what they have read.

Left to others: reading it from a file (``intake.policy_file``), applying it (``engine``), judging it
(``checks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256

from recvault.domain.durations import NOTHING, Period
from recvault.domain.ids import canonical_json
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.statutes import Statute

# The values a rule may match on. ``domain.communication`` stands above this module; a test holds them equal.
CHANNELS = ("call", "email", "sms", "chat")
DIRECTIONS = ("inbound", "outbound", "internal")


class Event(StrEnum):
    """From when a rule counts. Only the contact has always happened; the others wait, at most until the
    rule's cap."""

    CONTACT = "contact"
    CASE_CLOSED = "case_closed"
    RELATIONSHIP_END = "relationship_end"
    RELEASE_END = "release_end"


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """What a rule is for: every condition that is set must hold; of several values any one (tags too) is
    enough.

    An unknown fact meets no condition. ``shorter_than`` compares the duration, which must be known; it is
    written in hours, minutes or seconds. Nothing set matches everything.
    """

    channels: frozenset[str] = frozenset()
    directions: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    customer_kinds: frozenset[str] = frozenset()
    has_case: bool | None = None
    answered: bool | None = None
    empty: bool | None = None
    quarantined: bool | None = None
    released: bool | None = None
    shorter_than: Period | None = None

    def __post_init__(self) -> None:
        if self.shorter_than is not None:
            _ = self.shorter_than.exact

    @property
    def is_everything(self) -> bool:
        """Whether no condition is set."""
        return self == Match()

    def matches(self, facts: Facts) -> bool:
        """Whether every condition holds for ``facts``."""
        return self._matches_names(facts) and self._matches_states(facts) and self._matches_duration(facts)

    def _matches_names(self, facts: Facts) -> bool:
        pairs = (
            (self.channels, facts.channel),
            (self.directions, facts.direction),
            (self.queues, facts.queue),
            (self.teams, facts.team),
            (self.sources, facts.source),
            (self.customer_kinds, facts.customer_kind),
        )
        if any(wanted and value not in wanted for wanted, value in pairs):
            return False
        return not self.tags or not self.tags.isdisjoint(facts.tags)

    def _matches_states(self, facts: Facts) -> bool:
        pairs = (
            (self.has_case, facts.has_case),
            (self.answered, facts.answered),
            (self.empty, facts.empty),
            (self.quarantined, facts.quarantined),
            (self.released, bool(facts.releases)),
        )
        return all(wanted is None or wanted is value for wanted, value in pairs)

    def _matches_duration(self, facts: Facts) -> bool:
        if self.shorter_than is None:
            return True
        return facts.duration_seconds is not None and facts.duration_seconds < self.shorter_than.exact.total_seconds()

    def document(self) -> dict[str, object]:
        """The conditions that are set, as JSON values under the names of the policy file."""
        document: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, frozenset) and value:
                document[each.name] = sorted(value)
            elif isinstance(value, Period):
                document[each.name] = value.text
            elif isinstance(value, bool):
                document[each.name] = value
        return document


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How long what it matches is needed for one purpose, and why.

    Needed until ``keep`` after the event, at the earliest ``at_least`` after the contact, at the latest
    ``cap`` after the contact; until the event has happened, until the cap. Of the rules for one purpose the
    highest ``priority`` wins. A matching rule that is ``only`` leaves no other purpose beside its own (of
    several, the highest priority wins).
    """

    name: str
    match: Match
    purpose: str
    keep: Period
    from_event: Event
    cap: Period
    priority: int
    why: str
    at_least: Period = NOTHING
    only: bool = False

    def document(self) -> dict[str, object]:
        """The rule as JSON values under the names of the policy file."""
        return {
            "name": self.name,
            "match": self.match.document(),
            "purpose": str(self.purpose),
            "keep": self.keep.text,
            "from": self.from_event.value,
            "at_least": self.at_least.text,
            "cap": self.cap.text,
            "only": self.only,
            "priority": self.priority,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """No communication outlives ``keep`` after its contact without a statute or a hold, whatever its rules
    say."""

    keep: Period
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DoNotKeep:
    """The customer asked not to be recorded: ``keep`` after the mark everything ends; until then it can be
    undone. A communication that arrives with ``tag`` is marked as it is stored."""

    tag: str
    keep: Period
    why: str


class RecordPurpose(StrEnum):
    """Why records other than communications are kept."""

    COMPLETENESS = "completeness"
    SECURITY = "security"
    ACCOUNTABILITY = "accountability"
    CUSTOMER_REGISTER = "customer_register"


class RecordEvent(StrEnum):
    """From when such a record's clock runs."""

    MADE = "made"
    CLOSED = "closed"
    RELATIONSHIP_END = "relationship_end"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordRule:
    """How long one kind of record is kept. The ceiling, which is for communications, does not apply."""

    purpose: RecordPurpose
    keep: Period
    from_event: RecordEvent
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reminder:
    """When a person is told. It destroys nothing and ends nothing."""

    after: Period
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """The clocks of everything that is not a communication."""

    call_details: RecordRule
    access_log: RecordRule
    request_register: RecordRule
    customer: RecordRule
    quarantine_alarm: Reminder
    hold_review: Reminder


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A whole retention policy. ``version`` is what its author calls it; the digest is what it is. ``statutes`` are the
    company's own entries beside the built-in table; they keep nothing until an override is placed under one."""

    version: str
    ceiling: Ceiling
    do_not_keep: DoNotKeep
    rules: tuple[Rule, ...]
    records: Records
    statutes: tuple[Statute, ...] = ()

    def document(self) -> dict[str, object]:
        """The whole policy as JSON values, shaped like the policy file, rules in the order of their names. Without own
        statutes there is no such key: digests of policies from before stay what they were."""
        own = sorted(self.statutes, key=lambda statute: statute.code)
        return {
            "version": self.version,
            "ceiling": _flat(self.ceiling),
            "do_not_keep": _flat(self.do_not_keep),
            "rule": [rule.document() for rule in sorted(self.rules, key=lambda rule: rule.name)],
            "records": {each.name: _flat(getattr(self.records, each.name)) for each in fields(self.records)},
            **({"statute": [statute.document() for statute in own]} if own else {}),
        }

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of :meth:`document`, lower-case hex."""
        return sha256(canonical_json(self.document())).hexdigest()


def _flat(part: Ceiling | DoNotKeep | RecordRule | Reminder) -> Mapping[str, str]:
    names = {"from_event": "from"}
    document: dict[str, str] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        document[names.get(each.name, each.name)] = value.text if isinstance(value, Period) else str(value)
    return document
