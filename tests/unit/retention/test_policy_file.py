"""The policy file: the shipped one says what was decided, and anything unclear is refused by its place in the file."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given

from recvault.domain.durations import parse
from recvault.domain.errors import ConfigurationError
from recvault.domain.retention import Event, Policy, RecordEvent, RecordPurpose
from recvault.intake.policy_file import LONGEST_FILE_BYTES, parse_policy, policy_from_document
from tests.unit.retention.samples import SHIPPED, SHIPPED_FILE, quick, some_policies

TEXT = SHIPPED_FILE.read_text(encoding="utf-8")


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text.encode(), origin="retention.toml")
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


# -- the shipped file ----------------------------------------------------------------------------------------------


def test_it_reads_back_what_it_says() -> None:
    again = policy_from_document(SHIPPED.document(), origin="document")
    assert again.document() == SHIPPED.document()
    assert again.digest == SHIPPED.digest
    assert set(again.rules) == set(SHIPPED.rules)


# purpose, keep, event, cap: the table of defaults.
RULES = {
    "call-sms-chat": ("verification", "P6M", Event.CONTACT, "P6M"),
    "email": ("verification", "P12M", Event.CONTACT, "P12M"),
    "order": ("verification", "P12M", Event.CONTACT, "P12M"),
    "case": ("verification", "P6M", Event.CASE_CLOSED, "P24M"),
    "case-email": ("verification", "P6M", Event.CASE_CLOSED, "P24M"),
    "case-order": ("verification", "P6M", Event.CASE_CLOSED, "P24M"),
    "unanswered": ("verification", "P14D", Event.CONTACT, "P14D"),
    "too-short": ("verification", "P14D", Event.CONTACT, "P14D"),
    "empty": ("verification", "P14D", Event.CONTACT, "P14D"),
    "quarantined": ("verification", "P3M", Event.CONTACT, "P3M"),
    "anything-else": ("verification", "P1M", Event.CONTACT, "P1M"),
    "training": ("training", "P3M", Event.CONTACT, "P3M"),
    "released": ("training", "P0D", Event.RELEASE_END, "P12M"),
}


def test_the_rules_are_those_decided() -> None:
    assert {
        rule.name: (rule.purpose, rule.keep.text, rule.from_event, rule.cap.text) for rule in SHIPPED.rules
    } == RULES


def test_the_frame_and_the_records_are_those_decided() -> None:
    records = SHIPPED.records
    assert SHIPPED.ceiling.keep == parse("P24M")
    assert (SHIPPED.do_not_keep.tag, SHIPPED.do_not_keep.keep) == ("do-not-keep", parse("P1D"))
    assert {
        name: (getattr(records, name).purpose, getattr(records, name).keep, getattr(records, name).from_event)
        for name in ("call_details", "access_log", "request_register", "customer")
    } == {
        "call_details": (RecordPurpose.COMPLETENESS, parse("P3M"), RecordEvent.MADE),
        "access_log": (RecordPurpose.SECURITY, parse("P2Y"), RecordEvent.MADE),
        "request_register": (RecordPurpose.ACCOUNTABILITY, parse("P3Y"), RecordEvent.CLOSED),
        "customer": (RecordPurpose.CUSTOMER_REGISTER, parse("P6M"), RecordEvent.RELATIONSHIP_END),
    }
    assert (records.quarantine_alarm.after, records.hold_review.after) == (parse("P7D"), parse("P6M"))


def test_every_period_has_its_reason_beside_it() -> None:
    """In the file a comment above, except where a neighbour's comment speaks for both; in the policy always."""
    blocks = re.split(r"\n\n+", TEXT)
    bare = [block for block in blocks if re.search(r"^(keep|after) =", block, re.M) and not block.startswith("#")]
    assert [tomllib.loads(block)["rule"][0]["name"] for block in bare] == ["case-order"]
    assert all(rule.why for rule in SHIPPED.rules)


def test_what_changes_a_policy_changes_its_digest() -> None:
    texts = [
        TEXT,
        changed('version = "defaults-1"', 'version = "defaults-2"'),
        changed('keep = "P24M"', 'keep = "P25M"'),
        changed('tag = "do-not-keep"', 'tag = "stop"'),
        changed("priority = 10\n", "priority = 13\n"),
        changed("only = true\n", ""),
        changed("most complaints come within six months", "so we decided"),
        changed('after = "P7D"', 'after = "P8D"'),
        changed('match = { has_case = true }', 'match = { has_case = true, teams = ["east"] }'),
    ]  # fmt: skip
    digests = {parse_policy(text.encode()).digest for text in texts}
    assert len(digests) == len(texts)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_comments_and_ways_of_writing_do_not() -> None:
    other = changed('keep = "P24M"', 'keep = "P2Y" # two years').replace(
        '["call", "sms", "chat"]', '["chat", "sms", "call"]'
    )
    assert parse_policy(other.encode()).digest == SHIPPED.digest


