"""Second factors and counters of failed sign-ins in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.attempts import Counted, Secret, Tally
from recvault.domain.errors import Conflict
from recvault.domain.factors import Change, ChangeNotice, Totp
from tests.contract import database_kit as kit
from tests.contract.database_kit import NOW, Aside

WAITING = Totp(user_id="user-1", active=False, sealed=b"s" * 60, created_at=NOW)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def tally(number: int, failures: int = 0, **changes: object) -> Tally:
    made = Tally(
        key=bytes([number]) * 16,
        secret=Secret.PASSWORD,
        counted=Counted.ACCOUNT,
        failures=failures,
        last_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_an_app_waits_is_confirmed_and_replaced(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.factors.put_waiting(replace(WAITING, sealed=b"o" * 60))
        unit.factors.put_waiting(WAITING)
        assert unit.factors.totp("user-1", active=False) == WAITING
        assert not unit.factors.activate(replace(WAITING, sealed=b"o" * 60), 7)
        assert unit.factors.activate(WAITING, 7)
        assert unit.factors.totp("user-1", active=True) == replace(WAITING, active=True, last_step=7)
        assert unit.factors.totp("user-1", active=False) is None
        newer = replace(WAITING, sealed=b"n" * 60)
        unit.factors.put_waiting(newer)
        assert unit.factors.activate(newer, 9)
        assert unit.factors.totp("user-1", active=True) == replace(newer, active=True, last_step=9)
        assert unit.factors.drop_totp("user-1") and not unit.factors.drop_totp("user-1")
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.factors.put_waiting(replace(WAITING, user_id="nobody"))


def test_a_step_counts_once_and_none_before_it(database: SqlDatabase) -> None:
    with database.begin() as unit:
        assert not unit.factors.use_step("user-1", 8)
        unit.factors.put_waiting(WAITING)
        assert unit.factors.activate(WAITING, 7)
        assert [unit.factors.use_step("user-1", step) for step in (7, 6, 8, 8, 7, 9)] == [
            False, False, True, False, False, True,
        ]  # fmt: skip


def test_of_two_transactions_with_one_code_one_uses_it(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.factors.put_waiting(WAITING)
        unit.factors.activate(WAITING, 7)
        unit.factors.set_recovery("user-1", [b"h" * 32], NOW)
        unit.commit()
    used: list[tuple[bool, bool]] = []

    def use() -> None:
        with database.begin() as unit:
            used.append((unit.factors.use_step("user-1", 8), unit.factors.use_recovery("user-1", b"h" * 32)))
            unit.commit()

    for thread in [Aside(partial(use)) for _ in range(2)]:
        thread.join()
    assert sorted(used) == [(False, False), (True, True)]


def test_recovery_codes_are_of_one_person_and_replaced_together(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.factors.set_recovery("user-1", [b"a" * 32, b"b" * 32], NOW)
        assert unit.factors.recovery_left("user-1") == 2 and unit.factors.recovery_left("user-2") == 0
        assert not unit.factors.use_recovery("user-2", b"a" * 32)
        assert unit.factors.use_recovery("user-1", b"a" * 32) and not unit.factors.use_recovery("user-1", b"a" * 32)
        unit.factors.set_recovery("user-1", [b"c" * 32], NOW)
        assert not unit.factors.use_recovery("user-1", b"b" * 32) and unit.factors.recovery_left("user-1") == 1
        unit.factors.set_recovery("user-1", [], NOW)
        assert unit.factors.recovery_left("user-1") == 0


def test_the_newest_notices_stay(database: SqlDatabase) -> None:
    made = [
        ChangeNotice(
            id=f"notice-{number}",
            user_id="user-1",
            at=NOW + number * MINUTE,
            change=Change.TOTP_ADDED,
            own=number % 2 == 0,
        )
        for number in range(5)
    ]
    with database.begin() as unit:
        for one in made:
            unit.factors.note(one, keep=3)
        assert unit.factors.notices("user-1") == made[:1:-1] and unit.factors.notices("user-2") == []


def test_counters_begin_are_counted_and_found(database: SqlDatabase) -> None:
    with database.begin() as unit:
        assert unit.attempts.lock([tally(2), tally(1)]) == [tally(1), tally(2)]
        unit.attempts.put([tally(1, 7, until=NOW + MINUTE), tally(2, 3, last_at=NOW + MINUTE)])
        unit.attempts.put([])
        unit.commit()
    with database.look() as unit:
        found = unit.attempts.find([tally(n).key for n in (1, 2, 3)])
        assert sorted(found, key=lambda one: one.key) == [
            tally(1, 7, until=NOW + MINUTE),
            tally(2, 3, last_at=NOW + MINUTE),
        ]
    with database.begin() as unit:
        assert unit.attempts.lock([tally(1)]) == [tally(1, 7, until=NOW + MINUTE)]  # begun ones stay as they are
        assert unit.attempts.crowded((Counted.ACCOUNT,), failures=7, since=NOW) == 1
        assert unit.attempts.crowded((Counted.ACCOUNT,), failures=1, since=NOW + MINUTE) == 1
        assert unit.attempts.crowded((Counted.PAIR,), failures=1, since=NOW) == 0


def test_a_refusal_is_told_once(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.attempts.lock([tally(1), tally(2)])
        unit.attempts.put([tally(1, 7, until=NOW + MINUTE)])
        keys = [tally(1).key, tally(2).key]
        assert not unit.attempts.tell(keys, NOW + MINUTE)
        assert unit.attempts.tell(keys, NOW) and not unit.attempts.tell(keys, NOW)


def test_old_counters_go_and_of_too_many_those_with_the_fewest_failures(database: SqlDatabase) -> None:
    with database.begin() as unit:
        made = [tally(number, number, last_at=NOW + number * MINUTE) for number in range(1, 9)]
        unit.attempts.lock(made)
        unit.commit()
    with database.begin() as unit:
        assert unit.attempts.tidy(before=NOW + 3 * MINUTE, most=4) == 4
        left = unit.attempts.find([one.key for one in made])
        assert sorted(one.failures for one in left) == [5, 6, 7, 8]
        assert unit.attempts.tidy(before=NOW, most=4) == 0


def test_two_who_try_at_once_are_both_counted(database: SqlDatabase) -> None:
    def attempt() -> None:
        with database.begin() as unit:
            (standing,) = unit.attempts.lock([tally(1)])
            unit.attempts.put([replace(standing, failures=standing.failures + 1)])
            unit.commit()

    for thread in [Aside(attempt) for _ in range(4)]:
        thread.join()
    with database.look() as unit:
        assert [one.failures for one in unit.attempts.find([tally(1).key])] == [4]
