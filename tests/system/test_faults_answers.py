"""Answers that do not come, and answers that lie: commits whose outcome is unknown, an object store that fails at any call,
a deletion that is confirmed and did not happen. What the database did is looked up; what cannot be known is said to be
unknown and can be asked for again; nothing is certified that was not seen to be gone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recvault.domain.access import Role
from recvault.domain.communication import Receipt, State
from recvault.domain.destruction import Stage
from recvault.domain.errors import DatabaseUnavailable, StoreUnavailable, Unavailable
from recvault.services.purge import PurgeReport
from tests.servers.ceph import Ceph
from tests.support.aftermath import end_of, look, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, configuration, make_world, memory_parts
from tests.support.faults import (
    EVERY_STORE_CALL,
    Plan,
    When,
    database_silent,
    faulty_process,
    store_silent,
)
from tests.support.interruptions import (
    CALL,
    JOURNEYS,
    come_to_rest,
    hold,
    interrupted,
    named,
    one_due,
    reference,
    several_due,
)
from tests.support.worlds import another_process, postgresql_and_ceph, sqlite_and_folder

COMMITS = frozenset({"commit"})
OUTSIDE = EVERY_STORE_CALL | {"append"}


def struck(journey: str, only: frozenset[str], raises: Callable[[], BaseException], when: When) -> None:
    """Every call of the kinds in turn fails once; the end is the same as without."""
    prepare, act = JOURNEYS[journey]
    expected, calls = reference(prepare, act, Plan(only=only))
    assert calls >= 3
    for at in range(1, calls + 1):
        plan = Plan(at=at, when=when, raises=raises, only=only)
        parts = memory_parts()
        with named(plan), (world := make_world(parts=parts)).archive:
            prepare(world)
            interrupted(world, parts, act, plan)
            assert come_to_rest(world, parts, act) == expected


# --- commits whose outcome is unknown


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("journey", ["upload", "purge of several"])
def test_an_unknown_commit_at_any_step_changes_nothing_in_the_end(journey: str, when: When) -> None:
    struck(journey, COMMITS, database_silent, when)


def test_an_upload_that_was_committed_is_acknowledged_though_the_answer_was_lost() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        world.store("call-1", CALL)  # the day's key is there, so that the next upload commits once
        with another_process(
            world, parts, Plan(at=1, when=When.AFTER, raises=database_silent, only=COMMITS)
        ) as unlucky:
            receipt = unlucky.store("call-2", CALL)
        assert world.store("call-2", CALL).id == receipt.id
        look(parts, world.archive)


def test_an_upload_that_was_not_committed_is_refused_and_its_ciphertext_swept() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        world.store("call-1", CALL)
        with another_process(
            world, parts, Plan(at=1, when=When.BEFORE, raises=database_silent, only=COMMITS)
        ) as unlucky:
            with pytest.raises(DatabaseUnavailable):
                unlucky.store("call-2", CALL)
            assert len(objects_of(parts)) == 2, "what may have been committed is not taken away"
            receipt = unlucky.store("call-2", CALL)
        assert not receipt.already_stored
        world.later(hours=25)
        assert len(world.archive.sweeper.run()) == 1 and len(objects_of(parts)) == 2


@pytest.mark.parametrize("when", When)
def test_a_hold_that_stands_is_told_of_though_the_answer_was_lost(when: When) -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        receipt = world.store("call-1", CALL)
        world.later(days=190)
        with another_process(world, parts, Plan(at=1, when=when, raises=database_silent, only=COMMITS)) as unlucky:
            if when is When.AFTER:
                assert hold(unlucky, receipt)
            else:
                with pytest.raises(DatabaseUnavailable):
                    hold(unlucky, receipt)
        assert world.archive.purge.run("worker-1").destroyed == [], "the ledger knows of the hold either way"
        assert len(world.archive.holds.list(world.actor(Role.PRIVACY_HANDLER))) == 1


# --- a store that fails


@pytest.mark.parametrize("journey", ["upload", "purge of several"])
def test_a_store_that_fails_before_any_call_changes_nothing_in_the_end(journey: str) -> None:
    struck(journey, OUTSIDE, store_silent, When.BEFORE)


@pytest.mark.parametrize("journey", ["upload", "purge of several"])
def test_a_store_whose_answers_are_lost_changes_nothing_in_the_end(journey: str) -> None:
    struck(journey, frozenset({"put", "delete_versions", "append"}), store_silent, When.AFTER)


def test_while_the_store_is_away_nothing_is_accepted_and_nothing_certified() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        receipt = world.store("call-1", CALL)
        world.later(days=190)
        for call in ("put", "delete_versions", "list_versions", "list_uploads"):
            plan = Plan(at=1, raises=store_silent, only=frozenset({call}))
            with another_process(world, parts, plan) as unlucky:
                if call == "put":
                    with pytest.raises(StoreUnavailable):
                        unlucky.store("call-2", CALL)
                else:
                    report = unlucky.archive.purge.run("worker-1")
                    assert report.destroyed == [] and report.unfinished == [receipt.id]
                    assert tombstones_of(parts)[receipt.id].stage is Stage.SHREDDED
                    world.later(minutes=6)
        assert world.archive.purge.run("worker-1").destroyed == [receipt.id]
        end_of(parts, world.archive)


# --- a store that lies


def lied_to(world: World, parts: Parts) -> PurgeReport:
    """A run whose deletions are confirmed and do not happen."""
    archive, store = faulty_process(parts, Plan())
    store.lies = True
    with archive:
        return archive.purge.run("worker-1")


def lie(parts: Parts) -> None:
    """No certificate without absence read; certified once the objects are gone in truth."""
    with (world := make_world(parts=parts)).archive:
        several_due(world)
        before = objects_of(parts)
        report = lied_to(world, parts)
        assert report.destroyed == [] and len(set(report.unfinished)) == 3
        assert objects_of(parts) == before
        assert {item.stage for item in tombstones_of(parts).values()} == {Stage.SHREDDED}
        assert [row.state for row in rows_of(parts)].count(State.DESTROYING) == 3
        look(parts, world.archive)
        world.later(minutes=6)
        assert sorted(world.archive.purge.run("worker-1").destroyed) == sorted(set(report.unfinished))
        assert len(objects_of(parts)) == 2
        end_of(parts, world.archive)


def test_a_deletion_that_lies_is_not_certified() -> None:
    lie(memory_parts())


def test_a_deletion_that_lies_ends_the_run_also_when_batches_are_full() -> None:
    parts = memory_parts()
    parts.config = configuration(PURGE__BATCH_SIZE="1")
    lie(parts)


def test_a_deletion_that_lies_on_sqlite_with_a_folder(tmp_path: Path) -> None:
    with sqlite_and_folder(tmp_path) as parts:
        lie(parts)


@pytest.mark.parametrize("versioned", [False, True])
def test_a_deletion_that_lies_on_postgresql_with_ceph(
    tmp_path: Path, ceph: Ceph, new_pg_url: Callable[[], str], versioned: bool
) -> None:
    with postgresql_and_ceph(tmp_path, ceph, new_pg_url(), versioned=versioned) as parts:
        lie(parts)


def test_what_came_back_after_the_certificate_is_found_and_deleted_again() -> None:
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        one_due(world)
        (name,) = objects_of(parts)
        (destroyed,) = world.archive.purge.run("worker-1").destroyed
        parts.store.put(name, [b"restored by somebody"])
        world.later(days=1)
        assert world.archive.purge.recheck() == [destroyed]
        assert objects_of(parts) == []
        end_of(parts, world.archive)


# --- the two together


def test_uploads_of_a_morning_with_a_bad_network_are_all_there_once() -> None:
    """Each upload is repeated until it is acknowledged, as the hook does; every third call outside fails."""
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        receipts: dict[str, Receipt] = {}
        faults = 0
        for number in range(40):
            raises = (database_silent, store_silent)[number % 2]
            plan = Plan(
                at=1 + number % 3, when=list(When)[number % 4 // 2], raises=raises, only=COMMITS | {"put", "observe"}
            )
            with another_process(world, parts, plan) as unlucky:
                try:
                    receipts[f"call-{number}"] = unlucky.store(f"call-{number}", CALL + bytes([number]))
                except Unavailable:
                    faults += 1
                    receipts[f"call-{number}"] = unlucky.store(f"call-{number}", CALL + bytes([number]))
        assert faults > 10
        assert {row.id for row in rows_of(parts)} == {receipt.id for receipt in receipts.values()}
        assert len(rows_of(parts)) == 40
        world.later(hours=25)
        world.archive.sweeper.run()
        assert len(objects_of(parts)) == 40
        end_of(parts, world.archive)
