"""The metadata part: what is refused, what is kept and marked, and that no identity code gets through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.fi import hetu

from recvault.domain.communication import Attention, Channel, Direction, Draft, PartyKind
from recvault.domain.errors import InvalidInput, TooLarge
from recvault.intake.submission import FILENAME_LENGTH, NAME_LENGTH, SOURCE_ID_LENGTH, TAGS, parse_submission

_WRITTEN = re.compile(r"(?<!\d)\d{6}.\d{3}(?:[A-Za-z]|\d(?!\d))", re.ASCII)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CODE = "131052-308T"
CUSTOMER_ID = "01234567-89ab-7cde-8f01-23456789abcd"


def draft(raw: bytes | None = None, /, **fields: Any) -> Draft:
    whole = {
        "source_id": "s-1",
        "channel": "call",
        "direction": "inbound",
        "started_at": "2026-11-22T11:00:00Z",
    }
    return parse_submission(raw if raw is not None else json.dumps(whole | fields).encode(), now=NOW)


def test_a_plain_submission_needs_no_attention() -> None:
    told = draft(
        ended_at="2026-11-22T13:05:30+02:00",
        customer={"number": 10023, "business_id": "FI20774740", "id": CUSTOMER_ID},
        remote={"tel": "040 123 4501", "name": " Matti Virtanen "},
        local={"tel": "1101"},
        agent=1101,
        team="tuki",
        queue="laskutus",
        case_ref="CASE-9",
        tags=["reklamaatio", "reklamaatio", "b2b"],
        media_type="audio/wav",
        filename="../a\nb.wav",
        subject="Lasku",
        notice_ref="notice-3",
        sha256="AB" * 32,
        length=44,
        answered=True,
        participants=[{"mailto": "Liisa@ESIMERKKI.fi"}, {"handle": "Kalle"}],
        extra={"uniqueid": "1795352420.10", "score": 1.5},
    )
    assert told.attention == frozenset()
    assert told.started_at == NOW - timedelta(hours=1)
    assert told.ended_at == datetime(2026, 11, 22, 11, 5, 30, tzinfo=UTC)
    assert (told.customer.number, told.customer.business_id, told.customer.id) == (
        "10023",
        "2077474-0",
        CUSTOMER_ID,
    )
    assert told.remote is not None and told.local is not None
    assert (told.remote.value, told.remote.as_sent, told.remote.name) == (
        "+358401234501",
        "040 123 4501",
        "Matti Virtanen",
    )
    assert (told.local.kind, told.local.value) == (PartyKind.HANDLE, "1101")
    assert (told.agent, told.filename) == ("1101", "../a\u240ab.wav")
    assert told.tags == {"reklamaatio", "b2b"}
    assert (told.sha256, told.length, told.answered) == ("ab" * 32, 44, True)
    assert [p.value for p in told.participants] == ["liisa@esimerkki.fi", "kalle"]
    assert told.extra == {"uniqueid": "1795352420.10", "score": 1.5}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "UTF-8 at byte 0"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"{", "not JSON"),
        (b"[" * 60000, "deeper than 32"),
        (b'{"source_id":"1","extra":' + b'{"a":' * 32 + b"1" + b"}" * 33, "deeper than 32"),
        (b"{}", "source_id"),
        (b'{"source_id":"  "}', "source_id"),
        (b'{"source_id":null}', "source_id"),
        (b'{"source_id":true}', "source_id"),
        (b'{"source_id":["a"]}', "source_id"),
        (b'{"source_id":"a","source_id":"b"}', "source_id"),
        (json.dumps({"source_id": "x" * (SOURCE_ID_LENGTH + 1)}).encode(), "255"),
        (b'{"source_id":"a","sha256":"abc"}', "64 hexadecimal"),
        (b'{"source_id":"a","sha256":5}', "64 hexadecimal"),
        (b'{"source_id":"a","length":-1}', "length"),
        (b'{"source_id":"a","length":true}', "length"),
        (b'{"source_id":"a","length":1.5}', "length"),
        (b'{"source_id":"a","length":' + b"9" * 5000 + b"}", "length"),
    ],
)
def test_what_has_no_structure_is_refused_with_the_mend(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        parse_submission(raw, now=NOW)


def test_too_many_bytes_are_refused_and_just_enough_are_not() -> None:
    exact = b'{"source_id":"a"}'.ljust(65536)
    assert parse_submission(exact, now=NOW).source_ref == "a"
    with pytest.raises(TooLarge, match="65537 bytes, the limit is 65536"):
        parse_submission(exact + b" ", now=NOW)


def test_thirty_two_levels_are_read() -> None:
    raw = b'{"source_id":"1","extra":' + b'{"a":' * 31 + b'"[{"' + b"}" * 32
    assert "a" in parse_submission(raw, now=NOW).extra


def test_errors_repeat_nothing_that_was_sent() -> None:
    with pytest.raises(InvalidInput) as caught:
        draft(sha256="Matti " + CODE)
    assert "Matti" not in str(caught.value) and CODE not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1795341600, datetime(2026, 11, 22, 10, 0, tzinfo=UTC)),
        ("1795341600", datetime(2026, 11, 22, 10, 0, tzinfo=UTC)),
        (1795341600.25, datetime(2026, 11, 22, 10, 0, 0, 250000, tzinfo=UTC)),
        ("1795341600.25", datetime(2026, 11, 22, 10, 0, 0, 250000, tzinfo=UTC)),
        (1795341600250, datetime(2026, 11, 22, 10, 0, 0, 250000, tzinfo=UTC)),
        (1795341600250000, datetime(2026, 11, 22, 10, 0, 0, 250000, tzinfo=UTC)),
        ("2026-11-22t12:00:00.123456789+02:00", datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-11-22 10:00:00Z", datetime(2026, 11, 22, 10, 0, tzinfo=UTC)),
    ],
)
def test_times_that_telephony_sends(value: object, moment: datetime) -> None:
    told = draft(started_at=value)
    assert told.started_at == moment
    assert told.attention == frozenset()


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T12:00:00",
        "20261122130020",
        0,
        -5,
        "yesterday",
        True,
        [1],
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-12:00",
        "2026-13-45T00:00:00Z",
        10**40,
        "1e9",
        "22.11.2026 12.00",
    ],
)
def test_an_unreadable_start_becomes_now_and_stays_as_sent(value: object) -> None:
    told = draft(started_at=value)
    assert told.started_at == NOW
    assert told.attention == {Attention.TIME_UNREADABLE}
    kept = told.extra["not_understood"]
    assert isinstance(kept, dict)
    assert kept["started_at"] == value or kept["started_at"] == str(value)


def test_without_a_start_the_end_says_when_it_was() -> None:
    told = draft(started_at=None, ended_at="2026-11-22T09:00:00Z")
    assert told.started_at == told.ended_at == NOW - timedelta(hours=3)
    assert told.attention == {Attention.TIME_UNREADABLE}


def test_future_and_reversed_times_are_marked() -> None:
    assert draft(started_at="2026-11-22T12:10:00Z").attention == frozenset()
    assert draft(started_at="2026-11-22T12:10:01Z").attention == {Attention.STARTS_IN_FUTURE}
    assert draft(ended_at="2026-11-22T10:00:00Z").attention == {Attention.ENDS_BEFORE_START}
    late = draft(ended_at="2036-11-22T10:00:00Z")
    assert late.ended_at is None and late.attention == {Attention.VALUE_NOT_UNDERSTOOD}


def test_unknown_fields_and_words_are_kept_and_marked() -> None:
    told = draft(
        channel="pigeon",
        direction=7,
        speed=9,
        customer={"number": None, "colour": "red"},
        remote={"sip": "sip:a@b", "name": "A"},
        tags="x",
        answered="yes",
        participants={},
        team=["a"],
        extra={"unrecognised": "mine"},
    )
    assert (told.channel, told.direction) == (Channel.CALL, Direction.INBOUND)
    assert told.attention == {Attention.UNKNOWN_FIELD, Attention.VALUE_NOT_UNDERSTOOD}
    assert told.extra["unrecognised"] == "mine"
    assert told.extra["unrecognised (2)"] == {"speed": 9, "customer.colour": "red", "remote.sip": "sip:a@b"}
    assert told.extra["not_understood"] == {
        "channel": "pigeon",
        "direction": 7,
        "tags": "x",
        "answered": "yes",
        "participants": {},
        "team": ["a"],
    }


def test_a_key_given_twice_keeps_both_values() -> None:
    told = parse_submission(b'{"source_id":"a","queue":"x","queue":"y","extra":{"n":NaN,"i":1e999}}', now=NOW)
    assert told.queue == "y"
    assert told.extra["unrecognised"] == {"queue (earlier, 2)": "x"}
    assert {Attention.VALUE_NOT_UNDERSTOOD, Attention.UNKNOWN_FIELD} <= told.attention
    json.dumps(told.extra, allow_nan=False)


def test_an_asterisk_id_without_quotes_keeps_its_digits() -> None:
    assert parse_submission(b'{"source_id":1795352420.10}', now=NOW).source_ref == "1795352420.10"


@pytest.mark.parametrize("value", ["anonymous", "", "sip:anonymous@anonymous.invalid", '"Anonymous" <sip:unknown@x>'])
def test_a_withheld_number_is_no_fault(value: str) -> None:
    told = draft(remote={"tel": value})
    assert told.remote is not None and told.remote.value is None
    assert told.attention == frozenset()


@pytest.mark.parametrize("value", ["+358", "0401", "call me", "+3584012345010000", "9" * 500])
def test_a_number_that_is_none_is_kept_as_sent(value: str) -> None:
    told = draft(remote={"tel": value})
    assert told.remote is not None and told.remote.value in {None, "0401"}
    assert told.remote.as_sent == value[:320]
    assert (Attention.NUMBER_NOT_RECOGNISED in told.attention) == (value != "0401")


def test_parties_in_other_shapes() -> None:
    assert (bare := draft(remote="+358401234501").remote) is not None and bare.value == "+358401234501"
    assert (mail := draft(remote="Matti <M@X.fi>").remote) is not None
    assert (mail.kind, mail.value, mail.name) == (PartyKind.MAILTO, "m@x.fi", "Matti")
    two = draft(remote={"tel": "", "mailto": "a@b.fi", "handle": "h"})
    assert two.remote is not None and two.remote.value == "a@b.fi"
    assert two.extra["not_understood"] == {"remote.handle": "h"}
    assert draft(remote={}).remote is None
    assert draft(remote=5).attention == {Attention.VALUE_NOT_UNDERSTOOD}
    bad = draft(remote={"mailto": "not an address"})
    assert bad.remote is not None and bad.remote.value is None
    assert bad.attention == {Attention.VALUE_NOT_UNDERSTOOD}


def test_a_wrong_business_id_and_a_strange_customer_id() -> None:
    told = draft(customer={"business_id": "2077474-1", "id": "1"})
    assert (told.customer.business_id, told.customer.id) == (None, None)
    assert told.attention == {Attention.BUSINESS_ID_INVALID, Attention.VALUE_NOT_UNDERSTOOD}


def test_long_values_are_cut_and_kept_whole() -> None:
    name, many = "\u00e4" * 4096, [f"t{n}" for n in range(TAGS + 5)]
    told = draft(filename=name, remote={"name": "n" * 300}, tags=many)
    assert told.filename == name[:FILENAME_LENGTH]
    assert told.remote is not None and told.remote.name == "n" * NAME_LENGTH
    assert len(told.tags) == TAGS
    assert told.extra["not_understood"] == {
        "filename": name,
        "remote.name": "n" * 300,
        f"tags[{TAGS}:]": many[TAGS:],
    }
    assert told.attention == {Attention.VALUE_NOT_UNDERSTOOD}


def test_hostile_text_is_made_harmless() -> None:
    raw = rb'{"source_id":"a\u0000b","subject":"x\ud800\u202ey\u0007\r\nz","team":"a\u030a"}'
    told = parse_submission(raw, now=NOW)
    assert (told.source_ref, told.subject, told.team) == ("a\u2400b", "x\ufffdy  z", "\u00e5")


@pytest.mark.parametrize(
    "written",
    [
        "131052-308T",
        "131052-308t",
        "131052\u2212308T",
        "131052\u2011308T",
        "131052 - 308T",
        "131052%2D308T",
        "13105\u200b2-308T",
        "\uff11\uff13\uff11\uff10\uff15\uff12-308T",
        "131052-\x00308T",
        "131052Y308T",
    ],
)
def test_identity_codes_are_masked_wherever_they_stand(written: str) -> None:
    told = draft(
        source_id=f"call-{written}",
        customer={"number": written},
        remote={"mailto": f"{written}@x.fi", "name": f"M {written}"},
        local={"handle": written},
        queue=written,
        team=written,
        case_ref=f"A{written}",
        tags=[written],
        subject=written,
        filename=f"{written}.wav",
        extra={written: [{"deep": f"x {written} y"}]},
        **{f"unknown{written}": written},
    )
    assert Attention.IDENTITY_CODE_MASKED in told.attention
    assert unmasked(told) == []
    assert told.tags == {"******-****"} and told.case_ref == "A******-****"
    assert told.customer.number is None
    assert told.remote is not None and told.remote.value is None and told.remote.name == "M ******-****"
    assert told.local is not None and told.local.value is None


@pytest.mark.parametrize("before", ["\u00b2", "5\u200b", "\u0663", "x"])
def test_what_stands_before_a_code_does_not_hide_it(before: str) -> None:
    assert draft(case_ref=f"{before}131052-308t").case_ref == f"{before}******-****"


def test_a_masked_source_id_stays_the_same_and_stays_apart() -> None:
    first, again, other = (draft(source_id=s).source_ref for s in (f"1 {CODE}", f"1 {CODE}", f"2 {CODE}"))
    assert first == again != other
    assert first.startswith("hetu-")


@pytest.mark.parametrize("text", ["131052-308U", "rec-20261122-130020", "310252-308Y", "1131052-308T", "131052-3085"])
def test_what_is_no_identity_code_stays(text: str) -> None:
    told = draft(case_ref=text)
    assert told.case_ref == text
    assert told.attention == frozenset()


def test_a_cut_uncovers_no_code() -> None:
    digits_end = next(code for n in range(2, 900) if (code := _code(n))[-1].isdigit())
    told = draft(team="t" * (64 - 11) + digits_end + "9")
    assert unmasked(told) == []


# -- whatever comes ------------------------------------------------------------------------------------------


def _code(individual: int, century: str = "-") -> str:
    return f"131052{century}{individual:03}" + hetu._calc_checksum(f"131052{individual:03}")


codes = st.builds(_code, st.integers(2, 999), st.sampled_from("+-ABCDEFYXWVU"))
texts = st.one_of(
    st.text(max_size=20),
    st.builds(lambda a, code, b: a + code + b, st.text(max_size=5), codes, st.text(max_size=5)),
    st.sampled_from(
        ["+358401234501", "sip:1@x", "2026-11-22T10:00:00Z", "tel", "a@b.fi", "\ud800", "131052%2D308T@x.fi"]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
parties = st.one_of(
    values, st.fixed_dictionaries({}, optional=dict.fromkeys(("tel", "mailto", "handle", "name"), values))
)
known = dict.fromkeys(
    [
        "source_id",
        "channel",
        "direction",
        "started_at",
        "ended_at",
        "agent",
        "team",
        "queue",
        "case_ref",
        "tags",
        "media_type",
        "filename",
        "subject",
        "notice_ref",
        "answered",
        "extra",
    ],
    values,
)
documents = st.fixed_dictionaries(
    {},
    optional=known
    | {"customer": st.fixed_dictionaries({}, optional=dict.fromkeys(["number", "business_id", "id"], values))}
    | {"remote": parties, "local": parties, "participants": st.lists(parties, max_size=3)}
    | {"sha256": values, "length": values, "tags": st.lists(texts, max_size=4)},
)


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            if field.name != "sha256":
                yield from strings(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list | tuple | frozenset):
        for item in value:
            yield from strings(item)


def unmasked(told: Draft) -> list[str]:
    """Codes that a reader who knows nothing of the parser would find."""
    found = (m for text in strings(told) for m in _WRITTEN.findall(text))
    return [code for code in found if hetu.is_valid(code.upper(), allow_temporary=True)]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_submission(raw, now=NOW)


@settings(deadline=None)
@given(values)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        parse_submission(json.dumps(value).encode(), now=NOW)
    except InvalidInput:
        return


@settings(deadline=None)
@given(documents)
def test_any_document_gives_a_safe_draft_or_is_refused(document: dict[str, object]) -> None:
    try:
        told = parse_submission(json.dumps({"source_id": "a"} | document).encode(), now=NOW)
    except InvalidInput:
        return
    assert unmasked(told) == []
    assert 1 <= len(told.source_ref) <= SOURCE_ID_LENGTH
    json.dumps(told.extra, allow_nan=False, ensure_ascii=False).encode()
    for text in strings(told):
        text.encode()
        assert not any(character < " " for character in text)
    assert told == parse_submission(json.dumps({"source_id": "a"} | document).encode(), now=NOW)
