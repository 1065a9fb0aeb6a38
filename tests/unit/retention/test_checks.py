"""Judging a policy: each problem is found where it is and nowhere else; what passes leaves nothing without an end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from recvault.domain.durations import NOTHING, Period, parse
from recvault.domain.retention import (
    CHANNELS,
    Ceiling,
    DoNotKeep,
    Event,
    Facts,
    Match,
    Policy,
    RecordRule,
    Reminder,
    Rule,
    check,
    evaluate,
)
from tests.unit.retention.samples import HELSINKI, SHIPPED, policy, rule, some_facts, steady

CALLS = Match(channels=frozenset({"call"}))
SOUND = (
    rule("any", keep=parse("P1M")),
    rule("channels", match=Match(channels=frozenset(CHANNELS)), priority=1),
)


def found(*more: Rule, **changes: object) -> set[tuple[str, str]]:
    return {(problem.code, problem.where) for problem in check(policy(*SOUND, *more, **changes))}


def test_the_shipped_policy_has_no_problem() -> None:
    assert check(SHIPPED) == ()


def test_the_sound_policy_of_these_tests_has_no_problem() -> None:
    assert found() == set()


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (rule("x", match=CALLS, priority=9, cap=NOTHING, keep=NOTHING, from_event=Event.RELEASE_END), "no-cap"),
        (rule("x", match=CALLS, priority=9, cap=parse("P25M")), "cap-over-ceiling"),
        (rule("x", match=CALLS, priority=9, cap=parse("P731D")), "cap-over-ceiling"),
        (rule("x", match=CALLS, priority=9, keep=parse("P7M"), cap=parse("P6M")), "keep-over-cap"),
        (rule("x", match=CALLS, priority=9, at_least=parse("P7M")), "at-least-over-cap"),
        (rule("x", match=CALLS, priority=9, keep=NOTHING, cap=parse("P1M")), "no-keep"),
        (rule("x", match=CALLS, priority=1), "tie"),
        (rule("x", match=CALLS, priority=9, purpose="request"), "unknown-purpose"),
        (rule("x", match=CALLS, priority=9, purpose="marketing"), "unknown-purpose"),
        (rule("x", match=Match(channels=frozenset({"fax"})), priority=9), "unknown-channel"),
        (rule("x", match=Match(directions=frozenset({"up"})), priority=9), "unknown-direction"),
        (rule("x", match=CALLS, priority=9, why=" "), "no-reason"),
        (rule("x", match=CALLS, priority=9, from_event=Event.CASE_CLOSED), "event-cannot-happen"),
        (rule("x", match=CALLS, priority=9, from_event=Event.RELEASE_END), "event-cannot-happen"),
        (rule("x", match=CALLS, priority=-1), "never-applies"),
        (rule("x", priority=9, only=True, purpose="training"), "only-everything"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_rule_is_found(bad: Rule, code: str) -> None:
    assert (code, "x") in found(bad)


@pytest.mark.parametrize("name", ["", "Call", "two words", "-x", "x-", "ääni", "x" * 65, "do-not-keep", "ended", "x\n"])
def test_a_bad_name(name: str) -> None:
    assert found(rule(name, match=CALLS, priority=9)) == {("bad-name", name)}


def test_a_name_twice() -> None:
    assert found(rule("channels", match=CALLS, priority=9)) == {("same-name", "channels")}


def test_equal_priorities_of_different_purposes_are_no_tie() -> None:
    assert found(rule("x", purpose="training", priority=0)) == set()


def test_only_rules_compete_across_purposes() -> None:
    one = rule("one", match=CALLS, priority=9, only=True)
    other = rule("other", match=CALLS, priority=9, only=True, purpose="training")
    assert found(one, other) == {("tie", "other")}


def test_an_only_rule_is_not_hidden_by_a_higher_rule_for_everything() -> None:
    hidden = rule("x", match=CALLS, priority=-5, only=True)
    assert found(hidden) == set()


def test_without_a_catch_all() -> None:
    assert [problem.code for problem in check(policy(SOUND[1]))] == ["no-catch-all"]
    only = replace(SOUND[0], only=True)
    assert "no-catch-all" in {problem.code for problem in check(policy(only, SOUND[1]))}
    training = replace(SOUND[0], purpose="training")
    assert "no-catch-all" in {problem.code for problem in check(policy(training, SOUND[1]))}


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_has_its_rule(channel: str) -> None:
    others = replace(SOUND[1], match=Match(channels=frozenset(CHANNELS) - {channel}))
    narrow = rule("narrow", match=Match(channels=frozenset({channel}), has_case=True), priority=8)
    problems = check(policy(SOUND[0], others, narrow))
    assert [problem.code for problem in problems] == ["channel-without-rule"]
    assert f"every {channel};" in problems[0].text


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"version": " "}, "no-version", "version"),
        ({"ceiling": Ceiling(keep=NOTHING, why="because")}, "no-ceiling", "ceiling"),
        ({"ceiling": Ceiling(keep=parse("P24M"), why="")}, "no-reason", "ceiling"),
        ({"do_not_keep": DoNotKeep(tag="", keep=parse("P1D"), why="because")}, "no-tag", "do_not_keep"),
        ({"do_not_keep": DoNotKeep(tag="x", keep=parse("P3Y"), why="because")}, "over-ceiling", "do_not_keep"),
        ({"do_not_keep": DoNotKeep(tag="x", keep=parse("P1D"), why="")}, "no-reason", "do_not_keep"),
    ],
)
def test_a_bad_frame_is_found(changes: dict[str, object], code: str, where: str) -> None:
    assert (code, where) in found(**changes)


def test_records_need_time_and_reason() -> None:
    records = policy().records
    rows = replace(
        records,
        access_log=replace(records.access_log, keep=NOTHING),
        customer=RecordRule(
            purpose=records.customer.purpose, keep=parse("P1M"), from_event=records.customer.from_event, why=""
        ),
        hold_review=Reminder(after=Period(), why="because"),
    )
    assert found(records=rows) == {
        ("no-keep", "records.access_log"),
        ("no-reason", "records.customer"),
        ("no-keep", "records.hold_review"),
    }


def test_every_text_says_what_to_do() -> None:
    broken = policy(rule("x", cap=NOTHING, why="", purpose="none"), rule("x", cap=NOTHING), version="")
    assert all(";" in problem.text for problem in check(broken))


@steady
@given(some_facts())
def test_what_passes_leaves_nothing_without_an_end(known: Facts) -> None:
    sound: Policy = policy(*SOUND)
    assert evaluate(sound, known, HELSINKI).purposes
