"""The purge at work on many: overlapping batches, leases that are renewed or lost, what was kept, what was stopped, and that
nothing which points to a person outlives the shredding transaction."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from typing_extensions import override

from recvault.adapters.database.tables import metadata
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Party, PartyKind, State
from recvault.domain.destruction import Stage, WhyResumed
from recvault.domain.errors import Conflict, Destroyed, Forbidden, NotFound, StoreUnavailable
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.objects import DeleteFailure, ObjectVersion
from recvault.domain.purpose import Purpose
from recvault.services import purge
from tests.contract.database_kit import Aside
from tests.support.archives import Parts, World, configuration, make_world, memory_parts
from tests.support.certificates import verified
from tests.support.worlds import another_process

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 10
STRANGER = Party(kind=PartyKind.TEL, value="+358401234999", as_sent="040 123 4999", name="Outi Outolintu")


class WaitingStore(MemoryObjectStore):
    """Its first deletion tells that it began, and goes on when it may; it may also be down."""

    def __init__(self, **kept: Any) -> None:
        super().__init__(**kept)
        self.waits = False
        self.down = False
        self.began, self.may = threading.Event(), threading.Event()

    @override
    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        if self.down:
            raise StoreUnavailable("the store does not answer; try again")
        if self.waits and not self.began.is_set():
            self.began.set()
            assert self.may.wait(30)
        return super().delete_versions(items)


def made(**changes: str) -> tuple[World, Parts, WaitingStore]:
    parts = memory_parts()
    store = WaitingStore(clock=parts.clock.now)
    parts.store, parts.config = store, configuration(PURGE__GUARD_ITEMS="1000", **changes)
    return make_world(parts=parts), parts, store


def due(world: World, count: int, **changes: object) -> list[str]:
    ids = sorted(world.store(f"call-{number}", CALL + bytes([number]), **changes).id for number in range(count))
    world.later(days=190)
    return ids


def entries(parts: Parts, *kinds: LedgerKind) -> list[tuple[LedgerKind, list[str]]]:
    found = [json.loads(base64.b64decode(json.loads(envelope)["payload"])) for _, envelope in parts.ledger.read()]
    return [(LedgerKind(one["kind"]), one["body"].get("items", [])) for one in found if one["kind"] in kinds]


DESTRUCTION = (LedgerKind.INTENT, LedgerKind.KEPT, LedgerKind.DONE)


# --- batches


def test_the_next_batch_is_shredded_while_the_store_deletes_the_last() -> None:
    world, parts, store = made(PURGE__BATCH_SIZE="2")
    ids = due(world, 5)
    store.waits = True
    run = Aside(lambda: world.archive.purge.run("worker-1"))
    assert store.began.wait(30)
    with world.archive.database.read() as unit:
        first = {row.id for row in unit.communications.find(ids) if row.state is State.DESTROYING}
    shredded: set[str] = set()
    for _ in range(300):  # the second batch loses its keys although nothing of the first is deleted yet
        with world.archive.database.read() as unit:
            shredded = {row.id for row in unit.communications.find(ids) if row.state is State.DESTROYING}
        if len(shredded) == 4:
            break
        threading.Event().wait(0.02)
    assert first <= shredded and len(shredded) == 4
    store.may.set()
    assert sorted(run.join().destroyed) == ids
    kinds = [kind for kind, _ in entries(parts, *DESTRUCTION)]
    assert kinds.count(LedgerKind.INTENT) == kinds.count(LedgerKind.DONE) == 3


def test_a_run_begins_with_a_small_batch_so_that_the_store_has_work_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "FIRST", 2)
    world, parts, _ = made(PURGE__BATCH_SIZE="3")
    ids = due(world, 6)
    assert sorted(world.archive.purge.run("worker-1").destroyed) == ids
    sizes = [len(items) for _, items in entries(parts, LedgerKind.INTENT)]
    assert sizes == [2, 3, 1]
    assert {verified(world.archive, one)["item"] for one in ids} == set(ids)


def test_one_certificate_stands_for_all_of_a_batch() -> None:
    world, _, _ = made()
    ids = due(world, 7)
    world.archive.purge.run("worker-1")
    said = [verified(world.archive, one) for one in ids]
    assert {body["certificate"] for body in said} == {said[0]["certificate"]} and said[0]["count"] == 7
    assert [body["item"] for body in said] == ids


def test_a_fault_while_the_next_batch_begins_leaves_the_last_one_certified() -> None:
    world, parts, _ = made(PURGE__BATCH_SIZE="2")
    ids = due(world, 4)
    intents = 0
    append = parts.ledger.append

    def fail_at_the_second_intent(sequence: int, envelope: bytes) -> None:
        nonlocal intents
        intents += json.loads(base64.b64decode(json.loads(envelope)["payload"]))["kind"] == LedgerKind.INTENT
        if intents == 2:
            intents += 1
            raise StoreUnavailable("the store does not answer; try again")
        append(sequence, envelope)

    parts.ledger.append = fail_at_the_second_intent  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        world.archive.purge.run("worker-1")
    with world.archive.database.read() as unit:
        assert sorted(item.stage for item in unit.destructions.find(ids).values()) == [Stage.INACCESSIBLE] * 2
    world.later(minutes=6)
    assert len(world.archive.purge.run("worker-1").destroyed) == 2


# --- leases


def test_a_lease_lasts_as_long_as_the_store_takes() -> None:
    world, parts, store = made()
    world.archive.purge._limits = replace(world.archive.purge._limits, lease=timedelta(seconds=6))
    (one,) = due(world, 1)
    store.waits = True
    run = Aside(lambda: world.archive.purge.run("worker-1"))
    assert store.began.wait(30)
    for _ in range(3):
        world.later(seconds=4)
        threading.Event().wait(2.7)  # more than a third of the lease in real time: renewed by now
    with another_process(world, parts) as other:
        report = other.archive.purge.run("worker-2")
    assert (report.destroyed, report.unfinished) == ([], [])
    store.may.set()
    assert run.join().destroyed == [one]


def test_a_lost_lease_ends_harmlessly_after_the_store_has_answered() -> None:
    world, parts, store = made()
    (one,) = due(world, 1)
    store.waits = True
    run = Aside(lambda: world.archive.purge.run("worker-1"))
    assert store.began.wait(30)
    world.later(minutes=6)
    with another_process(world, parts) as other:
        assert other.archive.purge.run("worker-2").destroyed == [one]
    store.may.set()
    report = run.join()
    assert (report.destroyed, report.unfinished, report.stopped) == ([], [], [])
    assert [kind for kind, _ in entries(parts, *DESTRUCTION)] == [LedgerKind.INTENT, LedgerKind.DONE]
    assert verified(world.archive, one)["count"] == 1


def after_the_intent(world: World, parts: Parts, act: Callable[[], object]) -> None:
    """Does something between the intent of the next batch and its shredding."""
    append, begin = parts.ledger.append, world.archive.database.begin
    written = threading.Event()

    def watched(sequence: int, envelope: bytes) -> None:
        append(sequence, envelope)
        if json.loads(base64.b64decode(json.loads(envelope)["payload"]))["kind"] == LedgerKind.INTENT:
            written.set()

    def begun() -> Any:
        if written.is_set():
            parts.ledger.append = append  # type: ignore[method-assign]
            written.clear()
            act()
        return begin()

    parts.ledger.append = watched  # type: ignore[method-assign]
    world.archive.database.begin = begun  # type: ignore[method-assign]


def test_a_lease_lost_before_the_shredding_ends_harmlessly() -> None:
    world, parts, _ = made()
    lost, mine = due(world, 2)

    def taken_over() -> None:
        now = world.clock.now()
        with world.archive.database.begin() as unit:
            unit.communications.release_claims([lost], "worker-1")
            until = now + timedelta(minutes=5)
            assert len(unit.communications.claim_due(now=now, limit=9, worker="worker-2", lease_until=until)) == 1
            unit.commit()

    after_the_intent(world, parts, taken_over)
    report = world.archive.purge.run("worker-1")
    assert (report.destroyed, report.kept, report.stopped, report.unfinished) == ([mine], [], [], [])
    with world.archive.database.read() as unit:
        (row,) = unit.communications.find([lost])
    assert row.state is State.STORED and row.wrapped_key is not None
    world.later(minutes=6)
    assert world.archive.purge.run("worker-3").destroyed == [lost]
    assert verified(world.archive, lost)["count"] == 1


# --- kept and stopped


def test_what_was_kept_of_an_intent_is_in_the_ledger() -> None:
    world, parts, _ = made()
    ids = due(world, 3)
    handler = world.actor(Role.PRIVACY_HANDLER)

    def place() -> None:
        review = (world.clock.now() + timedelta(days=100)).date()
        world.archive.holds.place(handler, reason="claim", review_on=review, communication_id=ids[1])

    after_the_intent(world, parts, place)
    report = world.archive.purge.run("worker-1")
    assert (report.kept, report.destroyed) == ([ids[1]], [ids[0], ids[2]])
    assert entries(parts, *DESTRUCTION) == [
        (LedgerKind.INTENT, ids),
        (LedgerKind.KEPT, [ids[1]]),
        (LedgerKind.DONE, [ids[0], ids[2]]),
    ]
    world.archive.ledger.verify()


def stopped(world: World) -> str:
    """A communication whose end somebody edited, stopped by the purge."""
    receipt = world.store("call-1", CALL)
    edited = text("UPDATE communications SET destroy_at = destroy_at - 8640000000000")
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(edited)
    world.later(days=100)
    world.archive.forecast.confirm(world.actor(Role.PRIVACY_HANDLER))
    assert world.archive.purge.run("worker-1").stopped == [receipt.id]
    return receipt.id


def test_what_was_stopped_goes_on_by_the_policy_once_a_person_has_looked() -> None:
    world, parts, _ = made()
    one = stopped(world)
    handler = world.actor(Role.PRIVACY_HANDLER)
    assert world.archive.purge.run("worker-1").stopped == []
    with pytest.raises(Forbidden):
        world.archive.stopped.resume(world.actor(Role.AUDITOR), one, WhyResumed.EDIT_EXPLAINED)
    row = world.archive.stopped.resume(handler, one, WhyResumed.EDIT_EXPLAINED)
    assert row.destroy_at > world.clock.now(), "the end of the policy, not the edited one"
    assert world.archive.purge.run("worker-1").destroyed == []
    with world.archive.database.read() as unit:
        (entry,) = [entry for entry in unit.audit.about(one, 20) if entry.act is Act.ITEM_RESUMED]
    assert entry.actor == handler.id and entry.detail["reason"] == "edit-explained"
    assert entry.detail["before"] != entry.detail["after"]
    with pytest.raises(Conflict, match="not stopped"):
        world.archive.stopped.resume(handler, one, WhyResumed.EDIT_EXPLAINED)
    world.later(days=90)
    world.archive.forecast.confirm(handler)
    assert world.archive.purge.run("worker-1").destroyed == [one]
    assert [kind for kind, _ in entries(parts, *DESTRUCTION)] == [
        LedgerKind.INTENT,
        LedgerKind.KEPT,
        LedgerKind.INTENT,
        LedgerKind.DONE,
    ]
    with pytest.raises(Destroyed):
        world.archive.stopped.resume(handler, one, WhyResumed.DISK_FAULT)
    with pytest.raises(NotFound):
        world.archive.stopped.resume(handler, uuid7(world.clock.now(), bytes(10)), WhyResumed.DISK_FAULT)


# --- what points to a person


def everything(parts: Parts, *, but: Collection[str]) -> str:
    """All rows of all tables as text, bytes in hex."""
    found: list[str] = []
    with parts.database.schema_reading() as connection:
        for table in metadata.sorted_tables:
            if table.name not in but:
                for row in connection.execute(select(table)):
                    found.append(" ".join(v.hex() if isinstance(v, bytes) else str(v) for v in row))
    return "\n".join(found)


def test_nothing_that_points_to_a_person_outlives_the_shredding_transaction() -> None:
    world, parts, store = made()
    marks = {"queue": "merkki-jono", "team": "merkki-tiimi", "agent": "merkki-agentti"}
    receipt = world.store(
        "merkki-viite", CALL, remote=STRANGER, tags=frozenset({"merkki-tagi"}), case_ref="MERKKI-7", **marks
    )
    trainee = world.actor(Role.TRAINEE)
    with world.archive.database.begin() as unit:
        row = unit.communications.get(receipt.id)
        unit.accounts.release_to(receipt.id, trainee.id, world.clock.now() + timedelta(days=900))
        unit.commit()
    world.archive.retrieval.open(world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, case_ref="T-1")
    secrets = [row.wrapped_key, row.sealed_fields, row.sealed_manifest]
    words = [STRANGER.value, "merkki-jono", "merkki-tiimi", "merkki-tagi", "MERKKI-7", row.contact_point_id]
    before = everything(parts, but=("agents",))
    assert all(str(word) in before for word in words) and all(secret and secret.hex() in before for secret in secrets)
    world.clock.set(row.destroy_at + timedelta(hours=1))
    store.down = True  # so that the night ends after the shredding transaction
    assert world.archive.purge.run("worker-1").unfinished == [receipt.id]
    after = everything(parts, but=("agents",))
    assert [word for word in words if str(word) in after] == []
    assert not any(secret and secret.hex() in after for secret in secrets)
    with world.archive.database.read() as unit:
        assert not unit.accounts.released_to(receipt.id, trainee.id, world.clock.now())
        assert unit.destructions.get(receipt.id).source_ref_hash is not None
    with pytest.raises(Destroyed):
        world.store("merkki-viite", CALL)
    store.down = False
    world.later(minutes=6)
    world.archive.forecast.confirm(world.actor(Role.PRIVACY_HANDLER))
    assert world.archive.purge.run("worker-1").destroyed == [receipt.id]
    with pytest.raises(Destroyed):  # by the tombstone alone: a keyed hash of what the source called it
        world.store("merkki-viite", CALL + b"other")


def test_a_contact_point_that_another_call_needs_stays() -> None:
    world, parts, _ = made()
    world.store("gone", CALL, remote=STRANGER)
    kept = world.store("kept", CALL, remote=STRANGER, case_ref="T-9")
    world.later(days=190)
    assert len(world.archive.purge.run("worker-1").destroyed) == 1
    with world.archive.database.read() as unit:
        point = unit.communications.get(kept.id).contact_point_id
    assert point is not None and point in everything(parts, but=("communications",))


def test_an_opened_playback_ends_with_the_key() -> None:
    world, _, store = made()
    receipt = world.store("call-1", CALL)
    world.later(days=179)
    opened = world.archive.retrieval.open(world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, case_ref="T-1")
    store.down = True
    world.clock.set(receipt.destroy_at + timedelta(seconds=1))
    assert world.archive.purge.run("worker-1").unfinished == [receipt.id]
    with pytest.raises((NotFound, Destroyed)):
        world.archive.retrieval.playback(world.actor(Role.VERIFIER), opened.secret)
