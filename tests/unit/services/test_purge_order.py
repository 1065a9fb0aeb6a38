"""The order of writes of purge, ledger and keys: what is interrupted between two steps ends in the same place."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typing_extensions import override

from recvault.adapters.memory_ledger import MemoryLedger
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.system import START, FixedClock
from recvault.bootstrap import PERMANENT_KEYS, Archive, assemble
from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.domain.errors import LedgerFailure, StoreUnavailable, Unavailable
from recvault.domain.holds import Hold
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerEntry, LedgerKind
from recvault.domain.ports.keyring import KeyKind
from recvault.domain.ports.objects import DeleteFailure, ObjectVersion
from recvault.sealing.envelope import seal_envelope
from recvault.services.ledger import ANCHOR, PAYLOAD_TYPE, SIGNING_KEY, hold_body
from tests.support.archives import Parts, World, configuration, memory_parts, populate
from tests.support.certificates import verified

LEASE = timedelta(seconds=301)


class InterruptingClock(FixedClock):
    """Does something else, once, the next time it is asked after it was armed."""

    def __init__(self, moment: datetime = START) -> None:
        super().__init__(moment)
        self.then: Callable[[], object] | None = None

    @override
    def now(self) -> datetime:
        act, self.then = self.then, None
        if act is not None:
            act()
        return super().now()


class WatchedLedger(MemoryLedger):
    """Tells of each entry, and may fail, before or after it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[LedgerKind], object] = lambda kind: None
        self.after: Callable[[LedgerKind], object] = lambda kind: None

    @override
    def append(self, sequence: int, envelope: bytes) -> None:
        kind = LedgerKind(body_of(envelope)["kind"])
        self.before(kind)
        super().append(sequence, envelope)
        self.after(kind)


class StubbornStore(MemoryObjectStore):
    """Deletes nothing while it is down."""

    down = False

    @override
    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        if self.down:
            raise StoreUnavailable("the store does not answer; try again")
        return super().delete_versions(items)


@dataclass
class Bench:
    """A world on parts that can be interrupted."""

    parts: Parts
    clock: InterruptingClock
    ledger: WatchedLedger
    store: StubbornStore
    world: World
    archive: Archive = field(init=False)

    def __post_init__(self) -> None:
        self.archive = self.world.archive

    def another(self, ledger: MemoryLedger | None = None) -> Archive:
        """A second process on the same parts."""
        return on(self.parts, ledger)


