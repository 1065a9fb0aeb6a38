"""Why a communication ends when it does, line by line, for the person who asks and for the certificate's
reader.

The lines follow the engine's own steps and take every moment from its result, so they cannot tell another
story. They hold names of rules and reasons of the policy, nothing of the customer. ``code`` and the values
beside it are for programs and translations; ``text`` is English.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from recvault.domain.retention.engine import (
    BY_DO_NOT_KEEP,
    BY_NO_RULE,
    BY_STATUTE,
    Ends,
    PurposeEnd,
    evaluate,
    event_moment,
    winning_rules,
)
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.policy import Event, Policy, Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One step of the explanation; ``at`` in UTC."""

    code: str
    text: str
    purpose: str | None = None
    rule: str | None = None
    at: datetime | None = None


_EVENT_WORDS = {
    Event.CONTACT: "the contact",
    Event.CASE_CLOSED: "the closing of its case",
    Event.RELATIONSHIP_END: "the end of the customer relationship",
    Event.RELEASE_END: "the end of its release to trainees",
}


def explain(policy: Policy, facts: Facts, zone: tzinfo) -> tuple[Line, ...]:
    """Contact, then each purpose with its rule, event, cap and end, then what decides the destruction.

    ConfigurationError when no rule matches, as :func:`~recvault.domain.retention.evaluate`.
    """
    ends = evaluate(policy, facts, zone)
    winners = {str(rule.purpose): rule for rule in winning_rules(policy, facts)}
    lines = [Line(code="contact", text="the contact took place; periods run from here", at=facts.contact_at)]
    for end in ends.purposes:
        rule = winners.get(end.purpose)
        if rule is not None:
            lines += _purpose_lines(rule, end, policy, facts, ends, zone)
        elif end.rule == BY_NO_RULE:
            lines.append(
                Line(code="no-rule", text="it was stored for this purpose; no rule keeps it now", purpose=end.purpose)
            )
        lines += _closing_lines(end)
    lines += _destruction_lines(policy, facts, ends)
    return tuple(lines)


def _purpose_lines(
    rule: Rule, end: PurposeEnd, policy: Policy, facts: Facts, ends: Ends, zone: tzinfo
) -> Iterator[Line]:
    def line(code: str, text: str, at: datetime | None = None) -> Line:
        return Line(code=code, text=text, purpose=end.purpose, rule=rule.name, at=at)

    yield line("rule", f"{_terms(rule)}: {rule.why}")
    if rule.only:
        yield line("only", "this rule leaves no other purpose beside its own")
    for other in policy.rules:
        if other.purpose == rule.purpose and other is not rule and other.match.matches(facts):
            yield Line(
                code="outranked",
                text=f"matches as well, but {rule.name!r} goes before it",
                purpose=end.purpose,
                rule=other.name,
            )
    if facts.caps and end.cap_until < rule.cap.add_to(facts.contact_at, zone):
        yield line("fixed-cap", "its cap was fixed when it was stored, and is not passed", end.cap_until)
    cap_at = min(end.cap_until, rule.cap.add_to(facts.contact_at, zone))
    words = _EVENT_WORDS[rule.from_event]
    event_at = event_moment(rule.from_event, facts)
    if event_at is None:
        yield line("waiting", f"{words} has not happened; it ends at its cap", cap_at)
    elif rule.from_event is not Event.CONTACT:
        yield line("event", f"{words} counts", event_at)
    if cap_at == ends.ceiling_at:
        yield line("ceiling", "its cap reaches the ceiling of the policy", ends.ceiling_at)


def _terms(rule: Rule) -> str:
    floor = "" if rule.at_least.is_zero else f", at least {rule.at_least.text} from the contact"
    keep = f"{rule.keep.text} from {_EVENT_WORDS[rule.from_event]}"
    return f"{keep}{floor}, at most {rule.cap.text} from the contact"


def _closing_lines(end: PurposeEnd) -> Iterator[Line]:
    if end.ended_at is not None:
        yield Line(
            code="ended",
            text="a person or an objection ended this purpose, for good",
            purpose=end.purpose,
            rule=end.rule,
            at=end.ended_at,
        )
    yield Line(code="needed-until", text="needed until", purpose=end.purpose, rule=end.rule, at=end.needed_until)


def _destruction_lines(policy: Policy, facts: Facts, ends: Ends) -> Iterator[Line]:
    if facts.do_not_keep_at is not None:
        yield Line(
            code="do-not-keep",
            text=f"marked; {policy.do_not_keep.keep.text} to undo it: {policy.do_not_keep.why}",
            at=facts.do_not_keep_at,
        )
    for statute in facts.statutes:
        label = "a statute" if statute.mandatory else "a ground of legitimate interest, no obligation,"
        yield Line(code="statute", text=f"{label} keeps it", rule=statute.code, at=statute.until)
    by = f"with the last purpose, by {ends.decided_by!r}"
    if ends.decided_by == BY_DO_NOT_KEEP:
        by = "by the do-not-keep mark"
    elif ends.decided_by.startswith(BY_STATUTE):
        by = f"when {ends.decided_by.removeprefix(BY_STATUTE)!r} no longer keeps it"
    yield Line(
        code="destroy",
        text=f"to be destroyed {by}, under policy {ends.policy_version}",
        rule=ends.decided_by,
        at=ends.destroy_at,
    )
