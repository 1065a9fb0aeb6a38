"""Gauges for whoever watches: what they tell, to whom, and that a part that hangs or is gone delays none."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from recvault.adapters.database.uow import SqlUnitOfWork
from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.domain.access import Role
from recvault.domain.errors import DatabaseUnavailable, StoreUnavailable
from recvault.domain.ports.keyring import ReplicaStatus
from recvault.domain.ports.objects import ObservedPlace
from recvault.interfaces.http.metrics import exposition, is_within
from recvault.interfaces.worker import Worker
from recvault.services.gauges import GAUGES, NEVER
from tests.support.archives import Parts, SteadyDatabase, World, configuration, make_world, memory_parts
from tests.support.serving import problem_of, serve

NAMES = [gauge.name for gauge in GAUGES]
LOOPBACK = ("127.0.0.0/8", "::1/128")


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


def parsed(text: str) -> dict[str, float]:
    """The text format, read strictly: help, type and value of each gauge, in this order, each once."""
    found: dict[str, float] = {}
    lines = text.splitlines()
    assert text.endswith("\n") and len(lines) % 3 == 0
    for first, second, third in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name = third.split(" ")[0]
        assert re.fullmatch(r"recvault_[a-z_]+", name) and name not in found
        assert first.startswith(f"# HELP {name} ") and "\\" not in first
        assert second == f"# TYPE {name} gauge"
        found[name] = float(third.split(" ")[1])
    return found


def test_the_gauges_of_an_archive_that_is_well(world: World) -> None:
    world.archive.keyring.confirm_backup()
    world.archive.audit.sequence()
    world.archive.gauges.beat()
    world.later(seconds=7)
    with serve(world.archive) as served:
        answer = served.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert parsed(answer.text) == {
        "recvault_database_reachable": 1,
        "recvault_store_reachable": 1,
        "recvault_place_in_order": 1,
        "recvault_keyring_in_step": 1,
        "recvault_backup_verified_age_seconds": math.inf,
        "recvault_last_tick_age_seconds": 7,
        "recvault_audit_unnumbered_age_seconds": 0,
        "recvault_destruction_suspended": 0,
        "recvault_due": 0,
        "recvault_overdue": 0,
        "recvault_needs_attention": 0,
        "recvault_not_intact": 0,
        "recvault_mails_late": 0,
    }


def test_what_was_left_undone_is_counted(world: World) -> None:
    receipt = world.store("marked", remote=None, filename=None)
    assert receipt.needs_attention
    world.later(seconds=30)
    values = world.archive.gauges.read()
    assert values["needs_attention"] == 1 and values["audit_unnumbered_age_seconds"] >= 30
    assert (values["due"], values["overdue"]) == (0, 0)
    world.later(days=3 * 365)
    values = world.archive.gauges.read()
    assert (values["due"], values["overdue"]) == (1, 1)
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER),
        reason="litigation",
        review_on=world.clock.now().date() + timedelta(days=30),
        communication_id=receipt.id,
    )
    values = world.archive.gauges.read()
    assert (values["due"], values["overdue"]) == (0, 0)


def test_overdue_begins_some_hours_after_the_end(world: World) -> None:
    end = world.store("late").destroy_at
    limit = world.archive.config.purge.overdue_alarm_hours
    world.later(seconds=(end - world.clock.now()).total_seconds() + limit * 3600 - 1)
    values = world.archive.gauges.read()
    assert (values["due"], values["overdue"]) == (1, 0)
    world.later(seconds=2)
    assert world.archive.gauges.read()["overdue"] == 1


def test_the_worker_gives_signs_of_life(world: World) -> None:
    assert world.archive.gauges.read()["last_tick_age_seconds"] == NEVER
    assert "recvault_last_tick_age_seconds +Inf" in exposition(world.archive.gauges.read())
    Worker(world.archive).now("heartbeat")
    world.later(minutes=10)
    assert world.archive.gauges.read()["last_tick_age_seconds"] == 600
    Worker(world.archive).now("heartbeat")
    assert world.archive.gauges.read()["last_tick_age_seconds"] == 0


def test_a_clock_that_went_back_gives_no_negative_age(world: World) -> None:
    world.archive.gauges.beat()
    world.later(minutes=-5)
    assert world.archive.gauges.read()["last_tick_age_seconds"] == 0


# --- parts that fail


class GoneDatabase(SteadyDatabase):
    @override
    def read(self) -> AbstractContextManager[SqlUnitOfWork]:
        raise DatabaseUnavailable("the database does not answer; start it")


class MovedStore(MemoryObjectStore):
    """Answers, and says that it stands elsewhere than was declared."""

    @override
    def observe(self) -> ObservedPlace:
        return replace(super().observe(), endpoint="s3.elsewhere.example:443", location="elsewhere", loopback=False)


class HangingStore(MemoryObjectStore):
    """Gives no answer until told to; then an error."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.go_on = threading.Event()
        self.asked = 0

    @override
    def check(self) -> None:
        self.asked += 1
        self.go_on.wait(30)
        raise StoreUnavailable("the store does not answer; start it")


