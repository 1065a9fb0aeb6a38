"""When a communication is no longer needed: facts and a policy in, the ends of its purposes out.

Invariants, whatever the facts:

1. There is always a ``destroy_at``; neither it nor any purpose's end lies past the ceiling, nor any end past
   its cap.
2. An event (a case closed, a relationship or a release ended) can only bring an end forward from the cap of
   its rule, never move it past. So the end of a relationship only shortens.
3. A purpose that was ended never counts beyond its end, and is never live again.
4. The do-not-keep mark never lets anything live longer than it would without.
5. Once it is stored (``facts.caps``), no later policy and no event lets a purpose pass the cap that was fixed then, nor
   adds a purpose that it was not stored for. That cap is the one of the rule that counts, or of the rule that would count
   once it was released to trainees, where the policy keeps what was released for longer.
6. Only a statutory override (``facts.statutes``) lets it stand longer than its purposes, ceiling and mark or not; it
   makes no purpose live.

For each purpose the matching rule with the highest priority wins, alone; ``checks`` refuses ties.
``destroy_at`` is the latest end of the purposes and overrides. :mod:`~recvault.domain.retention.explaining` tells why in
words, from the same steps.

Left to others: holds, restrictions and open requests, which freeze what is said here; how a statute's end is reckoned
(:mod:`~recvault.domain.retention.statutes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from recvault.domain.errors import ConfigurationError
from recvault.domain.ids import require_aware
from recvault.domain.purpose import PURPOSES_WITH_RETENTION
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.policy import Event, Policy, Rule

# What stands in place of a rule's name where no rule decided.
BY_DO_NOT_KEEP = "do-not-keep"
BY_ENDED = "ended"
BY_NO_RULE = "no-rule"
BY_STATUTE = "statute:"


@dataclass(frozen=True, kw_only=True, slots=True)
class PurposeEnd:
    """The end of one purpose. ``needed_until`` (never past ``cap_until``, the rule's own cap, ``ended_at`` or the whole's
    destruction) by ``rule``; ``cap_until`` as fixed at storing; ``ended_at`` when a person or an objection ended it."""

    purpose: str
    needed_until: datetime
    rule: str
    cap_until: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What a policy says of one communication. ``decided_by`` names the rule that sets ``destroy_at``, or
    ``do-not-keep``, or ``statute:CODE``; ``needed_until`` is the end without overrides. All moments in UTC."""

    destroy_at: datetime
    decided_by: str
    needed_until: datetime
    purposes: tuple[PurposeEnd, ...]
    ceiling_at: datetime
    policy_version: str

    def live(self, now: datetime) -> frozenset[str]:
        """The purposes that may still be named to open it at ``now``: not run out, and not ended by
        anybody."""
        now = require_aware(now, "now")
        return frozenset(end.purpose for end in self.purposes if end.ended_at is None and now < end.needed_until)


def evaluate(policy: Policy, facts: Facts, zone: tzinfo) -> Ends:
    """The end of each purpose and the moment of destruction; ``zone`` is the calendar that periods are
    counted on.

    ConfigurationError when no rule matches, which a policy that passed ``check`` cannot bring about.
    """
    return _evaluate(policy, winning_rules(policy, facts), facts, zone)


class Evaluator:
    """The same for many communications: which rules win is remembered for facts that match alike. ``limit`` kinds of
    facts at most, so that memory does not grow with rows."""

    def __init__(self, policy: Policy, zone: tzinfo, *, limit: int = 10_000) -> None:
        self._policy = policy
        self._zone = zone
        self._limit = limit
        self._lengths = sorted(
            {
                rule.match.shorter_than.exact.total_seconds()
                for rule in policy.rules
                if rule.match.shorter_than is not None
            }
        )
        self._winners: dict[tuple[object, ...], tuple[Rule, ...]] = {}

    def evaluate(self, facts: Facts) -> Ends:
        """What :func:`evaluate` says of them."""
        key = self._key(facts)
        winners = self._winners.get(key)
        if winners is None:
            winners = winning_rules(self._policy, facts)
            if len(self._winners) >= self._limit:
                self._winners.clear()
            self._winners[key] = winners
        return _evaluate(self._policy, winners, facts, self._zone)

    def _key(self, facts: Facts) -> tuple[object, ...]:
        """Everything that a rule can match on."""
        seconds = facts.duration_seconds
        return (
            facts.channel,
            facts.direction,
            facts.queue,
            facts.team,
            facts.tags,
            facts.source,
            facts.customer_kind,
            facts.has_case,
            facts.answered,
            facts.empty,
            facts.quarantined,
            bool(facts.releases),
            None if seconds is None else sum(seconds < length for length in self._lengths),
        )