def body_of(envelope: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return body


def on(parts: Parts, ledger: MemoryLedger | None = None, changes: Mapping[str, str] | None = None) -> Archive:
    return assemble(
        configuration(**(changes or {})),
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=ledger or parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
    )


def make_bench(**changes: str) -> Bench:
    parts = memory_parts()
    clock = InterruptingClock()
    ledger, store = WatchedLedger(), StubbornStore(clock=clock.now)
    parts.clock, parts.ledger, parts.store = clock, ledger, store
    parts.database.clock = clock  # type: ignore[attr-defined]
    for key_id, kind in PERMANENT_KEYS.items():
        parts.keyring.ensure(key_id, kind)
    parts.keyring._clock = clock  # type: ignore[attr-defined]
    archive = on(parts, changes=changes)
    return Bench(parts=parts, clock=clock, ledger=ledger, store=store, world=populate(archive, clock))


@pytest.fixture
def bench() -> Bench:
    return make_bench()


def kinds(ledger: MemoryLedger) -> list[LedgerKind]:
    return [LedgerKind(body_of(envelope)["kind"]) for _, envelope in ledger.read()]


def stage_of(archive: Archive, communication_id: str) -> Stage:
    with archive.database.read() as unit:
        return unit.destructions.get(communication_id).stage


# --- the ledger


def test_a_ledger_that_lost_its_end_is_not_followed(bench: Bench) -> None:
    bench.world.store("call-1")
    bench.world.later(days=190)
    bench.archive.purge.run("worker-1")
    with pytest.raises(LedgerFailure, match="entries are missing"):
        bench.another(MemoryLedger()).ledger.replay()
    with pytest.raises(LedgerFailure, match="entries are missing"):
        bench.another(MemoryLedger()).ledger.write(LedgerKind.DONE, {"items": []})


def test_a_ledger_of_another_history_is_not_followed(bench: Bench) -> None:
    bench.archive.ledger.write(LedgerKind.DONE, {"items": ["one"]})
    stranger = memory_parts()
    stranger.keyring = bench.parts.keyring
    stranger.keyring.set_anchor(ANCHOR, "0:")  # or it would remember the first history
    for _ in range(2):
        on(stranger).ledger.write(LedgerKind.DONE, {"items": ["another"]})
    assert isinstance(stranger.ledger, MemoryLedger)
    with pytest.raises(LedgerFailure, match="different histories"):
        bench.another(stranger.ledger).ledger.replay()


def test_a_hold_whose_commit_was_lost_between_intent_and_shredding_counts(bench: Bench) -> None:
    receipt = bench.world.store("call-1")
    bench.world.later(days=190)
    hold = Hold(
        id=uuid7(bench.clock.now(), bytes(10)),
        communication_id=receipt.id,
        customer_id=None,
        reason="claim",
        authority=None,
        placed_by="somebody",
        placed_at=bench.clock.now(),
        review_on=date(2030, 1, 1),
    )

    def written_and_lost() -> None:
        (*_, (sequence, envelope)) = bench.ledger.read()
        payload = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
        last = entry_of(payload)
        entry = LedgerEntry(
            sequence=sequence + 1,
            previous=last.digest(),
            at=bench.clock.now(),
            kind=LedgerKind.HOLD_PLACED,
            body=hold_body(hold),
        )
        keyring = bench.parts.keyring
        sealed = seal_envelope(entry.payload(), PAYLOAD_TYPE, SIGNING_KEY, lambda m: keyring.sign(SIGNING_KEY, m))
        bench.ledger.append(entry.sequence, sealed)

    def arm(kind: LedgerKind) -> None:
        if kind is LedgerKind.INTENT:
            bench.clock.then = written_and_lost

    bench.ledger.after = arm
    report = bench.archive.purge.run("worker-1")
    assert report.kept == [receipt.id] and report.destroyed == []


def entry_of(payload: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        sequence=payload["sequence"],
        previous=payload["previous"],
        at=datetime.fromisoformat(payload["at"]),
        kind=LedgerKind(payload["kind"]),
        body=payload["body"],
    )


# --- the purge


def test_a_worker_that_slept_past_its_lease_does_not_stop_what_another_shredded(bench: Bench) -> None:
    ended = bench.clock.now() - timedelta(hours=1)  # what is left of a shredded row gives another end
    receipt = bench.world.store("call-1", started_at=ended - timedelta(minutes=5), ended_at=ended)
    bench.world.later(days=190)
    bench.store.down = True

    def another_takes_over() -> None:
        bench.clock.advance(LEASE)
        assert bench.archive.purge.run("worker-2").unfinished == [receipt.id]

    def arm(kind: LedgerKind) -> None:
        bench.ledger.after = lambda kind: None
        bench.clock.then = another_takes_over

    bench.ledger.after = arm
    assert bench.archive.purge.run("worker-1").stopped == []
    bench.store.down = False
    bench.clock.advance(LEASE)
    assert bench.archive.purge.run("worker-1").destroyed == [receipt.id]


def test_a_store_that_is_down_ends_the_run_and_the_next_finishes_it() -> None:
    bench = make_bench(PURGE__BATCH_SIZE="2")
    ids = sorted(bench.world.store(f"call-{n}").id for n in range(5))
    bench.world.later(days=190)
    bench.store.down = True
    assert sorted(bench.archive.purge.run("worker-1").unfinished) == ids
    assert {stage_of(bench.archive, one) for one in ids} == {Stage.SHREDDED}
    bench.store.down = False
    bench.clock.advance(LEASE)
    assert bench.archive.purge.run("worker-1").destroyed == ids
    assert Stage.SHREDDED not in {stage_of(bench.archive, one) for one in ids}


def test_the_outcome_is_in_the_ledger_before_the_row_is_gone(bench: Bench) -> None:
    receipt = bench.world.store("call-1")
    bench.world.later(days=190)

    def fail(kind: LedgerKind) -> None:
        if kind is LedgerKind.DONE:
            raise Unavailable("the ledger's second place is not there; mount its disk")

    bench.ledger.before = fail
    with pytest.raises(Unavailable):
        bench.archive.purge.run("worker-1")
    assert stage_of(bench.archive, receipt.id) is Stage.SHREDDED
    bench.ledger.before = lambda kind: None
    bench.clock.advance(LEASE)
    assert bench.archive.purge.run("worker-1").destroyed == [receipt.id]
    assert kinds(bench.ledger)[1:] == [LedgerKind.INTENT, LedgerKind.DONE, LedgerKind.KEYS_DESTROYED]


def test_a_process_that_never_met_the_policy_version_destroys_by_it(bench: Bench) -> None:
    receipt = bench.world.store("call-1")
    bench.world.later(days=190)
    assert bench.another().purge.run("worker-2").destroyed == [receipt.id]


def test_everything_certified_is_looked_for_again() -> None:
    bench = make_bench(PURGE__BATCH_SIZE="2")
    ids = sorted(bench.world.store(f"call-{n}").id for n in range(5))
    bench.world.later(days=190)
    bench.archive.purge.run("worker-1")
    for one in ids:
        bench.store.put(f"{one}/original.1", [b"put back from a copy"])
    bench.world.later(days=1)
    assert sorted(bench.archive.purge.recheck()) == ids
    assert bench.archive.purge.recheck() == []
    assert list(bench.store.list_versions("")) == []


# --- keys


def test_a_database_that_calls_a_living_key_destroyed_gets_no_certificate(bench: Bench) -> None:
    receipt = bench.world.store("call-1")
    bench.archive.retention.do_not_keep(bench.world.actor(Role.TEAM_LEAD), receipt.id)
    bench.world.later(hours=25)
    bench.archive.purge.run("worker-1")
    bench.world.later(days=1)
    bench.archive.purge.settle()
    with bench.archive.database.begin() as unit:
        for key_id in unit.destructions.get(receipt.id).key_ids:
            unit.period_keys.mark_destroyed(key_id, bench.clock.now())
        unit.commit()
    bench.world.later(days=1)
    report = bench.archive.purge.settle()
    assert report.completed == [] and report.stopped == [receipt.id]
    assert stage_of(bench.archive, receipt.id) is Stage.INACCESSIBLE


def test_the_certificate_names_the_keys_that_still_live(bench: Bench) -> None:
    receipt = bench.world.store("call-1")
    handler = bench.world.actor(Role.PRIVACY_HANDLER)
    placed = bench.archive.holds.place(handler, reason="claim", review_on=date(2030, 1, 1), communication_id=receipt.id)
    bench.world.later(days=190)
    bench.archive.purge.run("worker-1")
    bench.world.later(days=8)  # no backup was verified: the day's key has waited long enough
    assert len(bench.archive.purge.settle().keys_destroyed) == 1
    bench.world.release(placed.hold)
    assert bench.archive.purge.run("worker-1").destroyed == [receipt.id]
    with bench.archive.database.read() as unit:
        tombstone = unit.destructions.get(receipt.id)
    body = verified(bench.archive, receipt.id)
    claims = body["claims"]
    assert isinstance(claims, dict)
    assert len(tombstone.key_ids) > 2  # the month has changed too
    assert claims["keys_still_alive"] == [key for key in tombstone.key_ids if key.startswith("frozen/")]


def test_a_restored_database_makes_no_key_under_an_id_that_was_destroyed(bench: Bench) -> None:
    bench.parts.keyring.ensure("day/2024-09-01/1", KeyKind.WRAP)
    bench.parts.keyring.destroy(["day/2024-09-01/1"])
    long_ago = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
    receipt = bench.world.store("old-1", started_at=long_ago, ended_at=long_ago + timedelta(minutes=4))
    with bench.archive.database.read() as unit:
        assert unit.communications.get(receipt.id).key_id == "day/2024-09-01/2"
