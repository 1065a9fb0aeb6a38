"""The system's own acts: another configuration at start, a clock that jumped; and without a log, nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from recvault.domain.audit import Act, Entry
from recvault.services.system_acts import SystemActs
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


class Steady:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def of(world: World, act: Act) -> list[Entry]:
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        return [one.entry for one in unit.audit.read(0, 10_000) if one.entry.act is act]


def acts_of(world: World, steady: Steady) -> SystemActs:
    archive = world.archive
    return SystemActs(
        database=archive.database, keyring=archive.keyring, audit=archive.audit, clock=archive.clock,
        limit=timedelta(minutes=2), steady=steady,
    )  # fmt: skip


def test_another_configuration_is_named_by_its_keys(world: World) -> None:
    system = acts_of(world, Steady())
    assert system.started({"purge.nightly_at": "02:30", "mail.alarms_to": ["liisa@company.example"]}) == ()
    assert system.started({"purge.nightly_at": "02:30", "mail.alarms_to": ["liisa@company.example"]}) == ()
    changed = {"purge.nightly_at": "03:30", "mail.alarms_to": ["liisa@company.example"], "store.kind": "s3"}
    assert system.started(changed) == ("purge.nightly_at", "store.kind")
    first, second = of(world, Act.CONFIGURATION_CHANGED)
    assert first.detail["changed"] == []
    assert second.detail["changed"] == ["purge.nightly_at", "store.kind"]
    with world.archive.database.read() as unit:
        assert "liisa" not in str(unit.settings.get("system/configuration"))


def test_a_clock_that_jumps_is_told(world: World) -> None:
    steady = Steady()
    system = acts_of(world, steady)
    assert system.beat() == 0
    world.later(seconds=30)
    steady.seconds += 30
    assert system.beat() == 0
    world.later(hours=1)
    steady.seconds += 30
    assert system.beat() == 3570
    steady.seconds += 600  # it stands still
    assert system.beat() == -600
    assert [entry.detail["seconds"] for entry in of(world, Act.CLOCK_JUMPED)] == [3570, -600]
