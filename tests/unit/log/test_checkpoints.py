"""Checkpoints: published in time, never smaller, never another tree; those outside are told, and told again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recvault.domain.audit import Act
from recvault.domain.checkpoints import COSIGNATURE, Checkpoint, NoteKey, Signature, parse_checkpoint
from recvault.domain.errors import AuditFailure, Unavailable
from recvault.domain.log_tree import check_consistency
from recvault.domain.ports.publication import Addition, KnowsAnother
from recvault.sealing import notes
from recvault.services.checkpoints import ANCHOR, Checkpoints, object_name, published
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


def acts(world: World, count: int) -> None:
    """Commits so many acts and numbers them."""
    with world.archive.database.begin() as unit:
        world.archive.audit.record_each(
            unit, actor="system:test", act=Act.VIEWED, targets=[f"item-{number}" for number in range(count)]
        )
        unit.commit()
    world.archive.audit.sequence()


def stored(world: World) -> list[str]:
    return [version.name for version in world.archive.store.list_versions("log/")]


def read(world: World, name: str) -> Checkpoint:
    return parse_checkpoint(b"".join(world.archive.store.get(name, None)).decode())


def test_a_log_is_published_after_a_minute_or_a_thousand_entries(world: World) -> None:
    points = world.archive.checkpoints
    assert points.latest() is None
    world.archive.audit.sequence()
    first = points.publish()
    assert first is not None and first == points.latest()
    notes.verify(first, points.key())
    acts(world, 10)
    assert points.publish() is None
    world.later(seconds=61)
    second = points.publish()
    assert second is not None and second.size == first.size + 10
    acts(world, 999)
    assert points.publish() is None
    acts(world, 1)
    third = points.publish()
    assert third is not None and third.size == second.size + 1000
    world.later(hours=1)
    assert points.publish() is None  # nothing is new
    assert stored(world) == [object_name(1, one.size) for one in (first, second, third)]
    assert [read(world, name) for name in stored(world)] == [first, second, third]
    last = published(world.archive.keyring)
    assert last is not None and (last.epoch, last.head.size, last.head.root) == (1, third.size, third.root)


def test_a_crash_between_any_two_places_is_followed_by_the_same_note(world: World) -> None:
    points, keyring = world.archive.checkpoints, world.archive.keyring
    acts(world, 3)
    made = points.publish()
    assert made is not None
    # The store has it; keyring and database have not.
    keyring.set_anchor(ANCHOR, "1:0:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    with world.archive.database.schema_work() as rows:  # type: ignore[attr-defined]
        rows.exec_driver_sql("DELETE FROM audit_checkpoints")
    assert points.publish() == made
    assert len(stored(world)) == 1
    last = published(keyring)
    assert last is not None and last.head.size == made.size


def rolled_back(world: World, rows: int) -> None:
    """The database as it was so many entries ago, as a copy of its files would be."""
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        size = connection.exec_driver_sql("SELECT size FROM audit_head").scalar_one() - rows
        hashes = connection.exec_driver_sql("SELECT hashes FROM audit_tiles WHERE level = 0").scalar_one()
        connection.exec_driver_sql("DELETE FROM audit_entries WHERE number >= ? OR number IS NULL", (size,))
        connection.exec_driver_sql("UPDATE audit_tiles SET hashes = ?", (hashes[: size * 32],))
        from recvault.domain.log_tree import root_at_edge

        root = root_at_edge(size, {(0, 0): hashes[: size * 32]})
        connection.exec_driver_sql("UPDATE audit_head SET size = ?, root = ?", (size, root))
        connection.exec_driver_sql("DELETE FROM audit_checkpoints")


def test_a_database_put_back_publishes_nothing(world: World) -> None:
    points = world.archive.checkpoints
    acts(world, 20)
    points.publish()
    rolled_back(world, 5)
    world.later(minutes=2)
    assert world.archive.audit.verify().size > 0  # it agrees with itself
    with pytest.raises(AuditFailure, match=r"were published.*ledger replay"):
        points.publish()
    acts(world, 50)  # and goes on, beyond what was published
    with pytest.raises(AuditFailure, match="are not those that were published"):
        points.publish()
    with pytest.raises(AuditFailure, match="not those"):
        points.check()
    assert len(stored(world)) == 1


def test_a_keyring_put_back_with_the_database_is_told_by_the_store(world: World) -> None:
    points, keyring = world.archive.checkpoints, world.archive.keyring
    acts(world, 5)
    points.publish()
    before = keyring.anchor(ANCHOR)
    acts(world, 20)
    points.publish(at_once=True)
    rolled_back(world, 20)
    assert before is not None
    keyring.set_anchor(ANCHOR, before)
    with pytest.raises(AuditFailure, match="were published"):
        points.publish(at_once=True)
    acts(world, 20)
    with pytest.raises(AuditFailure, match="not those that were published"):
        points.publish(at_once=True)


@dataclass
class Watcher:
    """A witness in this process: it keeps the last checkpoint it saw."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    seen: Checkpoint | None = None
    away: bool = False
    refuses: bool = False
    name: str = "witness-test"

    @property
    def note_key(self) -> NoteKey:
        return NoteKey(name="watcher", kind=COSIGNATURE, public=self.key.public_key().public_bytes_raw())

    def tell(self, addition: Addition) -> tuple[Signature, ...]:
        if self.away:
            raise Unavailable("nobody answers; try again")
        if self.refuses:
            raise AuditFailure("the witness refuses; ask it")
        old = self.seen.size if self.seen else 0
        if addition.old != old:
            raise KnowsAnother(old)
        new = addition.checkpoint
        if self.seen is not None:
            check_consistency(old, self.seen.root, new.size, new.root, addition.proof)
        self.seen = new
        return (notes.cosign(new, self.note_key, self.key.sign, at=datetime(2026, 11, 22, tzinfo=UTC)),)


