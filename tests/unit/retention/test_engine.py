"""The engine: what the shipped policy says of plain cases, and what no policy and no facts can make it break."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recvault.domain.communication import Channel, Direction
from recvault.domain.durations import Period, parse
from recvault.domain.errors import ConfigurationError
from recvault.domain.purpose import PURPOSES_WITH_RETENTION
from recvault.domain.retention import (
    CHANNELS,
    DIRECTIONS,
    Ends,
    Evaluator,
    Event,
    Facts,
    Match,
    Policy,
    PurposeEnd,
    StatuteEnd,
    evaluate,
)
from tests.unit.retention.samples import (
    CONTACT,
    HELSINKI,
    SHIPPED,
    after,
    facts,
    moments,
    policy,
    quick,
    rule,
    some_facts,
    some_policies,
    steady,
)


def ends(**changes: object) -> Ends:
    return evaluate(SHIPPED, facts(**changes), HELSINKI)


def by_purpose(result: Ends) -> dict[str, PurposeEnd]:
    return {end.purpose: end for end in result.purposes}


# -- the shipped policy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "verification", "rule_name", "training"),
    [
        ({}, "P6M", "call-sms-chat", "P3M"),
        ({"channel": "sms"}, "P6M", "call-sms-chat", "P3M"),
        ({"channel": "chat", "duration_seconds": None, "answered": None}, "P6M", "call-sms-chat", "P3M"),
        ({"channel": "sms", "duration_seconds": 0.0, "answered": None}, "P6M", "call-sms-chat", "P3M"),
        ({"channel": "email", "duration_seconds": None, "answered": None}, "P12M", "email", "P3M"),
        ({"tags": frozenset({"order", "vip"})}, "P12M", "order", "P3M"),
        ({"tags": frozenset({"Order"})}, "P6M", "call-sms-chat", "P3M"),
        ({"has_case": True}, "P24M", "case", "P3M"),
        ({"has_case": True, "channel": "email"}, "P24M", "case-email", "P3M"),
        ({"has_case": True, "tags": frozenset({"order"}), "channel": "email"}, "P24M", "case-order", "P3M"),
        ({"answered": False}, "P14D", "unanswered", None),
        ({"answered": False, "has_case": True, "tags": frozenset({"order"})}, "P14D", "unanswered", None),
        ({"duration_seconds": 2.999}, "P14D", "too-short", None),
        ({"duration_seconds": 0.0}, "P14D", "too-short", None),
        ({"duration_seconds": 3.0}, "P6M", "call-sms-chat", "P3M"),
        ({"duration_seconds": None}, "P6M", "call-sms-chat", "P3M"),
        ({"channel": "email", "empty": True}, "P14D", "empty", None),
        ({"quarantined": True}, "P3M", "quarantined", None),
        ({"quarantined": True, "answered": False, "empty": True}, "P3M", "quarantined", None),
        ({"channel": "video"}, "P1M", "anything-else", "P3M"),
    ],
)
def test_the_shipped_rules(changes: dict[str, object], verification: str, rule_name: str, training: str | None) -> None:
    result = ends(**changes)
    purposes = by_purpose(result)
    assert purposes["verification"].needed_until == after(verification)
    assert purposes["verification"].rule == rule_name
    assert ("training" in purposes) == (training is not None)
    if training is not None:
        assert purposes["training"].needed_until == after(training)
    assert result.destroy_at == max(end.needed_until for end in result.purposes)
    assert result.ceiling_at == after("P24M")
    assert result.policy_version == SHIPPED.version


@pytest.mark.parametrize(
    ("closed", "channel", "end"),
    [
        ("P3M", "call", "P9M"),
        ("P0D", "call", "P6M"),
        ("P20M", "call", "P24M"),
        ("P40M", "call", "P24M"),
        ("P3M", "email", "P12M"),
        ("P7M", "email", "P13M"),
    ],
)
def test_a_closed_case(closed: str, channel: str, end: str) -> None:
    result = ends(has_case=True, channel=channel, case_closed_at=after(closed))
    assert by_purpose(result)["verification"].needed_until == after(end)
    assert by_purpose(result)["verification"].cap_until == after("P24M")


def test_a_case_closed_before_the_call_counts_from_the_call() -> None:
    assert ends(has_case=True, case_closed_at=CONTACT - timedelta(days=700)).destroy_at == after("P6M")


@pytest.mark.parametrize(
    ("releases", "end"),
    [(["P5M"], "P5M"), (["P1M"], "P3M"), (["P5M", "P4M"], "P5M"), (["P30M"], "P12M")],
)
def test_a_release_lengthens_training_within_its_cap(releases: list[str], end: str) -> None:
    training = by_purpose(ends(releases=tuple(after(text) for text in releases)))["training"]
    assert (training.needed_until, training.rule) == (after(end), "released")


def test_do_not_keep_goes_before_everything() -> None:
    marked = CONTACT + timedelta(minutes=5)
    result = ends(has_case=True, do_not_keep_at=marked)
    assert (result.destroy_at, result.decided_by) == (after("P1D", marked), "do-not-keep")
    assert all(end.needed_until == result.destroy_at for end in result.purposes)


def test_do_not_keep_undone_is_as_if_it_had_not_been() -> None:
    marked = facts(do_not_keep_at=CONTACT)
    assert evaluate(SHIPPED, replace(marked, do_not_keep_at=None), HELSINKI) == ends()


def test_do_not_keep_on_what_is_due_already_does_not_lengthen() -> None:
    result = ends(answered=False, do_not_keep_at=after("P20D"))
    assert (result.destroy_at, result.decided_by) == (after("P14D"), "unanswered")


def test_an_ended_purpose_leaves_the_other() -> None:
    result = ends(ended_purposes={"verification": after("P1M")})
    assert (result.destroy_at, result.decided_by) == (after("P3M"), "training")
    assert by_purpose(result)["verification"].needed_until == after("P1M")
    assert result.live(after("P1D")) == {"training"}


def test_all_purposes_ended_destroys_at_the_latest_end() -> None:
    result = ends(ended_purposes={"verification": after("P1M"), "training": after("P2M")})
    assert result.destroy_at == after("P2M")
    assert result.live(CONTACT) == frozenset()


def test_an_end_that_lies_ahead_keeps_its_delay() -> None:
    """Fourteen days' delay for early destruction, decided when training has run out long since."""
    assert ends(ended_purposes={"verification": after("P5M")}).destroy_at == after("P5M")


