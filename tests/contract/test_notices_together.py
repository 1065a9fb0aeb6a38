"""Several workers on one database and one mail server: each person hears once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recvault.adapters.mail import SmtpMail, SmtpSettings
from recvault.domain.errors import RecvaultError
from recvault.services.alarms import TaskState
from recvault.services.mailing import Mailing
from recvault.services.notices import Notices, NoticeSettings
from tests.contract import database_kit as kit
from tests.servers.run import free_ports
from tests.support.archives import World, make_world, memory_parts, steady_database
from tests.support.mail_server import Postbox, mail_server

WORKERS = 4
WATCHERS = ("a@company.example", "b@company.example")


@pytest.fixture(params=kit.ON_DISK)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    parts = memory_parts()
    parts.database.close()
    parts.clock.set(datetime(2026, 11, 22, 6, 0, tzinfo=UTC))
    url = kit.address(request.param, request, tmp_path)
    world = make_world(parts=replace(parts, database=steady_database(url, parts.clock)))
    yield world
    world.archive.resources.close()


def worker(world: World, box: Postbox) -> Notices:
    archive = world.archive
    mail = SmtpMail(SmtpSettings(host="127.0.0.1", port=box.port, security="none", sender="archive@company.example"))
    mailing = Mailing(database=archive.database, mail=mail, clock=world.clock, entropy=archive.entropy, printed=False)
    return Notices(
        database=archive.database,
        mailing=mailing,
        gauges=archive.gauges,
        clock=world.clock,
        settings=NoticeSettings(
            alarms_to=WATCHERS, digest_to=WATCHERS, language="en", desk="https://archive.company.example", zone=UTC
        ),
        suspended=lambda now: False,
    )


def test_everybody_hears_once_of_a_beginning_a_day_an_end_and_a_digest(world: World) -> None:
    with mail_server() as box, ThreadPoolExecutor(WORKERS) as pool:
        workers = [worker(world, box) for _ in range(WORKERS)]

        def together(wrong: dict[str, int]) -> Counter[str]:
            """What arrived after all looked in the same moment, and again until nobody broke off."""
            before, gate = len(box.mails), threading.Barrier(WORKERS)
            state = TaskState(task="purge", at=world.clock.now(), wrong=wrong)

            def look(number: int) -> None:
                gate.wait(20)
                for _ in range(3):
                    try:
                        workers[number].digest()
                        workers[number].watch(f"w-{number}", [state])
                    except RecvaultError:
                        continue  # two that got in each other's way: the next tick does it

            world.archive.audit.sequence()
            world.archive.gauges.beat()
            list(pool.map(look, range(WORKERS)))
            return Counter(f"{mail['Subject']} to {mail['To']}" for mail in box.mails[before:])

        def once(*subjects: str) -> Counter[str]:
            return Counter(f"{subject} to {to}" for subject in subjects for to in WATCHERS)

        assert together({}) == once()
        world.later(minutes=1)
        assert together({"stopped": 3}) == once("Archive: alarm began (1)")
        world.later(hours=24)
        assert together({"stopped": 3}) == once("Archive: alarm still stands (1)", "Archive: the day in numbers")
        world.later(minutes=6)
        assert together({}) == once("Archive: alarm ended (1)")
        assert len({mail["Message-ID"] for mail in box.mails}) == len(box.mails)


def test_greylisting_of_one_holds_up_nobody_else(world: World) -> None:
    with mail_server() as box:
        notices = worker(world, box)
        box.answers = ["451 4.7.1 greylisted, come again"]
        world.archive.gauges.beat()
        world.archive.audit.sequence()
        state = TaskState(task="purge", at=world.clock.now(), wrong={"stopped": 3})
        first = notices.watch("w-1", [state]).sending
        assert (first.sent, first.put_off, first.faults) == (1, 1, ("mail-put-off",))
        world.later(minutes=1)
        second = notices.watch("w-1", [state]).sending
        assert (second.sent, second.put_off) == (1, 0)
    assert sorted(str(mail["To"]) for mail in box.mails) == list(WATCHERS)


def test_a_server_that_was_away_gets_everything_when_it_is_back(world: World) -> None:
    port = free_ports(1)
    notices = worker(world, Postbox(port))
    world.archive.gauges.beat()
    world.archive.audit.sequence()
    state = TaskState(task="purge", at=world.clock.now(), wrong={"stopped": 3})
    away = notices.watch("w-1", [state]).sending
    assert (away.sent, away.put_off, away.faults) == (0, 2, ("mail-unavailable",))
    with mail_server(port=port) as box:
        world.later(minutes=1)
        assert notices.watch("w-1", [state]).sending.sent == 2
    assert len(box.mails) == 2
