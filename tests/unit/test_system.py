"""Clocks and randomness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from recvault.adapters.system import START, CountingEntropy, FixedClock, SystemClock, SystemEntropy


def test_the_system_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_system_entropy_gives_what_was_asked_for_and_never_the_same() -> None:
    entropy = SystemEntropy()
    assert [len(entropy.bytes(count)) for count in (0, 1, 12, 32)] == [0, 1, 12, 32]
    assert entropy.bytes(32) != entropy.bytes(32)


def test_a_fixed_clock_moves_when_told_to() -> None:
    clock = FixedClock()
    assert clock.now() == clock.now() == START
    assert clock.advance(timedelta(days=1)) == clock.now() == START + timedelta(days=1)
    clock.advance(timedelta(days=-2))
    assert clock.now() == START - timedelta(days=1)
    clock.set(datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_a_fixed_clock_refuses_naive_times() -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(naive)
    with pytest.raises(ValueError, match="time zone"):
        FixedClock().set(naive)


def test_counting_entropy_is_the_same_in_every_run_and_never_repeats_in_one() -> None:
    one, two = CountingEntropy(), CountingEntropy()
    first = [one.bytes(16) for _ in range(100)]
    assert first == [two.bytes(16) for _ in range(100)]
    assert len(set(first)) == 100
    assert CountingEntropy("other").bytes(16) not in first
    assert len(one.bytes(1000)) == 1000