class LaggingKeyring(MemoryKeyring):
    @override
    def replicas(self) -> tuple[ReplicaStatus, ...]:
        return (
            ReplicaStatus(place="a", serial=5),
            ReplicaStatus(place="b", serial=4, fault="holds an older state"),
        )


def world_on(parts: Parts) -> World:
    return make_world(parts=parts)


def test_a_database_that_is_gone_takes_only_its_own_numbers_along() -> None:
    parts = memory_parts()
    with world_on(parts).archive as archive:
        archive.places.check()
        before = set(archive.gauges.read())
        parts.database.__class__ = GoneDatabase
        values = archive.gauges.read()
        assert values["database_reachable"] == 0 and values["store_reachable"] == 1
        with serve(archive) as served:
            assert served.client.get("/metrics").status_code == 200
        parts.database.__class__ = SteadyDatabase
    assert before - set(values) == {
        "backup_verified_age_seconds",
        "last_tick_age_seconds",
        "audit_unnumbered_age_seconds",
        "destruction_suspended",
        "due",
        "overdue",
        "needs_attention",
        "not_intact",
        "mails_late",
    }


def test_a_store_that_hangs_is_asked_once_and_delays_nobody() -> None:
    parts = memory_parts()
    store = HangingStore(clock=parts.clock.now)
    parts.store = store
    with world_on(parts).archive as archive:
        began = time.monotonic()
        values = [archive.gauges.read(patience_seconds=0.1) for _ in range(3)]
        assert time.monotonic() - began < 5
        assert store.asked == 1
        assert all(found["store_reachable"] == 0 and found["database_reachable"] == 1 for found in values)
        store.go_on.set()
        assert archive.gauges.read()["store_reachable"] == 0


def test_a_place_that_is_not_allowed_and_a_keyring_out_of_step() -> None:
    parts = memory_parts()
    parts.store = MovedStore(clock=parts.clock.now)
    parts.keyring = LaggingKeyring(clock=parts.clock, entropy=parts.entropy, cache_seconds=60)
    with world_on(parts).archive as archive:
        values = archive.gauges.read()
    assert (values["place_in_order"], values["keyring_in_step"]) == (0, 0)
    assert values["store_reachable"] == 1


# --- who may ask


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Proto"])
def test_what_a_proxy_passed_on_is_refused(world: World, header: str) -> None:
    with serve(world.archive) as served:
        problem = problem_of(served.client.get("/metrics", headers={header: "127.0.0.1"}))
    assert problem["status"] == 403 and "directly" in problem["detail"]


def test_other_networks_are_refused(world: World) -> None:
    parts = memory_parts()
    parts.config = configuration(SERVER__METRICS_NETWORKS="10.0.0.0/8")
    with world_on(parts).archive as archive, serve(archive) as served:
        problem = problem_of(served.client.get("/metrics"))
    assert problem["status"] == 403 and "server.metrics_networks" in problem["detail"]


@pytest.mark.parametrize(
    ("host", "networks", "within"),
    [
        ("127.0.0.1", LOOPBACK, True),
        ("::1", LOOPBACK, True),
        ("::ffff:127.0.0.1", LOOPBACK, True),
        ("::ffff:10.0.0.1", LOOPBACK, False),
        ("10.1.2.3", (*LOOPBACK, "10.0.0.0/8"), True),
        ("fe80::1%eth0", ("fe80::/10",), True),
        ("10.1.2.3", LOOPBACK, False),
        ("127.0.0.1", (), False),
        ("testclient", LOOPBACK, False),
        ("", LOOPBACK, False),
    ],
)
def test_networks(host: str, networks: tuple[str, ...], within: bool) -> None:
    assert is_within(host, networks) is within


def test_the_text_has_no_labels_and_holds_every_gauge() -> None:
    text = exposition(dict.fromkeys(NAMES, 0.5))
    assert list(parsed(text)) == [f"recvault_{name}" for name in NAMES] and len(NAMES) == 13
    assert "{" not in text and math.isclose(sum(parsed(text).values()), len(NAMES) / 2)
    assert all(gauge.help.isascii() and "\n" not in gauge.help for gauge in GAUGES)
