"""The explanation tells the engine's story, line by line, and nothing of the customer."""

from __future__ import annotations

from hypothesis import given

from recvault.domain.durations import parse
from recvault.domain.retention import Event, Facts, Line, Policy, evaluate, explain
from tests.unit.retention.samples import (
    CONTACT,
    HELSINKI,
    SHIPPED,
    after,
    facts,
    policy,
    quick,
    rule,
    some_facts,
    some_policies,
)


def told(**changes: object) -> tuple[Line, ...]:
    return explain(SHIPPED, facts(**changes), HELSINKI)


def codes(lines: tuple[Line, ...]) -> list[tuple[str, str | None, str | None]]:
    return [(line.code, line.purpose, line.rule) for line in lines]


def test_an_open_case() -> None:
    lines = told(has_case=True)
    assert codes(lines) == [
        ("contact", None, None),
        ("rule", "verification", "case"),
        ("outranked", "verification", "call-sms-chat"),
        ("outranked", "verification", "anything-else"),
        ("waiting", "verification", "case"),
        ("ceiling", "verification", "case"),
        ("needed-until", "verification", "case"),
        ("rule", "training", "training"),
        ("needed-until", "training", "training"),
        ("destroy", None, "case"),
    ]
    assert lines[0].at == CONTACT
    assert lines[1].text == (
        "P6M from the closing of its case, at least P6M from the contact, at most P24M from the contact: "
        "disputes outlive the calls they are about"
    )
    assert lines[-1].at == after("P24M")


def test_a_closed_case() -> None:
    lines = {line.code: line for line in told(has_case=True, case_closed_at=after("P3M")) if line.rule == "case"}
    assert "waiting" not in lines
    assert lines["event"].at == after("P3M")
    assert lines["needed-until"].at == after("P9M")


def test_unanswered() -> None:
    lines = told(answered=False)
    assert ("only", "verification", "unanswered") in codes(lines)
    assert "training" not in {line.purpose for line in lines}


def test_do_not_keep() -> None:
    lines = told(do_not_keep_at=CONTACT)
    assert codes(lines)[-2:] == [("do-not-keep", None, None), ("destroy", None, "do-not-keep")]
    assert "the customer asked not to be recorded" in lines[-2].text
    assert lines[-1].at == after("P1D")


def test_an_ended_purpose_without_a_rule() -> None:
    lines = told(answered=False, ended_purposes={"training": after("P1D")})
    assert [line.code for line in lines if line.purpose == "training"] == ["ended", "needed-until"]


def test_every_event_has_words() -> None:
    for event in Event:
        lines = explain(policy(rule("any", from_event=event, cap=parse("P12M"))), facts(releases=(CONTACT,)), HELSINKI)
        assert lines[1].text.startswith("P6M from the ")


@quick
@given(some_policies(), some_facts())
def test_it_tells_what_the_engine_decided(rules: Policy, known: Facts) -> None:
    ends = evaluate(rules, known, HELSINKI)
    lines = explain(rules, known, HELSINKI)
    assert (lines[-1].code, lines[-1].at, lines[-1].rule) == ("destroy", ends.destroy_at, ends.decided_by)
    assert {line.purpose: line.at for line in lines if line.code == "needed-until"} == {
        end.purpose: end.needed_until for end in ends.purposes
    }