def test_an_ended_purpose_is_remembered_where_no_rule_opens_it() -> None:
    result = ends(answered=False, ended_purposes={"training": after("P1D")})
    assert by_purpose(result)["training"].ended_at == after("P1D")
    assert result.destroy_at == after("P14D")
    assert result.live(CONTACT) == {"verification"}


def test_live_ends_with_the_purpose() -> None:
    result = ends()
    assert result.live(CONTACT) == {"verification", "training"}
    assert result.live(after("P3M") - timedelta(microseconds=1)) == {"verification", "training"}
    assert result.live(after("P3M")) == {"verification"}
    assert result.live(after("P6M")) == frozenset()


def test_a_contact_after_storing_counts_as_storing() -> None:
    late = facts(contact_at=CONTACT + timedelta(days=400), stored_at=CONTACT)
    assert evaluate(SHIPPED, late, HELSINKI).destroy_at == after("P6M")


# -- rules ---------------------------------------------------------------------------------------------------------


def test_relationship_end_only_shortens() -> None:
    while_it_lasts = policy(rule("any", keep=parse("P6M"), from_event=Event.RELATIONSHIP_END, cap=parse("P24M")))

    def end(at: datetime | None) -> datetime:
        return evaluate(while_it_lasts, facts(relationship_ended_at=at), HELSINKI).destroy_at

    assert end(None) == after("P24M")
    assert end(after("P2M")) == after("P8M")
    assert end(after("P23M")) == after("P24M")
    assert end(CONTACT - timedelta(days=1)) == after("P6M")


def test_of_several_only_rules_the_highest_stands_alone() -> None:
    rules = policy(
        rule("any"),
        rule("a", keep=parse("P5D"), priority=1, only=True),
        rule("b", keep=parse("P3D"), priority=2, only=True, purpose="training"),
        rule("c", keep=parse("P9M"), priority=3),
    )
    result = evaluate(rules, facts(), HELSINKI)
    assert [(end.purpose, end.rule) for end in result.purposes] == [("training", "b")]
    assert result.destroy_at == after("P3D")


