"""The table of statutes and how an end is reckoned, with the example of the Accounting Act that LAW names."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recvault.domain.durations import parse
from recvault.domain.errors import ConfigurationError, InvalidInput
from recvault.domain.retention.endings import DELAY, EndingKind, PurposeEnding
from recvault.domain.retention.standing import Standing, first_end
from recvault.domain.retention.statutes import (
    BUILT_IN,
    CODE,
    Basis,
    Override,
    Statute,
    financial_year_of,
    kept_until,
    table,
)
from recvault.intake.policy_file import parse_policy
from tests.unit.retention.samples import CONTACT, HELSINKI, SHIPPED_FILE, after, facts, moments

ACCOUNTING = table()["accounting-act"]


def local(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=HELSINKI).astimezone(UTC)


def accounting(contact: datetime, year_end: str | None) -> datetime:
    return kept_until(ACCOUNTING, contact_at=contact, placed_at=CONTACT, year_end=year_end, zone=HELSINKI)


@pytest.mark.parametrize(
    ("contact", "year_end", "last_day"),
    [
        (local(2016, 11, 3), "04-30", 2023),  # financial year to 30 April 2017 -> 31 December 2023
        (local(2016, 11, 3), "2017-04-30", 2023),
        (local(2017, 4, 30), "04-30", 2023),
        (local(2017, 5, 1), "04-30", 2024),
        (local(2026, 3, 1), "12-31", 2032),
        (datetime(2026, 12, 31, 21, 59, tzinfo=UTC), "12-31", 2032),
        (datetime(2026, 12, 31, 22, 0, tzinfo=UTC), "12-31", 2033),  # midnight in Helsinki
        (local(2023, 2, 28), "02-29", 2029),
        (local(2024, 2, 29), "02-28", 2030),  # the last of February, whatever its number
        (local(2024, 3, 1), "02-28", 2031),
    ],
)
def test_six_years_from_the_end_of_the_calendar_year(contact: datetime, year_end: str, last_day: int) -> None:
    assert accounting(contact, year_end) == local(last_day + 1, 1, 1)


@pytest.mark.parametrize("year_end", [None, "", "13-01", "00-10", "04-31", "2017-13-01", "4-30", "30.4.", "0000-12-31"])
def test_a_financial_year_must_have_a_last_day(year_end: str | None) -> None:
    with pytest.raises(InvalidInput, match="12-31"):
        accounting(CONTACT, year_end)


@given(moments, st.dates(date(2000, 1, 1), date(2030, 12, 31)))
def test_the_financial_year_of_a_contact_ends_within_a_year(contact: datetime, day: date) -> None:
    on = contact.astimezone(HELSINKI).date()
    ends = financial_year_of(on, f"{day:%m-%d}")
    assert on <= ends
    assert (ends - on).days <= 366


def test_mifid_counts_from_the_contact_and_claims_from_the_placing() -> None:
    placed = after("P4M")
    for code, keep, start in (
        ("mifid-5", "P5Y", CONTACT),
        ("mifid-7", "P7Y", CONTACT),
        ("defence-of-claims", "P3Y", placed),
    ):
        end = kept_until(table()[code], contact_at=CONTACT, placed_at=placed, year_end=None, zone=HELSINKI)
        assert end == after(keep, start)


def test_the_table_names_its_sources_and_tells_law_from_interest() -> None:
    assert all(CODE.fullmatch(one.code) and one.source and one.name for one in BUILT_IN)
    assert {one.code for one in BUILT_IN if not one.mandatory} == {"defence-of-claims"}
    assert len(table()) == len(BUILT_IN)


OWN = """
[[statute]]
code = "{code}"
name = "Records of energy contracts"
keep = "{keep}"
from = "contact"
mandatory = true
source = "{source}"
"""


def read(**changes: str) -> tuple[Statute, ...]:
    values = {"code": "energy", "keep": "P3Y", "source": "an act, its section"} | changes
    return parse_policy(SHIPPED_FILE.read_bytes() + OWN.format(**values).encode()).statutes


def test_own_entries_stand_in_the_policy_file_and_its_digest() -> None:
    (own,) = read()
    assert own == Statute(
        code="energy",
        name="Records of energy contracts",
        keep=parse("P3Y"),
        basis=Basis.CONTACT,
        source="an act, its section",
    )
    assert table([own])["energy"] is own
    shipped = parse_policy(SHIPPED_FILE.read_bytes())
    assert "statute" not in shipped.document()
    assert parse_policy(SHIPPED_FILE.read_bytes() + OWN.format(code="x", keep="P1Y", source="y").encode()).digest != (
        shipped.digest
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "mifid-5"}, "give it another"),
        ({"code": "No Code"}, "rename it"),
        ({"keep": "P0D"}, "how long the statute demands"),
        ({"source": " "}, "act and section"),
    ],
)
def test_own_entries_with_problems(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(**changes)


def override(**changes: object) -> Override:
    values: dict[str, object] = {
        "id": "o",
        "communication_id": "c",
        "customer_id": None,
        "statute": ACCOUNTING,
        "year_end": "12-31",
        "reason": "voucher",
        "placed_by": "a",
        "approved_by": "b",
        "placed_at": CONTACT,
    }
    return Override(**(values | changes))  # type: ignore[arg-type]


def test_an_override_covers_one_thing() -> None:
    with pytest.raises(ValueError, match="either"):
        override(customer_id="d")
    with pytest.raises(ValueError, match="zone"):
        override(placed_at=datetime(2026, 1, 1))  # noqa: DTZ001 - it is refused


def ending(purpose: str, at: datetime, **changes: object) -> PurposeEnding:
    values: dict[str, object] = {
        "id": "e",
        "purpose": purpose,
        "kind": EndingKind.PERSON,
        "customer_id": None,
        "reason": "done",
        "placed_by": "a",
        "approved_by": "b",
        "placed_at": CONTACT,
        "ends_at": at,
    }
    return PurposeEnding(**(values | changes))  # type: ignore[arg-type]


def test_of_several_ends_the_first_counts_in_any_order() -> None:
    early, late = ending("training", CONTACT), ending("training", CONTACT + DELAY)
    known = facts(ended_purposes={"verification": after("P1M")})
    for order in ((early, late), (late, early)):
        over = Standing(endings=order, overrides=(override(),)).over(known, HELSINKI)
        assert over.ended_purposes == {"verification": after("P1M"), "training": CONTACT}
        assert [one.code for one in over.statutes] == ["accounting-act"]
        assert first_end(order, "training") == CONTACT
    assert first_end((early,), "verification") is None
    assert late.open_at(CONTACT) and not late.open_at(CONTACT + DELAY)
    assert not ending("training", CONTACT + DELAY, withdrawn_at=CONTACT, withdrawn_by="a").open_at(CONTACT)
