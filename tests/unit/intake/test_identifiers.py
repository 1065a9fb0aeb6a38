"""Numbers, addresses and business ids in one form."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.communication import PartyKind
from recvault.intake.identifiers import (
    guess_party_address,
    parse_address,
    parse_business_id,
    parse_handle,
    parse_number,
    parse_tel,
)
from recvault.intake.text import has_identity_code, mask_identity_codes


@pytest.mark.parametrize(
    "written",
    [
        "+358401234501",
        "0401234501",
        "358401234501",
        "00358401234501",
        "+358 (0)40 123 4501",
        "040-1234 501",
        "040\u2011123\u00a04501",
        "\uff10\uff14\uff10 1234501",
        "\u200e+358401234501\u202c",
    ],
)
def test_one_number_however_written(written: str) -> None:
    assert parse_number(written) == "+358401234501"


@pytest.mark.parametrize("text", ["", "1101", "112", "+", "call 0401234501", "0401234501 0401234502", "+358" * 100])
def test_what_is_no_public_number(text: str) -> None:
    assert parse_number(text) is None


def test_the_region_says_where_a_number_belongs() -> None:
    assert parse_number("070-123 45 67", "SE") == "+46701234567"
    assert parse_number("0701234567", "XX") is None


@pytest.mark.parametrize(
    ("text", "kind", "value", "name"),
    [
        ("tel:+358401234501;ext=5", PartyKind.TEL, "+358401234501", None),
        ("sip:+358401234501@10.0.0.1;transport=udp", PartyKind.TEL, "+358401234501", None),
        ("sips:0401234501:secret@example.fi?x=y", PartyKind.TEL, "+358401234501", None),
        ('"Matti V" <sip:%2B358401234501@example.fi>', PartyKind.TEL, "+358401234501", "Matti V"),
        ("0401234501@10.0.0.1", PartyKind.TEL, "+358401234501", None),
        ("sip:Liisa@Example.fi", PartyKind.HANDLE, "liisa@example.fi", None),
        ("sip:1101@pbx", PartyKind.HANDLE, "1101", None),
        ("1101", PartyKind.HANDLE, "1101", None),
        ("*97", PartyKind.HANDLE, "*97", None),
        ("1234567890123", PartyKind.TEL, None, None),
    ],
)
def test_what_telephony_writes_for_a_number(text: str, kind: PartyKind, value: str | None, name: str | None) -> None:
    found = parse_tel(text)
    assert (found.kind, found.value, found.name, found.withheld) == (kind, value, name, False)


@pytest.mark.parametrize("text", ["", "anonymous", "sip:anonymous@anonymous.invalid", "Unknown", "<>", "tel:"])
def test_withheld(text: str) -> None:
    assert parse_tel(text).withheld


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Matti.Virtanen@Esimerkki.FI", "matti.virtanen@esimerkki.fi"),
        ("Matti <m@x.fi>", "m@x.fi"),
        ("mailto:m%2Bx@x.fi?subject=hei", "m+x@x.fi"),
        ("m\u00e4@\u00e4\u00e4ni.fi", "m\u00e4@xn--ni-uiaa.fi"),
        ("m@x.fi.", "m@x.fi"),
    ],
)
def test_addresses(text: str, value: str) -> None:
    assert parse_address(text) == value
    assert parse_address(value) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "@x.fi",
        "m@",
        "m@x",
        "a b@x.fi",
        "m@x..fi",
        "m@-x.fi",
        "m" * 65 + "@x.fi",
        "m@" + "x" * 64 + ".fi",
        "131052-308t@x.fi",
        "mailto:131052%2D308T@x.fi",
        "m@131052-308t.fi",
        "m\n@x.fi",
        "m@" + "x." * 5000 + "fi",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2077474-0", "2077474-0"),
        ("20774740", "2077474-0"),
        ("FI20774740", "2077474-0"),
        (" 2077474\u20130 ", "2077474-0"),
        ("2077474-1", None),
        ("131052-308T", None),
        ("", None),
        ("0" * 4000, None),
    ],
)
def test_business_ids(text: str, value: str | None) -> None:
    assert parse_business_id(text) == value


def test_the_older_seven_digits_take_a_zero() -> None:
    assert parse_business_id("0112038-9") == "0112038-9" == parse_business_id("112038-9")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_not(text: str) -> None:
    for value in (parse_number(text), parse_address(text), parse_handle(text), guess_party_address(text).value):
        assert value is None or (value and not has_identity_code(value))
    assert not has_identity_code(mask_identity_codes(text))


@settings(deadline=None)
@given(st.from_regex(r"\+?[0-9][0-9 ()./-]{4,16}", fullmatch=True))
def test_the_normal_form_is_its_own(text: str) -> None:
    number = parse_number(text)
    assert number is None or parse_number(number) == number
