"""What is wrong with a policy, before anybody signs it.

A policy without problems gives every communication an end: some rule always matches, never two with equal
right, and no rule promises more than its cap or the ceiling. Rules that could never apply are problems too:
whoever signs a rule believes in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import combinations

from recvault.domain.purpose import PURPOSES_WITH_RETENTION, Purpose
from recvault.domain.retention.engine import BY_DO_NOT_KEEP, BY_ENDED, BY_NO_RULE
from recvault.domain.retention.policy import CHANNELS, DIRECTIONS, Event, Match, Policy, RecordRule, Rule
from recvault.domain.retention.statutes import BUILT_IN, CODE, Statute

# Rule names end up in rows and certificates.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing to mend. ``code`` is stable; ``where`` is a rule's name or the section of the policy file."""

    code: str
    where: str
    text: str


def check(policy: Policy) -> tuple[Problem, ...]:
    """Every problem of the policy, in the order in which the file is read; empty when it may be signed."""
    return tuple(
        Problem(code=code, where=where, text=text)
        for code, where, text in (
            *_frame(policy),
            *(problem for rule in policy.rules for problem in _rule(rule, policy)),
            *_names(policy.rules),
            *_ties(policy.rules),
            *_hidden(policy.rules),
            *_coverage(policy.rules),
            *_records(policy),
            *_statutes(policy.statutes),
        )
    )


_Found = Iterator[tuple[str, str, str]]


def _frame(policy: Policy) -> _Found:
    if not policy.version.strip():
        yield "no-version", "version", "the policy has no version; give it one, every row will name it"
    if policy.ceiling.keep.is_zero:
        yield "no-ceiling", "ceiling", "the ceiling is nothing; write how long anything may be kept at most"
    if not policy.do_not_keep.tag.strip():
        yield (
            "no-tag",
            "do_not_keep",
            "there is no tag for recordings that the customer did not want; name one",
        )
    if not policy.do_not_keep.keep.fits_within(policy.ceiling.keep):
        yield "over-ceiling", "do_not_keep", "the time to undo passes the ceiling; shorten it"
    for where, why in (("ceiling", policy.ceiling.why), ("do_not_keep", policy.do_not_keep.why)):
        if not why.strip():
            yield "no-reason", where, "it gives no reason; write why in a sentence"


def _rule(rule: Rule, policy: Policy) -> _Found:
    name, ceiling = rule.name, policy.ceiling.keep
    if rule.purpose not in PURPOSES_WITH_RETENTION:
        known = ", ".join(PURPOSES_WITH_RETENTION)
        yield "unknown-purpose", name, f"nothing is kept for the purpose {rule.purpose!r}; use one of {known}"
    for what, wanted, known_values in (
        ("channel", rule.match.channels, CHANNELS),
        ("direction", rule.match.directions, DIRECTIONS),
    ):
        for value in sorted(wanted - set(known_values)):
            yield (
                f"unknown-{what}",
                name,
                f"there is no {what} {value!r}; use one of {', '.join(known_values)}",
            )
    if rule.cap.is_zero:
        yield (
            "no-cap",
            name,
            "it has no cap, so its end would not be known; write the longest time from contact",
        )
    elif not rule.cap.fits_within(ceiling):
        yield (
            "cap-over-ceiling",
            name,
            f"its cap {rule.cap.text} can pass the ceiling {ceiling.text}; shorten it",
        )
    for what, period in (("keep", rule.keep), ("at_least", rule.at_least)):
        if not period.fits_within(rule.cap):
            yield (
                f"{what.replace('_', '-')}-over-cap",
                name,
                (f"its {what} {period.text} can pass its cap {rule.cap.text}; change one of them"),
            )
    if rule.keep.is_zero and rule.from_event is not Event.RELEASE_END:
        yield "no-keep", name, "it keeps for no time at all; write how long after the event"
    if not rule.why.strip():
        yield "no-reason", name, "it gives no reason; write why in a sentence"
    yield from _event(rule)


def _event(rule: Rule) -> _Found:
    needs = {
        Event.CASE_CLOSED: ("has_case", rule.match.has_case),
        Event.RELEASE_END: ("released", rule.match.released),
    }
    condition, value = needs.get(rule.from_event, ("", True))
    if value is not True:
        yield (
            "event-cannot-happen",
            rule.name,
            (f"its {rule.from_event} may never come; add `{condition} = true` to its match"),
        )


def _names(rules: Iterable[Rule]) -> _Found:
    seen: set[str] = set()
    for rule in rules:
        if not _NAME.fullmatch(rule.name) or rule.name in (BY_DO_NOT_KEEP, BY_ENDED, BY_NO_RULE):
            yield (
                "bad-name",
                rule.name,
                "rename it: at most 64 small letters, digits and inner hyphens, not reserved",
            )
        if rule.name in seen:
            yield "same-name", rule.name, "two rules have this name; rename one"
        seen.add(rule.name)


def _ties(rules: Iterable[Rule]) -> _Found:
    for first, second in combinations(rules, 2):
        rivals = first.purpose == second.purpose or (first.only and second.only)
        if rivals and first.priority == second.priority:
            yield (
                "tie",
                second.name,
                (f"it has the same priority {second.priority} as {first.name!r}; give them different ones"),
            )


def _hidden(rules: tuple[Rule, ...]) -> _Found:
    for rule in rules:
        if not rule.match.is_everything:
            continue
        if rule.only:
            yield (
                "only-everything",
                rule.name,
                "it is `only` and matches everything; add a condition or drop `only`",
            )
        for other in rules:
            if other.purpose == rule.purpose and other.priority < rule.priority and not other.only:
                yield (
                    "never-applies",
                    other.name,
                    (f"{rule.name!r} matches everything and has a higher priority; give that one the lowest"),
                )


def _coverage(rules: tuple[Rule, ...]) -> _Found:
    verifying = [rule for rule in rules if rule.purpose == Purpose.VERIFICATION and not rule.only]
    if not any(rule.match.is_everything for rule in verifying):
        yield (
            "no-catch-all",
            "rule",
            ("something could arrive that no rule matches; add a short verification rule without conditions"),
        )
    for channel in CHANNELS:
        if not any(rule.match == Match(channels=rule.match.channels | {channel}) for rule in verifying):
            yield (
                "channel-without-rule",
                "rule",
                (f"no verification rule is for every {channel}; add one whose only condition is the channel"),
            )


def _records(policy: Policy) -> _Found:
    for each in fields(policy.records):
        part = getattr(policy.records, each.name)
        period = part.keep if isinstance(part, RecordRule) else part.after
        if period.is_zero:
            yield "no-keep", f"records.{each.name}", "its time is nothing; write how long"
        if not part.why.strip():
            yield "no-reason", f"records.{each.name}", "it gives no reason; write why in a sentence"


def _statutes(statutes: Iterable[Statute]) -> _Found:
    taken = {statute.code for statute in BUILT_IN}
    for statute in statutes:
        if not CODE.fullmatch(statute.code):
            yield "bad-name", statute.code, "rename it: at most 64 small letters, digits and inner hyphens"
        if statute.code in taken:
            yield "same-name", statute.code, "the table of statutes has this code; give it another"
        taken.add(statute.code)
        if statute.keep.is_zero:
            yield "no-keep", statute.code, "its time is nothing; write how long the statute demands"
        if not statute.name.strip() or not statute.source.strip():
            yield "no-source", statute.code, "it names no statute; write its name, and act and section as source"