@pytest.mark.parametrize(
    "condition",
    [
        Match(channels=frozenset({"email"})),
        Match(directions=frozenset({"outbound"})),
        Match(queues=frozenset({"sales"})),
        Match(teams=frozenset({"east"})),
        Match(tags=frozenset({"order"})),
        Match(sources=frozenset({"pbx"})),
        Match(customer_kinds=frozenset({"company"})),
        Match(has_case=True),
        Match(answered=True),
        Match(empty=True),
        Match(quarantined=True),
        Match(released=True),
        Match(shorter_than=Period(seconds=3)),
    ],
    ids=lambda condition: next(iter(condition.document())),
)
def test_an_unknown_fact_meets_no_condition(condition: Match) -> None:
    known = Facts(
        channel="email",
        direction="outbound",
        contact_at=CONTACT,
        stored_at=CONTACT,
        queue="sales",
        team="east",
        tags=frozenset({"order", "vip"}),
        source="pbx",
        customer_kind="company",
        has_case=True,
        duration_seconds=2.0,
        answered=True,
        empty=True,
        quarantined=True,
        releases=(CONTACT,),
    )
    unknown = Facts(channel="call", direction="inbound", contact_at=CONTACT, stored_at=CONTACT)
    assert condition.matches(known)
    assert not condition.matches(unknown)
    assert Match().matches(unknown)


def test_false_is_a_condition_too() -> None:
    assert Match(answered=False).matches(facts(answered=False))
    assert not Match(answered=False).matches(facts(answered=None))
    assert Match(has_case=False, empty=False, quarantined=False, released=False).matches(facts())


def test_all_conditions_must_hold() -> None:
    both = Match(channels=frozenset({"call"}), has_case=True)
    assert both.matches(facts(has_case=True))
    assert not both.matches(facts(has_case=True, channel="sms"))
    assert not both.matches(facts())


def test_shorter_than_is_clock_time() -> None:
    with pytest.raises(ValueError, match="calendar"):
        Match(shorter_than=Period(days=1))


def test_a_policy_that_leaves_something_out_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="add a verification rule that matches everything"):
        evaluate(policy(rule("mail", match=Match(channels=frozenset({"email"})))), facts(), HELSINKI)


# -- facts ---------------------------------------------------------------------------------------------------------


def test_channels_and_directions_are_those_of_communications() -> None:
    assert set(CHANNELS) == {str(channel) for channel in Channel}
    assert set(DIRECTIONS) == {str(direction) for direction in Direction}