def seen_by(watcher: Watcher) -> str:
    return "" if watcher.seen is None else watcher.seen.body()


def watched(world: World, *watchers: Watcher) -> Checkpoints:
    archive = world.archive
    return Checkpoints(
        database=archive.database,
        store=archive.store,
        keyring=archive.keyring,
        audit=archive.audit,
        clock=archive.clock,
        rules=archive.checkpoints._rules,
        outlets=watchers,
    )


def test_what_a_witness_signs_is_published_with_the_checkpoint(world: World) -> None:
    watcher = Watcher()
    points = watched(world, watcher)
    acts(world, 3)
    points.publish()
    acts(world, 300)
    made = points.publish(at_once=True)
    latest = points.latest()
    assert made is not None and latest is not None and latest.size == made.size
    notes.verify(latest, points.key())
    assert notes.verify_cosignature(latest, watcher.note_key) == datetime(2026, 11, 22, tzinfo=UTC)
    cosigned = read(world, f"{object_name(1, made.size)}.{watcher.note_key.key_hash.hex()}")
    notes.verify_cosignature(cosigned, watcher.note_key)


def test_who_was_away_or_starts_anew_is_told_again(world: World) -> None:
    watcher, other = Watcher(away=True), Watcher(name="witness-other")
    points = watched(world, watcher, other)
    acts(world, 3)
    with pytest.raises(Unavailable, match="witness-test: nobody answers"):
        points.publish()
    assert seen_by(other)  # one that is away keeps nothing from the others
    watcher.away = False
    points.publish()
    assert not seen_by(watcher)  # not at once
    world.later(seconds=61)
    points.publish()
    assert seen_by(watcher) == seen_by(other)
    other.seen = None  # it lost its state, and says so
    acts(world, 300)
    points.publish(at_once=True)
    assert watcher.seen is not None and seen_by(other) == watcher.seen.body()


def test_a_witness_that_refuses_stands_in_the_log(world: World) -> None:
    points = watched(world, Watcher(refuses=True))
    acts(world, 3)
    with pytest.raises(Unavailable, match="the witness refuses"):
        points.publish()
    with world.archive.database.read() as unit:
        assert [entry.act for entry in unit.audit.about("witness-test", 5)] == [Act.WITNESS_REFUSED]