@quick
@given(some_policies())
def test_any_policy_survives_its_document(policy: Policy) -> None:
    again = policy_from_document(policy.document(), origin="document")
    assert again.digest == policy.digest
    assert set(again.rules) == set(policy.rules)
    assert (again.ceiling, again.records) == (policy.ceiling, policy.records)


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version =", "verison =", "retention.toml: verison: unknown key; did you mean 'version'?"),
        ('version = "defaults-1"', "", "retention.toml: version: missing; add it"),
        ('version = "defaults-1"', "version = 1", "retention.toml: version: write a text in quotes"),
        ("[ceiling]", "[celling]", "retention.toml: celling: unknown key; did you mean 'ceiling'?"),
        (
            'keep = "P6M"\nfrom = "contact"',
            'kepe = "P6M"\nfrom = "contact"',
            "retention.toml: rule[call-sms-chat].kepe: unknown key; did you mean 'keep'?",
        ),
        (
            'match = { channels = ["email"] }',
            'match = { chanels = ["email"] }',
            "retention.toml: rule[email].match.chanels: unknown key; did you mean 'channels'?",
        ),
        (
            'match = { channels = ["email"] }',
            'match = { zzz = ["email"] }',
            "retention.toml: rule[email].match.zzz: unknown key; known here are channels, directions,",
        ),
        ('channels = ["email"]', 'channels = "email"', "rule[email].match.channels: write a list of texts"),
        ('channels = ["email"]', "channels = []", "rule[email].match.channels: write a list of texts"),
        ('channels = ["email"]', 'channels = ["email", 1]', "rule[email].match.channels: write a list of texts"),
        ("has_case = true", 'has_case = "yes"', "rule[case].match.has_case: write true or false"),
        ('shorter_than = "PT3S"', 'shorter_than = "P1D"', "too-short].match.shorter_than: write hours, minutes"),
        ("priority = 10\n", 'priority = "10"\n', "rule[call-sms-chat].priority: write a whole number"),
        ("priority = 10\n", "priority = true\n", "rule[call-sms-chat].priority: write a whole number"),
        ("priority = 10\n", "", "rule[call-sms-chat].priority: missing; add it"),
        ("only = true", "only = 1", "rule[unanswered].only: write true or false"),
        ('name = "email"\n', "", "rule[2].name: missing; add it"),
        (
            'from = "case_closed"',
            'from = "case_close"',
            "rule[case].from: write one of contact, case_closed, relationship_end, release_end; did you mean 'case",
        ),
        ('keep = "P14D"', 'keep = "14 days"', "rule[unanswered].keep: '14 days' is no period; write an ISO 8601"),
        ('keep = "P14D"', "keep = 14", "rule[unanswered].keep: write a text in quotes"),
        ('keep = "P2Y"', 'keep = "P200Y"', "records.access_log.keep: 'P200Y' cannot be used: a period is at most"),
        ('cap = "P24M"', "", "rule[case].cap: missing; add it"),
        ("[records.customer]", "[records.costumer]", "records.costumer: unknown key; did you mean 'customer'?"),
        ('purpose = "security"', 'purpose = "safety"', "records.access_log.purpose: write one of completeness,"),
        ('after = "P7D"', 'keep = "P7D"', "records.quarantine_alarm.keep: unknown key"),
        # what `check` finds
        ('channels = ["email"]', 'channels = ["e-mail"]', "email: there is no channel 'e-mail'; use one of call,"),
        ('cap = "P24M"', 'cap = "P25M"', "case: its cap P25M can pass the ceiling P24M; shorten it"),
        ("priority = 11\n", "priority = 10\n", "email: it has the same priority 10 as 'call-sms-chat'"),
        ('name = "anything-else"\n', 'name = "anything-else"\nmatch = { answered = true }\n', "no rule matches"),
    ],
)
def test_refuses_and_says_where(old: str, new: str, message: str) -> None:
    assert message in refusal(changed(old, new))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "retention.toml: ceiling: missing; add it"),
        ("version = ", "retention.toml: not TOML: "),
        (TEXT + '\n[ceiling]\nkeep = "P1M"', "retention.toml: not TOML: "),
        ("ceiling = 1", "retention.toml: ceiling: write a table [ceiling]"),
        (TEXT.replace("[[rule]]", "[[rules]]"), "retention.toml: rules: unknown key; did you mean 'rule'?"),
        ("#" * (LONGEST_FILE_BYTES + 1), "this is no retention policy"),
        ("version = " + "[" * 100_000, "retention.toml: n"),
    ],
    ids=["empty", "cut", "twice", "no-table", "rules", "long", "deep"],
)
def test_refuses_what_is_no_policy(text: str, message: str) -> None:
    assert message in refusal(text)


def test_rules_must_be_a_list_of_tables() -> None:
    start, rest = TEXT.split("[[rule]]", 1)
    records = rest[rest.index("[records.call_details]") :]
    assert "rule: write a list of tables [[rule]]" in refusal(f"{start}[rule]\nname = 'x'\n{records}")
    assert "rule: missing; add it" in refusal(start + records)


def test_refuses_what_is_not_utf_8() -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8 from byte 1"):
        parse_policy(b"#\xe4")


def test_every_problem_is_told_at_once() -> None:
    text = changed('cap = "P24M"', 'cap = "P25M"').replace("priority = 11\n", "priority = 10\n")
    message = refusal(text)
    assert "case: its cap" in message
    assert "email: it has the same priority" in message


def test_a_file_without_a_name_for_the_event_takes_none_for_granted() -> None:
    assert "rule[training].from: missing" in refusal(
        changed('purpose = "training"\nkeep = "P3M"\nfrom = "contact"', 'purpose = "training"\nkeep = "P3M"')
    )
