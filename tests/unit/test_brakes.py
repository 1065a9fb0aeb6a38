"""The rules of suspensions and forecasts, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recvault.domain.brakes import Forecast, GuardLimits, Surprise, Suspension, latest_alone, nothing_foreseen

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def suspension(begin: int, end: int, *, ended: int | None = None) -> Suspension:
    return Suspension(
        id=str(begin),
        reason="r",
        placed_by="somebody",
        placed_at=NOW + begin * DAY,
        until=NOW + end * DAY,
        ended_at=None if ended is None else NOW + ended * DAY,
        ended_by=None if ended is None else "somebody",
    )


def test_a_suspension_stands_until_its_time_or_its_end() -> None:
    assert suspension(-1, 1).stands(NOW)
    assert not suspension(-1, 0).stands(NOW)
    assert not suspension(-1, 1, ended=0).stands(NOW)
    with pytest.raises(ValueError, match="zone"):
        Suspension(id="1", reason="r", placed_by="p", placed_at=datetime(2026, 1, 1), until=NOW)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("earlier", "latest"),
    [
        ([], 7),
        ([suspension(-3, 0, ended=0)], 4),
        ([suspension(-7, 0, ended=0)], 0),
        ([suspension(-20, -13, ended=-13)], 7),
        ([suspension(-10, -6, ended=-6)], -3),
        ([suspension(-14, -7, ended=-7)], 7),
        ([suspension(-12, -9, ended=-9), suspension(-5, -2, ended=-2)], -5),
        ([suspension(-20, -13, ended=-13), suspension(-5, -2, ended=-2)], 2),
    ],
)
def test_one_person_suspends_for_seven_days_in_a_row(earlier: list[Suspension], latest: int) -> None:
    assert latest_alone(earlier, NOW) == NOW + latest * DAY


def forecast(*counts: int) -> Forecast:
    return Forecast(
        number=1, made_at=NOW, edges=tuple(NOW + number * DAY for number in range(len(counts))), counts=counts
    )


def test_a_forecast_is_read_up_to_the_moment() -> None:
    made = forecast(5, 10, 20)
    assert made.edges_until(NOW) == (NOW,)
    assert made.edges_until(NOW + DAY / 2) == (NOW, NOW + DAY / 2)
    assert made.edges_until(NOW + DAY) == (NOW, NOW + DAY)
    assert made.edges_until(NOW + 9 * DAY) == (NOW, NOW + DAY, NOW + 2 * DAY, NOW + 9 * DAY)


@pytest.mark.parametrize(
    ("counted", "unforeseen", "foreseen"),
    [
        ([5], 0, 5),
        ([0, 3], 0, 15),
        ([6, 10], 1, 15),
        ([0, 12], 2, 15),  # what was destroyed of one day excuses nothing in another
        ([5, 10, 20, 7], 7, 35),
    ],
)
def test_only_what_is_more_than_foreseen_is_a_surprise(counted: list[int], unforeseen: int, foreseen: int) -> None:
    assert forecast(5, 10, 20).compare(counted) == Surprise(unforeseen=unforeseen, foreseen=foreseen)


def test_a_surprise_stops_beyond_both_limits() -> None:
    limits = GuardLimits(percent=10, items=20)
    assert not Surprise(unforeseen=20, foreseen=0).stops(limits)
    assert Surprise(unforeseen=21, foreseen=0).stops(limits)
    assert not Surprise(unforeseen=100, foreseen=1000).stops(limits)
    assert Surprise(unforeseen=101, foreseen=1000).stops(limits)
    assert nothing_foreseen([15, 6]).stops(limits)


def test_a_forecast_that_contradicts_itself_is_refused() -> None:
    for edges, counts in (((NOW,), (1, 2)), ((NOW + DAY,), (1,)), ((NOW, NOW), (1, 2)), ((), ())):
        with pytest.raises(ValueError, match="forecast"):
            Forecast(number=1, made_at=NOW, edges=edges, counts=counts)
