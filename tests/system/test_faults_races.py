"""Many at once, on PostgreSQL with Ceph RGW and on SQLite with a folder: workers that purge the same items, holds placed
while they do, ends that move, day keys that close under uploads, one upload sent eight times. Nothing happens twice,
no lock is waited for in a circle, and a hold that was acknowledged keeps what it covers.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import pytest
from typing_extensions import override

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.communication import Party, PartyKind, Receipt, SearchQuery, State
from recvault.domain.errors import Conflict, Destroyed, NotFound, Unavailable
from recvault.domain.holds import HoldAnswer, snapshot_digest
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.keyring import Keyring
from recvault.domain.register_records import CustomerRecord
from recvault.services.purge import PurgeReport
from tests.servers.ceph import Ceph
from tests.support.aftermath import content_of, end_of, ledger_of, look, objects_of, rows_of, tombstones_of
from tests.support.archives import NUMBER, Parts, World, configuration, make_world, memory_parts
from tests.support.faults import FaultyKeyring, Plan
from tests.support.interruptions import CALL
from tests.support.second_process import go, reported, start
from tests.support.serving import serve
from tests.support.worlds import another_process, postgresql_and_ceph, sqlite_and_folder

THREADS = 6
SMALL_BATCHES = {"PURGE__BATCH_SIZE": "10", "PURGE__GUARD_ITEMS": "100000"}


@dataclass
class Ground:
    """A world on real parts, and what a second process needs to find them."""

    world: World
    parts: Parts
    directory: Path
    ceph: Ceph | None


@pytest.fixture(params=["sqlite and folder", "postgresql and ceph"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    with ExitStack() as opened:
        if request.param == "sqlite and folder":
            ceph = None
            parts = opened.enter_context(sqlite_and_folder(tmp_path, **SMALL_BATCHES))
        else:
            ceph = request.getfixturevalue("ceph")
            url = request.getfixturevalue("new_pg_url")()
            parts = opened.enter_context(postgresql_and_ceph(tmp_path, ceph, url, versioned=False, **SMALL_BATCHES))
        world = make_world(parts=parts)
        opened.enter_context(world.archive)
        yield Ground(world=world, parts=parts, directory=tmp_path, ceph=ceph)


def number_of(index: int) -> Party:
    """Every third caller is the customer, the others are strangers, some of whom call again."""
    value = NUMBER if index % 3 == 0 else f"+35840123{5000 + index // 4}"
    return Party(kind=PartyKind.TEL, value=value, as_sent=value)


def filled(world: World, count: int) -> list[Receipt]:
    """Calls that are due, stored by several uploads at once."""

    def one(index: int) -> Receipt:
        return patient(partial(world.store, f"call-{index}", CALL[: 2000 + index], remote=number_of(index)))

    with ThreadPoolExecutor(THREADS) as pool:
        receipts = list(pool.map(one, range(count)))
    with world.archive.database.read() as unit:
        last = max(row.destroy_at for row in unit.communications.find([receipt.id for receipt in receipts]))
    # Their day is over, and they are not a day late: the data keys of what is late move away from the others' key, which then
    # waits for a backup.
    world.later(seconds=(last - world.clock.now()).total_seconds(), hours=23)
    return receipts


def patient(upload: Callable[[], Receipt]) -> Receipt:
    """Sends again what could not be taken just now, as the hook does."""
    for _ in range(20):
        try:
            return upload()
        except Unavailable as fault:
            assert type(fault) is Unavailable, fault  # the register or a key moved; never a lock or a lost database
    raise AssertionError("an intact recording was not taken in twenty tries")


def all_destroyed_once(ground: Ground, receipts: list[Receipt], reports: list[list[str]]) -> None:
    """Each in one report, one ledger entry, and certified once; then the keys go and the certificates are complete."""
    ids = sorted(receipt.id for receipt in receipts)
    assert sorted(item for report in reports for item in report) == ids
    # How the work is shared is the scheduler's affair: on a busy machine one may be done before another has begun.
    done = [item for body in ledger_of(ground.parts, LedgerKind.DONE) for item in _items(body)]
    assert sorted(done) == ids
    intended = Counter(item for body in ledger_of(ground.parts, LedgerKind.INTENT) for item in _items(body))
    assert sorted(intended) == ids and max(intended.values()) == 1
    ground.world.later(minutes=6)
    ground.world.archive.purge.run("worker-last")
    end = end_of(ground.parts, ground.world.archive)
    assert (end.rows, end.objects, end.points) == ((), 0, 1)
    assert end.destroyed == ("complete",) * len(ids)


def _items(body: dict[str, object]) -> list[str]:
    items = body["items"]
    assert isinstance(items, list)
    return items


def test_two_workers_in_threads_destroy_each_item_once(ground: Ground) -> None:
    receipts = filled(ground.world, 40)
    together = Barrier(2)

    def work(name: str) -> PurgeReport:
        with another_process(ground.world, ground.parts) as mine:
            together.wait()
            return mine.archive.purge.run(name)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(work, ["worker-1", "worker-2"]))
    all_destroyed_once(ground, receipts, [report.destroyed for report in reports])


@pytest.mark.slow
def test_two_workers_in_processes_of_their_own_destroy_200_items_once(ground: Ground) -> None:
    receipts = filled(ground.world, 200)
    with ExitStack() as running:
        workers = [_started(running, ground, name) for name in ("worker-1", "worker-2")]
        for worker in workers:
            go(worker)
        reports = [reported(worker) for worker in workers]
    all_destroyed_once(ground, receipts, [report["destroyed"] for report in reports])


def test_what_a_killed_worker_left_another_finishes(ground: Ground) -> None:
    """SIGKILL in the middle of a purge, no tidying up: after its lease the others do the rest."""
    receipts = filled(ground.world, 40)
    with ExitStack() as running:
        worker = _started(running, ground, "worker-1")
        go(worker)
        until = time.monotonic() + 60
        while len(tombstones_of(ground.parts)) < 15:
            assert time.monotonic() < until
        worker.kill()
        worker.communicate()
    look(ground.parts, ground.world.archive)
    ground.world.later(minutes=6)
    ground.world.archive.purge.run("worker-2")
    assert sorted(tombstones_of(ground.parts)) == sorted(receipt.id for receipt in receipts)
    ground.world.later(minutes=6)
    ground.world.archive.purge.run("worker-2")
    end_of(ground.parts, ground.world.archive)
    assert objects_of(ground.parts) == [] and rows_of(ground.parts) == []


def _started(running: ExitStack, ground: Ground, name: str) -> subprocess.Popen[str]:
    worker = start(ground.parts, ground.directory, name, ceph=ground.ceph, **SMALL_BATCHES)
    running.callback(worker.kill)
    return worker


# --- holds against a running purge


def test_a_hold_placed_during_the_purge_keeps_its_item_or_says_that_it_came_too_late(ground: Ground) -> None:
    world = ground.world
    receipts = filled(world, 60)
    chance = random.Random(3)
    targets = chance.sample([receipt.id for receipt in receipts], 20)
    review = (world.clock.now() + timedelta(days=30)).date()
    handler = world.actor(Role.PRIVACY_HANDLER)

    def place(item: str) -> HoldAnswer:
        time.sleep(chance.random() * 0.3)
        return world.archive.holds.place(handler, reason="claim", review_on=review, communication_id=item)

    with ThreadPoolExecutor(8) as pool:
        purges = [pool.submit(world.archive.purge.run, f"worker-{number}") for number in range(2)]
        answers = list(pool.map(place, targets))
        destroyed = {item for purge in purges for item in purge.result().destroyed}
    alive = {row.id: row for row in rows_of(ground.parts)}
    for item, answer in zip(targets, answers, strict=True):
        assert (answer.covered, answer.already_destroyed) in ((1, ()), (0, (item,)))
        if answer.covered:
            assert item not in destroyed and alive[item].state is State.STORED
            content_of(ground.parts, world.archive, alive[item])
        else:
            assert item in tombstones_of(ground.parts)
    assert set(alive) == {item for item, answer in zip(targets, answers, strict=True) if answer.covered}
    end_of(ground.parts, world.archive)


def test_a_hold_on_a_search_placed_during_the_purge_keeps_all_it_has_or_says_what_was_gone(ground: Ground) -> None:
    """At moments all over the run: what the hold took stands, what it did not was destroyed and is told."""
    world = ground.world
    receipts = filled(world, 60)
    review = (world.clock.now() + timedelta(days=30)).date()
    handler = world.actor(Role.PRIVACY_HANDLER)
    half = world.clock.now() - timedelta(days=190)

    def place(pause: float) -> HoldAnswer | None:
        time.sleep(pause)
        with suppress(NotFound):  # nothing of it is left to be found
            return world.archive.holds.place(
                handler, reason="claim", review_on=review, found_by=SearchQuery(started_until=half)
            )
        return None

    with ThreadPoolExecutor(6) as pool:
        purges = [pool.submit(world.archive.purge.run, f"worker-{number}") for number in range(2)]
        answers = [answer for answer in pool.map(place, [0.0, 0.15, 0.3, 0.5]) if answer is not None]
        destroyed = {item for purge in purges for item in purge.result().destroyed}
    alive = {row.id for row in rows_of(ground.parts) if row.state is State.STORED}
    assert destroyed == {receipt.id for receipt in receipts} - alive
    kept: set[str] = set()
    for answer in answers:
        assert set(answer.already_destroyed) <= set(tombstones_of(ground.parts))
        if answer.covered:
            with world.archive.database.read() as unit:
                items = {item for item, holds in unit.holds.covering(sorted(alive)).items() if answer.hold.id in holds}
            assert len(items) == answer.covered and answer.hold.snapshot == snapshot_digest(items)
            kept |= items
    assert kept == alive
    world.later(minutes=6)
    world.archive.purge.run("worker-last")
    assert {row.id for row in rows_of(ground.parts)} == kept
    for row in rows_of(ground.parts):
        content_of(ground.parts, world.archive, row)
    end_of(ground.parts, world.archive)


def test_of_two_approvers_at_once_one_carries_it_out(ground: Ground) -> None:
    world = ground.world
    (receipt,) = filled(world, 1)
    review = (world.clock.now() + timedelta(days=30)).date()
    handler = world.actor(Role.PRIVACY_HANDLER)
    hold = world.archive.holds.place(handler, reason="claim", review_on=review, communication_id=receipt.id).hold
    approvers = [world.actor(Role.APPROVER)]
    grants = (Grant(role=Role.APPROVER),)
    for name in ("approver-2", "approver-3"):
        approvers.append(
            actor_of(world.archive.accounts.add_user(name, display_name=name, password=None, grants=grants, by="t"))
        )
    proposal = world.archive.holds.propose_release(world.archive.approvals, handler, hold.id, reason="settled")
    together = Barrier(len(approvers))

    def approve(actor: Actor) -> bool:
        with another_process(world, ground.parts) as mine:
            together.wait()
            try:
                mine.archive.approvals.approve(actor, proposal.id)
            except Conflict:
                return False
        return True

    with ThreadPoolExecutor(len(approvers)) as pool:
        assert sorted(pool.map(approve, approvers)) == [False, False, True]
    assert len(ledger_of(ground.parts, LedgerKind.HOLD_RELEASED)) == 1
    assert world.archive.purge.run("worker-1").destroyed == [receipt.id]


def test_a_suspension_between_two_batches_stops_every_worker(ground: Ground) -> None:
    """Two workers in the middle of a night; a third process suspends; what was begun is finished, nothing new begins."""
    world = ground.world
    receipts = filled(world, 60)

    def suspend() -> None:
        with another_process(world, ground.parts) as mine:
            time.sleep(0.2)
            mine.archive.suspensions.suspend(world.actor(Role.ADMINISTRATOR), reason="an inquiry", days=2)

    with ThreadPoolExecutor(3) as pool:
        purges = [pool.submit(world.archive.purge.run, f"worker-{number}") for number in range(2)]
        pool.submit(suspend).result()
        reports = [purge.result() for purge in purges]
    gone = {item for report in reports for item in report.destroyed}
    assert set(tombstones_of(ground.parts)) == gone
    assert "suspended" in str(world.archive.purge.run("worker-3").stopped_because)
    world.later(days=2)
    world.archive.purge.run("worker-3")
    assert set(tombstones_of(ground.parts)) == {receipt.id for receipt in receipts}
    end_of(ground.parts, world.archive)


def test_the_guard_stops_both_workers_when_all_clocks_go_ahead(ground: Ground) -> None:
    world = ground.world
    world.archive.forecast.foresee()
    for number in range(25):
        world.store(f"call-{number}", CALL)
    world.later(days=1)
    world.archive.forecast.foresee()
    careful = replace(ground.parts, config=configuration())
    world.later(days=365)
    with another_process(world, careful) as one, another_process(world, careful) as other:
        for mine in (one, other):
            assert "25 communications are due" in str(mine.archive.purge.run("worker").stopped_because)
        one.archive.forecast.confirm(world.actor(Role.PRIVACY_HANDLER))
        assert len(other.archive.purge.run("worker").destroyed) == 25


def test_a_hold_on_a_customer_placed_during_the_purge_keeps_what_it_counted(ground: Ground) -> None:
    world = ground.world
    filled(world, 45)
    handler = world.actor(Role.PRIVACY_HANDLER)
    customer = world.archive.customers.search(handler, "1001")[0]
    review = (world.clock.now() + timedelta(days=30)).date()
    with ThreadPoolExecutor(2) as pool:
        purge = pool.submit(world.archive.purge.run, "worker-1")
        while len(tombstones_of(ground.parts)) < 10 and not purge.done():
            time.sleep(0.005)
        answer = world.archive.holds.place(handler, reason="claim", review_on=review, customer_id=customer.id)
        purge.result()
    rows = rows_of(ground.parts)
    assert len(rows) == answer.covered and {row.customer_id for row in rows} <= {customer.id}
    end_of(ground.parts, world.archive)


# --- ends that move against a running purge


def test_marks_and_ended_relationships_against_uploads_and_purges(ground: Ground) -> None:
    """Everybody at once on the rows of one customer: refusals are those of the rules, never those of locks."""
    world = ground.world
    receipts = filled(world, 48)
    over = Event()

    def mark() -> None:
        chance = random.Random(5)
        lead = world.actor(Role.TEAM_LEAD)
        for receipt in chance.sample(receipts, 30):
            for act in (world.archive.retention.do_not_keep, world.archive.retention.keep_after_all):
                with suppress(Destroyed, Conflict):
                    act(lead, receipt.id)

    def end_and_resume() -> None:
        for end in [date(2026, 12, 1), None, date(2027, 1, 1), None, date(2027, 5, 1)]:
            record = CustomerRecord(
                name="Virtanen Oy", number="1001", relationship_end=end, told=frozenset({"name", "relationship_end"})
            )
            with suppress(Conflict):
                world.archive.customers.put_customer(world.actor(Role.ADMINISTRATOR), record)

    def upload() -> None:
        for index in range(16):
            patient(partial(world.store, f"late-{index}", CALL, remote=number_of(index)))

    def purge(name: str) -> None:
        while not over.is_set():
            world.archive.purge.run(name)

    with ThreadPoolExecutor(6) as pool:
        purges = [pool.submit(purge, f"worker-{number}") for number in range(2)]
        acts: list[Future[None]] = [pool.submit(act) for act in (mark, end_and_resume, upload)]
        try:
            for future in acts:
                future.result()
        finally:
            over.set()
        for future in purges:
            future.result()
    end_of(ground.parts, world.archive)


def test_a_day_key_that_closes_under_uploads_of_that_day_takes_none_along(ground: Ground) -> None:
    """Old recordings, whose day of destruction is over, come while that day's keys close again and again."""
    world = ground.world
    long_ago = world.clock.now() - timedelta(days=900)
    over = Event()
    closed: list[str] = []

    def upload(number: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        chance = random.Random(number)
        until = time.monotonic() + 120
        while len(receipts) < 4 or (len(closed) < 3 and time.monotonic() < until):
            seen, patience = len(closed), time.monotonic() + chance.choice([0, 0.1, 6])
            while len(closed) == seen and time.monotonic() < patience:  # or a row always lies under the key
                time.sleep(0.01)
            ref = f"old-{number}-{len(receipts)}"
            times = {"started_at": long_ago, "ended_at": long_ago + timedelta(minutes=1)}
            receipts.append(patient(partial(world.store, ref, CALL, **times)))
        return receipts

    def close() -> None:
        while not over.is_set():
            closed.extend(world.archive.purge.run("worker-1").keys_destroyed)

    with ThreadPoolExecutor(4) as pool:
        closing = pool.submit(close)
        try:
            receipts = [receipt for batch in pool.map(upload, range(2)) for receipt in batch]
        finally:
            over.set()
        closing.result()
    look(ground.parts, world.archive)
    assert closed and len({receipt.id for receipt in receipts}) == len(receipts)
    stored = {row.id for row in rows_of(ground.parts)} | set(tombstones_of(ground.parts))
    assert {receipt.id for receipt in receipts} <= stored
    for _ in range(2):
        world.later(minutes=6)
        world.archive.purge.run("worker-1")
    end = end_of(ground.parts, world.archive)
    assert end.rows == () and end.objects == 0 and set(end.destroyed) == {"complete"}


class SlowKeyring(FaultyKeyring):
    """Something happens before the first wrap."""

    def __init__(self, inner: Keyring, meanwhile: Callable[[], object]) -> None:
        super().__init__(inner, Plan())
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    @override
    def wrap(self, key_id: str, secret: bytes, aad: bytes) -> bytes:
        if self._meanwhile:
            self._meanwhile.pop()()
        return super().wrap(key_id, secret, aad)


def test_a_day_key_that_dies_between_two_steps_of_an_upload_refuses_nothing() -> None:
    """The upload was told of an open key; before it wraps its own, the day closes. 410 would make the hook forget the call."""
    parts = memory_parts()
    with (world := make_world(parts=parts)).archive:
        long_ago = world.clock.now() - timedelta(days=900)
        old = partial(world.draft, started_at=long_ago, ended_at=long_ago + timedelta(minutes=1))
        world.archive.ingest.accept(world.source, old("old-1"), [CALL])
        closed: list[str] = []
        night = SlowKeyring(parts.keyring, lambda: closed.extend(world.archive.purge.run("worker-1").keys_destroyed))
        with another_process(world, replace(parts, keyring=night)) as other:
            receipt = other.archive.ingest.accept(world.source, old("old-2"), [CALL])
        assert closed == ["day/2024-12-05/1"]
        assert {row.id: row.key_id for row in rows_of(parts)} == {receipt.id: "day/2024-12-05/2"}
        look(parts, world.archive)


# --- one upload, many times at once


@pytest.mark.parametrize("contents", [1, 4], ids=["the same content", "four contents"])
def test_one_upload_sent_eight_times_at_once_is_stored_once(ground: Ground, contents: int) -> None:
    world = ground.world
    together = Barrier(8)
    metadata = {"source_id": "call-1", "channel": "call", "direction": "inbound", "started_at": "2026-11-22T11:00:00Z"}
    with serve(world.archive) as served, ThreadPoolExecutor(8) as pool:

        def send(index: int) -> tuple[int, dict[str, object]]:
            together.wait()
            answer = served.upload(world.token, metadata, CALL + bytes([index % contents]))
            return answer.status_code, answer.json()

        answers = list(pool.map(send, range(8)))
    statuses = Counter(status for status, _ in answers)
    same = 8 // contents
    assert statuses == Counter({201: 1, 200: same - 1, 409: 8 - same}) - Counter(), statuses
    accepted = {body["id"] for status, body in answers if status in (200, 201)}
    assert len(accepted) == 1
    rows = rows_of(ground.parts)
    assert [row.id for row in rows if row.conflict_of is None] == list(accepted)
    assert {row.id for row in rows} - accepted == {body["kept_as"] for status, body in answers if status == 409}
    end = end_of(ground.parts, world.archive)
    assert end.objects == len(rows)
    # Other content that had been kept aside before is not kept aside twice; at the same moment it may be.
    assert contents <= len(rows) <= 1 + statuses[409]
