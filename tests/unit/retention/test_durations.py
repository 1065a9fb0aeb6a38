"""Periods: what is read, and where they end on a Finnish calendar."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recvault.domain.durations import NOTHING, Period, parse
from recvault.domain.errors import InvalidInput
from tests.unit.retention.samples import HELSINKI, moments, periods, steady


@pytest.mark.parametrize(
    ("text", "months", "days", "seconds"),
    [
        ("P6M", 6, 0, 0),
        ("P2Y", 24, 0, 0),
        ("P1Y2M3W4D", 14, 25, 0),
        ("P14D", 0, 14, 0),
        ("P2W", 0, 14, 0),
        ("PT3S", 0, 0, 3),
        ("PT1H1M1S", 0, 0, 3661),
        ("P1DT12H", 0, 1, 43_200),
        ("P0D", 0, 0, 0),
        ("P007D", 0, 7, 0),
        ("P100Y", 1200, 0, 0),
    ],
)
def test_reads(text: str, months: int, days: int, seconds: int) -> None:
    assert parse(text) == Period(months=months, days=days, seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "", "P", "PT", "P1", "1D", "P1DT", "p1d", "P-1D", "-P1D", "P1.5D", "P1,5D", "P1D ", "P1D\n", " P1D",
        "P1M1Y", "PT1S1H", "PT1D", "P1H", "P1S", "P\u0661D", "P101Y", "P36526D", "P" + "9" * 80 + "D", "six months",
    ],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


@pytest.mark.parametrize(
    "part", [{"months": -1}, {"days": -1}, {"seconds": -1}, {"months": 1201}, {"seconds": 36_525 * 86_400 + 1}]
)
def test_a_period_out_of_bounds_is_no_period(part: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a period"):
        Period(**part)


@steady
@given(periods)
def test_written_and_read_again(period: Period) -> None:
    assert parse(period.text) == period


def test_written_plainly() -> None:
    assert [parse(text).text for text in ("P2Y", "P2W", "PT36H", "P0M", "P1M1DT61S")] == [
        "P24M",
        "P14D",
        "PT36H",
        "P0D",
        "P1M1DT1M1S",
    ]


# Helsinki: +02:00 in winter, +03:00 in summer; forward on 29 March 2026 at 03:00, back on 25 October 2026 at 04:00.
@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        # the end of a month
        ("2026-01-31T12:00+02:00", "P1M", "2026-02-28T12:00+02:00"),
        ("2028-01-31T12:00+02:00", "P1M", "2028-02-29T12:00+02:00"),
        ("2026-08-31T12:00+03:00", "P6M", "2027-02-28T12:00+02:00"),
        ("2028-02-29T12:00+02:00", "P12M", "2029-02-28T12:00+02:00"),
        ("2028-02-29T12:00+02:00", "P48M", "2032-02-29T12:00+02:00"),
        ("2096-02-29T12:00+02:00", "P4Y", "2100-02-28T12:00+02:00"),
        ("2026-12-31T12:00+02:00", "P2M", "2027-02-28T12:00+02:00"),
        ("2026-01-31T12:00+02:00", "P1M1D", "2026-03-01T12:00+02:00"),
        # the calendar is Helsinki's: late in the evening of 31 January there, UTC has not left it either; after
        # midnight on 1 February there, UTC still writes January
        ("2026-01-31T22:30+00:00", "P1M", "2026-03-01T00:30+02:00"),
        ("2026-01-31T21:30+00:00", "P1M", "2026-02-28T23:30+02:00"),
        # the time of day stays across a change of clocks
        ("2026-03-28T12:00+02:00", "P1D", "2026-03-29T12:00+03:00"),
        ("2026-01-15T12:00+02:00", "P6M", "2026-07-15T12:00+03:00"),
        ("2026-10-24T12:00+03:00", "P1D", "2026-10-25T12:00+02:00"),
        # elapsed hours do not
        ("2026-03-28T12:00+02:00", "PT24H", "2026-03-29T13:00+03:00"),
        ("2026-10-24T12:00+03:00", "PT24H", "2026-10-25T11:00+02:00"),
        # 03:30 does not exist on 29 March: one hour on
        ("2026-03-28T03:30+02:00", "P1D", "2026-03-29T04:30+03:00"),
        ("2026-02-28T03:00+02:00", "P1M1D", "2026-03-29T04:00+03:00"),
        # 03:30 is there twice on 25 October: the first
        ("2026-10-24T03:30+03:00", "P1D", "2026-10-25T03:30+03:00"),
        ("2026-09-25T03:30+03:00", "P1M", "2026-10-25T03:30+03:00"),
        # from the second 03:30 a period of days starts at the same local time as from the first
        ("2026-10-25T03:30+02:00", "P1D", "2026-10-26T03:30+02:00"),
        ("2025-10-26T03:30+02:00", "P364D", "2026-10-25T03:30+03:00"),
        # hours count on from there
        ("2026-10-24T03:30+03:00", "P1DT1H", "2026-10-25T03:30+02:00"),
        # nothing added in the second 03:30 is nothing
        ("2026-10-25T03:30+02:00", "P0D", "2026-10-25T03:30+02:00"),
        ("2026-10-25T03:30+02:00", "PT1S", "2026-10-25T03:30:01+02:00"),
    ],
)
def test_ends_in_helsinki(start: str, period: str, end: str) -> None:
    result = parse(period).add_to(datetime.fromisoformat(start), HELSINKI)
    assert result == datetime.fromisoformat(end)
    assert result.tzinfo is UTC


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Period(days=1).add_to(datetime(2026, 1, 1), HELSINKI)  # noqa: DTZ001 - that is the point


def test_the_last_year() -> None:
    assert Period(months=11).add_to(datetime(9999, 1, 31, tzinfo=UTC), UTC) == datetime(9999, 12, 31, tzinfo=UTC)
    with pytest.raises(OverflowError):
        Period(months=12).add_to(datetime(9999, 1, 31, tzinfo=UTC), UTC)


@steady
@given(moments, periods, st.integers(-12, 14))
def test_only_the_moment_counts_not_how_it_is_written(moment: datetime, period: Period, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert period.add_to(elsewhere, HELSINKI) == period.add_to(moment, HELSINKI)


@steady
@given(moments, periods)
def test_nothing_ends_before_it_begins(moment: datetime, period: Period) -> None:
    end = period.add_to(moment, HELSINKI)
    assert end >= moment
    assert (end == moment) == period.is_zero


@steady
@given(moments, st.integers(1, 60))
def test_months_keep_day_and_time_or_clamp(moment: datetime, months: int) -> None:
    start = moment.astimezone(HELSINKI)
    end = Period(months=months).add_to(moment, HELSINKI).astimezone(HELSINKI)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == months
    assert end.day == min(start.day, monthrange(end.year, end.month)[1])
    # Only a skipped hour moves the time of day.
    assert end.time() == start.time() or (end.month == 3 and end.hour == 4 and start.hour == 3)


@steady
@given(moments, periods, periods)
def test_what_fits_is_never_longer(moment: datetime, one: Period, other: Period) -> None:
    if one.fits_within(other):
        assert one.add_to(moment, HELSINKI) <= other.add_to(moment, HELSINKI)


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("P6M", "P6M", True),
        ("P2Y", "P24M", True),
        ("P24M", "P2Y", True),
        ("P25M", "P24M", False),
        ("P14D", "P6M", True),
        ("P3M", "P92D", False),  # 92 days of the calendar may have an hour more or less
        ("P3M", "P93D", True),
        ("P3M", "P91D", False),
        ("P89D", "P3M", False),
        ("P88D", "P3M", True),
        ("P731D", "P24M", False),
        ("P24M", "P732D", True),
        ("PT3S", "P1D", True),
        ("PT24H", "P1D", False),
        ("PT23H", "P1D", True),
        ("P1D", "PT24H", False),
        ("P1D", "PT25H", True),
        ("P0D", "P0D", True),
        ("PT1S", "P0D", False),
    ],
)
def test_fits(one: str, other: str, *, fits: bool) -> None:
    assert parse(one).fits_within(parse(other)) is fits


def test_periods_have_no_order() -> None:
    with pytest.raises(TypeError):
        sorted([parse("P1M"), parse("P30D")])  # type: ignore[type-var]


def test_exact_is_for_clock_time() -> None:
    assert parse("PT1H3S").exact == timedelta(seconds=3603)
    assert NOTHING.exact == timedelta()
    with pytest.raises(ValueError, match="calendar"):
        _ = parse("P1D").exact
