"""How much one person may look and listen in an hour, and whose day is unusual."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recvault.domain.access import Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.audit import Act
from recvault.domain.communication import Party, PartyKind, SearchQuery
from recvault.domain.errors import Forbidden, LimitReached
from recvault.domain.listening import Day, UnusualRule, day_of, hour_of, is_unusual, until_next_hour
from recvault.domain.purpose import Purpose
from recvault.domain.register_records import ContactPointRecord, CustomerRecord
from tests.support.archives import World, configuration, make_world, memory_parts

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def limited(**keys: int) -> World:
    parts = memory_parts()
    parts.config = configuration(**{f"ACCESS__{name.upper()}": str(value) for name, value in keys.items()})
    return make_world(parts=parts)


def listen(world: World, role: Role, communication: str, times: int = 1) -> None:
    purpose = Purpose.TRAINING if role is Role.TRAINER else Purpose.VERIFICATION
    for _ in range(times):
        world.archive.retrieval.open(world.actor(role), communication, purpose, reason="claim")


def test_the_hour_of_the_clock_in_which_one_person_opened_enough() -> None:
    world = limited(opens_per_hour=2)
    call = world.store("call-1").id
    listen(world, Role.VERIFIER, call, 2)
    with pytest.raises(LimitReached, match="at most 2") as refused:
        listen(world, Role.VERIFIER, call)
    assert refused.value.retry_after_seconds == until_next_hour(world.clock.now())
    listen(world, Role.TRAINER, call, 2)  # everybody has their own count
    world.later(seconds=refused.value.retry_after_seconds - 1)
    with pytest.raises(LimitReached):
        listen(world, Role.VERIFIER, call)
    world.later(seconds=1)
    listen(world, Role.VERIFIER, call, 2)


def test_searches_and_views_have_their_own_count() -> None:
    world = limited(searches_per_hour=2, opens_per_hour=1)
    call, verifier = world.store("call-1").id, world.actor(Role.VERIFIER)
    world.archive.retrieval.search(verifier, SearchQuery(), Purpose.VERIFICATION)
    world.archive.retrieval.view(verifier, call, Purpose.VERIFICATION)
    for look in (
        lambda: world.archive.retrieval.search(verifier, SearchQuery(), Purpose.VERIFICATION),
        lambda: world.archive.retrieval.view(verifier, call, Purpose.VERIFICATION),
    ):
        with pytest.raises(LimitReached):
            look()
    listen(world, Role.VERIFIER, call)


def test_what_is_refused_is_not_counted_and_leaves_no_trace_but_of_the_limit() -> None:
    world = limited(opens_per_hour=1)
    call = world.store("call-1").id
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(world.actor(Role.VERIFIER), call, Purpose.TRAINING)
    listen(world, Role.VERIFIER, call)
    for _ in range(3):
        with pytest.raises(LimitReached):
            listen(world, Role.VERIFIER, call)
    with world.archive.database.read() as unit:
        acts = [entry.act for entry in unit.audit.about(call, 100)]
        day = day_of(world.clock.now())
        (counted,) = unit.listening.days(day, day + timedelta(days=1))
    assert acts.count(Act.OPENED) == 1 and counted.opened == 1


def test_two_accounts_of_one_person_have_one_count() -> None:
    world = limited(opens_per_hour=1)
    call = world.store("call-1").id
    world.archive.accounts.add_user(
        "second", display_name="S", password=None, grants=(Grant(role=Role.VERIFIER),), by="t"
    )
    second = actor_of(world.archive.grants.link_person("second", "verifier", by="t"))
    listen(world, Role.VERIFIER, call)
    with pytest.raises(LimitReached):
        world.archive.retrieval.open(second, call, Purpose.VERIFICATION, reason="claim")


# --- what is unusual


def day(opens: int, *, customers: int = 1, usual: float | None = None) -> Day:
    return Day(person="p", day=NOON, opens={Purpose.VERIFICATION: opens}, customers=customers, usual=usual)


@pytest.mark.parametrize(
    ("of", "unusual"),
    [
        (day(19), False),  # too few to ask about, whatever is usual
        (day(20), True),  # nobody knows what is usual
        (day(60, usual=20.0), False),
        (day(61, usual=20.0), True),
        (day(20, usual=6.6), True),
        (day(1, customers=39), False),
        (day(1, customers=40, usual=50.0), True),
    ],
)
def test_what_is_unusual(of: Day, unusual: bool) -> None:
    assert is_unusual(of, UnusualRule()) is unusual


def test_hours_and_days_are_of_utc() -> None:
    helsinki = datetime.fromisoformat("2026-11-23T01:59:59.5+02:00")
    assert hour_of(helsinki.astimezone(UTC)) == datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert until_next_hour(helsinki.astimezone(UTC)) == 1
    assert until_next_hour(NOON) == 3600


def test_unusual_listening_is_an_alarm_of_the_day() -> None:
    world = limited(unusual_opens=4, unusual_times=2)
    call = world.store("call-1").id
    for _ in range(3):
        listen(world, Role.VERIFIER, call, 2)  # the usual day: two
        world.later(days=1)
    listen(world, Role.VERIFIER, call, 4)
    assert "unusual-listening" not in world.archive.notices.watch("w").began
    listen(world, Role.VERIFIER, call)
    assert "unusual-listening" in world.archive.notices.watch("w").began
    with world.archive.database.read() as unit:
        assert world.archive.listening.unusual_today(unit, world.clock.now()) == 1
        assert world.archive.listening.unusual_today(unit, world.clock.now() + timedelta(days=1)) == 0


def test_many_different_customers_are_unusual() -> None:
    world = limited(unusual_customers=2)
    for number in (1, 2):
        tel = f"+35840123460{number}"
        world.archive.customers.put_customer(
            world.actor(Role.ADMINISTRATOR),
            CustomerRecord(
                name=f"Customer {number}",
                number=f"20{number}",
                contact_points=(ContactPointRecord(kind=PartyKind.TEL, value=tel),),
                told=frozenset({"name", "number", "contact_points"}),
            ),
        )
        call = world.store(f"call-{number}", remote=Party(kind=PartyKind.TEL, value=tel)).id
        listen(world, Role.VERIFIER, call, 3)
        with world.archive.database.read() as unit:
            assert world.archive.listening.unusual_today(unit, world.clock.now()) == (number == 2)


def test_counts_are_forgotten() -> None:
    world = limited(opens_per_hour=9)
    listen(world, Role.VERIFIER, world.store("call-1").id)
    assert world.archive.listening.forget() == 0
    world.later(days=101)
    assert world.archive.listening.forget() == 2  # the hour, and the customer of that day