def _evaluate(policy: Policy, matching: tuple[Rule, ...], facts: Facts, zone: tzinfo) -> Ends:
    # 1. One rule for each purpose it was stored for, and its end.
    winners = [rule for rule in matching if not facts.caps or str(rule.purpose) in facts.caps]
    ceiling_at = policy.ceiling.keep.add_to(facts.contact_at, zone)
    caps = facts.caps or _fixed_caps(policy, winners, facts, zone, ceiling_at)
    ends = [_purpose_end(rule, facts, zone, ceiling_at, caps) for rule in winners]
    # 2. The latest end is the end of the whole. (Of equal ones the first purpose is named.)
    needed_until, decided_by = facts.contact_at, BY_NO_RULE
    if ends:
        last = max(ends, key=lambda end: end.needed_until)
        needed_until, decided_by = last.needed_until, last.rule
    # 3. The do-not-keep mark goes before every rule, and never lengthens.
    if facts.do_not_keep_at is not None:
        marked = policy.do_not_keep.keep.add_to(facts.do_not_keep_at, zone)
        if marked < needed_until:
            needed_until, decided_by = marked, BY_DO_NOT_KEEP
    # 4. What was ended, or was fixed and has no rule now, is remembered, so that it comes back with no rule.
    ends += _remembered(facts, {end.purpose for end in ends}, needed_until)
    # 5. A statute keeps it beyond what it is needed for.
    destroy_at = needed_until
    for statute in sorted(facts.statutes, key=lambda statute: (statute.until, statute.code)):
        if statute.until > destroy_at:
            destroy_at, decided_by = statute.until, BY_STATUTE + statute.code
    return Ends(
        destroy_at=destroy_at,
        decided_by=decided_by,
        needed_until=needed_until,
        purposes=tuple(_within(end, needed_until) for end in sorted(ends, key=lambda end: _ORDER[end.purpose])),
        ceiling_at=ceiling_at,
        policy_version=policy.version,
    )


_ORDER = {str(purpose): position for position, purpose in enumerate(PURPOSES_WITH_RETENTION)}


def winning_rules(policy: Policy, facts: Facts) -> tuple[Rule, ...]:
    """The rule that counts for each purpose, in the order of the purposes; at least one.

    ConfigurationError when nothing matches.
    """
    matching = sorted((r for r in policy.rules if r.match.matches(facts)), key=lambda rule: rule.priority)
    alone = [rule for rule in matching if rule.only][-1:]
    # Later entries replace earlier ones: the highest priority of each purpose stays.
    best = {str(rule.purpose): rule for rule in alone or matching}
    winners = tuple(best[purpose] for purpose in _ORDER if purpose in best)
    if not winners:
        raise ConfigurationError(
            f"policy {policy.version} has no rule for a {facts.channel}; "
            "add a verification rule that matches everything"
        )
    return winners


def event_moment(event: Event, facts: Facts) -> datetime | None:
    """When the event happened, None when it has not. What happened before the contact counts as happening
    with it."""
    moment = {
        Event.CONTACT: facts.contact_at,
        Event.CASE_CLOSED: facts.case_closed_at,
        Event.RELATIONSHIP_END: facts.relationship_ended_at,
        Event.RELEASE_END: facts.releases[-1] if facts.releases else None,
    }[event]
    return None if moment is None else max(moment, facts.contact_at)


def _fixed_caps(
    policy: Policy, winners: Sequence[Rule], facts: Facts, zone: tzinfo, ceiling_at: datetime
) -> dict[str, datetime]:
    """What is fixed at storing for each purpose that it is stored for."""
    released = winning_rules(policy, replace(facts, releases=(facts.contact_at,)))
    wide = {str(rule.purpose): rule.cap.add_to(facts.contact_at, zone) for rule in released}
    caps = {str(rule.purpose): rule.cap.add_to(facts.contact_at, zone) for rule in winners}
    return {purpose: min(max(cap, wide.get(purpose, cap)), ceiling_at) for purpose, cap in caps.items()}


def _purpose_end(
    rule: Rule, facts: Facts, zone: tzinfo, ceiling_at: datetime, caps: Mapping[str, datetime]
) -> PurposeEnd:
    cap_at = rule.cap.add_to(facts.contact_at, zone)
    ruled = min(cap_at, ceiling_at)
    fixed = caps[str(rule.purpose)]
    cap_until = min(ruled, fixed)
    needed_until = cap_until
    event_at = event_moment(rule.from_event, facts)
    if event_at is not None:
        # Most rules keep from the contact until their cap: no need to reckon twice.
        same = event_at == facts.contact_at and rule.keep == rule.cap
        kept = cap_at if same else rule.keep.add_to(event_at, zone)
        if not rule.at_least.is_zero:
            kept = max(kept, rule.at_least.add_to(facts.contact_at, zone))
        needed_until = min(kept, cap_until)
    ended_at = facts.ended_purposes.get(str(rule.purpose))
    return PurposeEnd(
        purpose=str(rule.purpose),
        needed_until=needed_until if ended_at is None else min(needed_until, ended_at),
        rule=rule.name,
        cap_until=fixed,
        ended_at=ended_at,
    )


def _remembered(facts: Facts, known: set[str], needed_until: datetime) -> list[PurposeEnd]:
    ended, fixed = facts.ended_purposes, facts.caps
    return [
        PurposeEnd(
            purpose=purpose,
            needed_until=ended.get(purpose, facts.contact_at),
            rule=BY_ENDED if purpose in ended else BY_NO_RULE,
            cap_until=fixed[purpose] if purpose in fixed else min(ended[purpose], needed_until),
            ended_at=ended.get(purpose),
        )
        for purpose in {**fixed, **ended}
        if purpose not in known
    ]


def _within(end: PurposeEnd, needed_until: datetime) -> PurposeEnd:
    return end if end.needed_until <= needed_until else replace(end, needed_until=needed_until)
