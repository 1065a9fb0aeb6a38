"""The power goes off at every step of ingest, purge and hold; a new process takes up what is durable and comes to the end
that the same journey has without a fault: nothing acknowledged is lost, nothing is there twice, every destruction is
certified once. Exhaustively in memory; by samples on SQLite with a folder and on PostgreSQL with Ceph RGW.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from recvault.domain.access import Role
from recvault.domain.communication import Receipt
from recvault.domain.ledger import LedgerKind
from tests.servers.ceph import Ceph
from tests.support.aftermath import end_of, ledger_items, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, make_world, memory_parts
from tests.support.faults import Plan, When
from tests.support.interruptions import (
    CALL,
    JOURNEYS,
    come_to_rest,
    hold,
    interrupted,
    named,
    purge,
    purge_until_the_month_is_over,
    reference,
    several_due,
)
from tests.support.worlds import another_process, postgresql_and_ceph, sqlite_and_folder

# --- in memory: every step


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("journey", JOURNEYS)
def test_a_power_cut_at_any_step_changes_nothing_in_the_end(journey: str, when: When) -> None:
    prepare, act = JOURNEYS[journey]
    expected, calls = reference(prepare, act)
    assert calls >= 9
    for at in range(1, calls + 1):
        plan = Plan(at=at, when=when)
        parts = memory_parts()
        with named(plan), (world := make_world(parts=parts)).archive:
            prepare(world)
            interrupted(world, parts, act, plan)
            assert plan.struck
            assert come_to_rest(world, parts, act) == expected


def test_power_cuts_during_the_recovery_from_power_cuts() -> None:
    """What is still due when its day closes moves to the frozen month: so the end is looked at when that is over too."""
    prepare, act = several_due, purge_until_the_month_is_over
    expected, calls = reference(prepare, act)
    chance = random.Random(7)
    for _ in range(12):
        parts = memory_parts()
        with (world := make_world(parts=parts)).archive:
            prepare(world)
            for _ in range(3):
                plan = Plan(at=chance.randint(1, calls), when=chance.choice(list(When)))
                with named(plan):
                    interrupted(world, parts, act, plan)
            end = come_to_rest(world, parts, act)
            assert replace(end, living=(), dead=()) == replace(expected, living=(), dead=())  # more months went by


@pytest.mark.parametrize("when", When)
def test_a_hold_is_in_ledger_and_database_or_in_neither(when: When) -> None:
    """The acknowledged hold keeps its item; one that was not acknowledged keeps it if the ledger knows of it."""
    for at in range(1, 4):
        plan = Plan(at=at, when=when)
        parts = memory_parts()
        with named(plan), (world := make_world(parts=parts)).archive:
            receipt = world.store("call-1", CALL)
            world.later(days=190)
            acknowledged: list[str] = []
            interrupted(world, parts, partial(held, receipt=receipt, acknowledged=acknowledged), plan)
            with another_process(world, parts) as after:
                report = after.archive.purge.run("worker-2")
                end_of(parts, after.archive)
                known = after.archive.holds.list(after.actor(Role.PRIVACY_HANDLER))
            assert bool(known) == (receipt.id not in report.destroyed)
            assert not acknowledged or [found.id for found, _ in known] == acknowledged


# --- on real parts: samples


def test_power_cuts_on_sqlite_with_a_folder(tmp_path: Path) -> None:
    """One archive that the power leaves again and again, and that is complete in the end."""
    with sqlite_and_folder(tmp_path) as parts:
        a_bad_winter(parts, cuts=24)


def test_power_cuts_on_postgresql_with_ceph(tmp_path: Path, ceph: Ceph, new_pg_url: Callable[[], str]) -> None:
    with postgresql_and_ceph(tmp_path, ceph, new_pg_url()) as parts:
        a_bad_winter(parts, cuts=6)


def a_bad_winter(parts: Parts, *, cuts: int) -> None:
    """Rounds of uploads and purges, each cut at another call; every acknowledged upload is there until it is due."""
    chance = random.Random(11)
    with (world := make_world(parts=parts)).archive:
        acknowledged: dict[str, str] = {}
        for cut in range(cuts):
            plan = Plan(at=1 + cut // 2 if cut < cuts // 2 else chance.randint(1, 16), when=list(When)[cut % 2])
            refs = [f"round-{cut}-{number}" for number in range(2)]
            with named(plan):
                interrupted(world, parts, partial(sent, refs=refs, acknowledged=acknowledged), plan)
                interrupted(world, parts, _purge_once, Plan(at=plan.at, when=plan.when))
                with another_process(world, parts) as after:
                    sent(after, refs, acknowledged)
                stored = {row.id for row in rows_of(parts)} | set(tombstones_of(parts))
                assert set(acknowledged.values()) <= stored
            world.later(days=20)
        assert len(acknowledged) == 2 * cuts
        with another_process(world, parts) as after:
            world.later(days=190)
            after.archive.forecast.confirm(after.actor(Role.PRIVACY_HANDLER))  # nobody foresaw so much: a person looked
            purge(after)
            world.later(hours=25)
            purge(after)
            after.archive.sweeper.run()
            end = end_of(parts, after.archive)
        assert set(acknowledged.values()) == set(tombstones_of(parts))
        assert end.rows == () and objects_of(parts) == [] and set(end.destroyed) == {"complete"}
        assert ledger_items(parts, LedgerKind.DONE) == set(acknowledged.values())


def held(world: World, receipt: Receipt, acknowledged: list[str]) -> None:
    """Places a hold; its id, if the answer comes."""
    acknowledged.append(hold(world, receipt))


def sent(world: World, refs: list[str], acknowledged: dict[str, str]) -> None:
    """Sends each once; what is acknowledged is noted, and is the first receipt when it is sent again."""
    for ref in refs:
        if ref in acknowledged:
            continue
        acknowledged[ref] = world.store(ref, CALL + ref.encode(), ended_at=None).id


def _purge_once(world: World) -> None:
    world.later(minutes=6)
    world.archive.purge.run("worker-1")