@pytest.mark.parametrize(
    "changes",
    [
        {"contact_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point, here and below
        {"stored_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"case_closed_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"relationship_ended_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"do_not_keep_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"releases": (datetime(2026, 1, 1),)},  # noqa: DTZ001
        {"ended_purposes": {"training": datetime(2026, 1, 1)}},  # noqa: DTZ001
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_facts_refuse_naive_moments(changes: dict[str, object]) -> None:
    plain: dict[str, object] = {"stored_at": CONTACT}
    with pytest.raises(ValueError, match="time zone"):
        facts(**{**plain, **changes})


@pytest.mark.parametrize("purpose", ["request", "authority", "marketing"])
def test_only_purposes_with_retention_can_end(purpose: str) -> None:
    with pytest.raises(ValueError, match=purpose):
        facts(ended_purposes={purpose: CONTACT})


# -- what always holds ---------------------------------------------------------------------------------------------


@quick
@given(some_policies(), some_facts())
def test_there_is_always_an_end_within_cap_and_ceiling(rules: Policy, known: Facts) -> None:
    result = evaluate(rules, known, HELSINKI)
    assert result.ceiling_at == rules.ceiling.keep.add_to(known.contact_at, HELSINKI)
    assert result.destroy_at <= result.ceiling_at
    named = {each.name: each for each in rules.rules}
    assert result.purposes
    for end in result.purposes:
        assert end.needed_until <= min(result.destroy_at, end.cap_until)
        assert end.cap_until <= result.ceiling_at
        if end.rule in named:
            caps = [one.cap.add_to(known.contact_at, HELSINKI) for one in rules.rules if one.purpose == end.purpose]
            assert end.cap_until <= max(caps)
            assert end.needed_until <= named[end.rule].cap.add_to(known.contact_at, HELSINKI)
    assert max(end.needed_until for end in result.purposes) == result.destroy_at
    assert [end.purpose for end in result.purposes] == [
        purpose for purpose in PURPOSES_WITH_RETENTION if purpose in by_purpose(result)
    ]


@quick
@given(some_policies(), some_facts())
def test_nothing_ends_before_the_contact_unless_somebody_ended_it(rules: Policy, known: Facts) -> None:
    ended_by_people = [*known.ended_purposes.values(), *filter(None, (known.do_not_keep_at,))]
    assert evaluate(rules, known, HELSINKI).destroy_at >= min([known.contact_at, *ended_by_people])


@quick
@given(some_policies(), some_facts(), st.integers(-11, 13))
def test_the_same_facts_give_the_same_ends(rules: Policy, known: Facts, hours: int) -> None:
    """However the moments are written, in whatever order rules, releases and ended purposes stand."""
    zone = timezone(timedelta(hours=hours))
    again = replace(
        known,
        contact_at=known.contact_at.astimezone(zone),
        stored_at=known.stored_at.astimezone(zone),
        releases=tuple(reversed(known.releases)),
        ended_purposes=dict(reversed(list(known.ended_purposes.items()))),
    )
    shuffled = replace(rules, rules=tuple(reversed(rules.rules)))
    assert evaluate(shuffled, again, HELSINKI) == evaluate(rules, known, HELSINKI)
    assert shuffled.digest == rules.digest


@quick
@given(some_policies(), some_facts(), moments)
def test_the_end_of_a_relationship_only_shortens(rules: Policy, known: Facts, ended_at: datetime) -> None:
    lasting = evaluate(rules, replace(known, relationship_ended_at=None), HELSINKI)
    ended = evaluate(rules, replace(known, relationship_ended_at=ended_at), HELSINKI)
    assert ended.destroy_at <= lasting.destroy_at
    for purpose, end in by_purpose(ended).items():
        assert end.needed_until <= by_purpose(lasting)[purpose].needed_until


@quick
@given(some_policies(), some_facts(), moments)
def test_the_closing_of_a_case_only_shortens(rules: Policy, known: Facts, closed_at: datetime) -> None:
    open_case = evaluate(rules, replace(known, case_closed_at=None), HELSINKI)
    closed = evaluate(rules, replace(known, case_closed_at=closed_at), HELSINKI)
    assert closed.destroy_at <= open_case.destroy_at


@quick
@given(some_policies(), some_facts(), moments)
def test_do_not_keep_only_shortens_and_takes_its_day(rules: Policy, known: Facts, marked: datetime) -> None:
    without = evaluate(rules, replace(known, do_not_keep_at=None), HELSINKI)
    with_mark = evaluate(rules, replace(known, do_not_keep_at=marked), HELSINKI)
    assert with_mark.destroy_at == min(without.destroy_at, after("P1D", marked))


@quick
@given(some_policies(), some_facts(), st.sampled_from(PURPOSES_WITH_RETENTION), moments)
def test_ending_a_purpose_only_shortens(rules: Policy, known: Facts, purpose: str, ended_at: datetime) -> None:
    others = {name: at for name, at in known.ended_purposes.items() if name != purpose}
    before = evaluate(rules, replace(known, ended_purposes=others), HELSINKI)
    afterwards = evaluate(rules, replace(known, ended_purposes={**others, purpose: ended_at}), HELSINKI)
    assert afterwards.destroy_at <= before.destroy_at


@quick
@given(some_policies(), some_policies(), some_facts(), moments)
def test_an_ended_purpose_never_revives(rules: Policy, changed: Policy, known: Facts, now: datetime) -> None:
    """Not by a later event, nor by another policy, nor by what the engine itself wrote down."""
    first = evaluate(rules, known, HELSINKI)
    written = {end.purpose: end.ended_at for end in first.purposes if end.ended_at is not None}
    assert written == dict(known.ended_purposes)
    later = replace(known, ended_purposes=written, releases=(now,), case_closed_at=now, relationship_ended_at=None)
    for result in (first, evaluate(changed, later, HELSINKI)):
        assert result.live(now).isdisjoint(known.ended_purposes)


@quick
@given(some_policies(), some_facts(), moments)
def test_nothing_is_live_when_it_is_due(rules: Policy, known: Facts, now: datetime) -> None:
    result = evaluate(rules, known, HELSINKI)
    if now >= result.destroy_at:
        assert result.live(now) == frozenset()


@steady
@given(some_facts())
def test_the_shipped_policy_keeps_nothing_over_two_years(known: Facts) -> None:
    result = evaluate(SHIPPED, known, HELSINKI)
    assert result.destroy_at <= after("P24M", known.contact_at)
    assert result.destroy_at.tzinfo is UTC


# -- what was fixed at storing, and statutes -----------------------------------------------------------------------


@quick
@given(some_policies(), some_policies(), some_facts())
def test_no_later_policy_passes_a_cap_or_adds_a_purpose(first: Policy, second: Policy, at_storing: Facts) -> None:
    stored = evaluate(first, at_storing, HELSINKI)
    caps = {end.purpose: end.cap_until for end in stored.purposes}
    later = evaluate(second, replace(at_storing, caps=caps), HELSINKI)
    assert {end.purpose: end.cap_until for end in later.purposes} == caps | {
        end.purpose: end.cap_until for end in later.purposes if end.purpose not in caps
    }
    assert all(end.purpose in caps or end.rule == "ended" for end in later.purposes)
    assert later.destroy_at <= max([*caps.values(), at_storing.contact_at])
    assert all(
        end.needed_until <= end.cap_until for end in later.purposes if end.purpose in caps and end.rule != "ended"
    )


@quick
@given(some_policies(), some_facts())
def test_the_same_policy_says_the_same_of_what_it_stored(kept_by: Policy, at_storing: Facts) -> None:
    stored = evaluate(kept_by, at_storing, HELSINKI)
    caps = {end.purpose: end.cap_until for end in stored.purposes}
    again = evaluate(kept_by, replace(at_storing, caps=caps), HELSINKI)
    assert (again.destroy_at, again.decided_by) == (stored.destroy_at, stored.decided_by)
    assert again.purposes == stored.purposes


@quick
@given(some_policies(), some_facts(), moments, moments)
def test_a_statute_only_raises_and_opens_nothing(
    kept_by: Policy, known: Facts, until: datetime, other: datetime
) -> None:
    without = evaluate(kept_by, known, HELSINKI)
    statutes = (StatuteEnd(code="one", until=until), StatuteEnd(code="two", until=other, mandatory=False))
    raised = evaluate(kept_by, replace(known, statutes=statutes), HELSINKI)
    assert raised.destroy_at == max(without.destroy_at, until, other)
    assert raised.purposes == without.purposes
    assert raised.needed_until == without.destroy_at
    assert raised == evaluate(kept_by, replace(known, statutes=statutes[::-1]), HELSINKI)


@quick
@given(some_policies(), st.lists(some_facts(), max_size=6))
def test_the_evaluator_of_many_says_what_the_one_says(kept_by: Policy, many: list[Facts]) -> None:
    for limit in (1, 1000):
        evaluator = Evaluator(kept_by, HELSINKI, limit=limit)
        assert [evaluator.evaluate(one) for one in many] == [evaluate(kept_by, one, HELSINKI) for one in many]


def test_a_purpose_that_no_rule_keeps_any_more_is_not_forgotten() -> None:
    caps = {"verification": after("P6M"), "training": after("P3M")}
    only_verification = policy(rule("any"))
    result = evaluate(only_verification, facts(caps=caps), HELSINKI)
    training = by_purpose(result)["training"]
    assert (training.rule, training.needed_until, training.cap_until) == ("no-rule", CONTACT, after("P3M"))
    assert result.live(CONTACT) == {"verification"}
    nothing_left = evaluate(only_verification, facts(caps={"training": after("P3M")}), HELSINKI)
    assert (nothing_left.destroy_at, nothing_left.decided_by) == (CONTACT, "no-rule")
