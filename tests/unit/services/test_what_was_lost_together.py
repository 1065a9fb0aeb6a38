"""All copies of one thing lost or put back together: the ledger's end, the keyring's places, and what tells of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring
from recvault.adapters.ledger_store import ReplicatedLedger, entry_name
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.domain.access import Role
from recvault.domain.approvals import ProposalState
from recvault.domain.audit import Act
from recvault.domain.errors import (
    AuditFailure,
    Conflict,
    Forbidden,
    KeyDestroyed,
    KeyringError,
    LedgerFailure,
    Unavailable,
)
from recvault.domain.ledger import LedgerKind
from recvault.domain.log_query import LogQuery
from tests.support.archives import World
from tests.support.interruptions import CALL, hold
from tests.unit.services.test_restore import Bench, bench  # noqa: F401 - a fixture

REASON = "both disks are gone"


def lose(bench: Bench, first: int, last: int) -> None:  # noqa: F811 - a parameter
    for place in (bench.directory / "ledger", bench.directory / "objects"):
        for number in range(first, last + 1):
            (place / entry_name(number)).unlink()
    bench.parts.ledger = ReplicatedLedger(bench.parts.store, bench.directory / "ledger")


def accept(world: World) -> None:
    """As the command does, on an archive that serves nothing."""
    archive = world.archive
    with archive.database.unjudged():
        proposal = archive.ledger_loss.propose(archive.approvals, world.actor(Role.PRIVACY_HANDLER), REASON)
        done = archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    assert done.state is ProposalState.CARRIED_OUT


def test_a_lost_end_is_told_and_two_people_go_on_without_it(bench: Bench) -> None:  # noqa: F811
    kept, other = bench.world.store("kept", CALL), bench.world.store("other", CALL)
    hold(bench.world, kept)
    first = bench.world.archive.ledger.verify().sequence
    hold(bench.world, other)
    lose(bench, first + 1, first + 1)
    bench.parts.database.close()
    with bench.another() as again:
        with pytest.raises(LedgerFailure):
            again.archive.restore.stand()
        loss = again.archive.ledger_loss.told()
        assert (loss.first, loss.last, loss.unknown) == (first + 1, first + 1, 0), "the database had followed it"
        accept(again)
        again.archive.restore.stand()
        assert again.archive.ledger.verify().sequence == first + 1
        entry = again.archive.ledger.entry(first + 1)
        assert entry.kind is LedgerKind.LOSS_ACCEPTED
        assert (entry.body["first"], entry.body["last"]) == (first + 1, first + 1)
        assert again.archive.suspensions.standing(again.clock.now()) is not None, "people look first"
        with again.archive.database.read() as unit:
            assert unit.holds.covering([other.id]), "what the database had followed stands in it"
        with pytest.raises(Conflict, match="no entry"):
            again.archive.ledger_loss.told()
        hold(again, again.store("new", CALL))


def test_entries_that_the_database_never_followed_are_unknown(bench: Bench) -> None:  # noqa: F811
    kept = bench.world.store("kept", CALL)
    first = bench.world.archive.ledger.verify().sequence
    copy = bench.copy()
    hold(bench.world, kept)
    bench.put_back(copy)
    lose(bench, first + 1, first + 1)
    with bench.another() as again:
        loss = again.archive.ledger_loss.told()
        assert (loss.first, loss.last, loss.unknown) == (first + 1, first + 1, 1)
        accept(again)
        again.archive.restore.replay()
        again.archive.restore.stand()
        with again.archive.database.read() as unit:
            assert not unit.holds.covering([kept.id])
        assert again.archive.purge.forecast().stopped_because is not None


def test_one_person_does_not_go_on_alone_and_nothing_else_was_lost_meanwhile(bench: Bench) -> None:  # noqa: F811
    hold(bench.world, bench.world.store("kept", CALL))
    last = bench.world.archive.ledger.verify().sequence
    with pytest.raises(Conflict, match="no entry"):
        bench.world.archive.ledger_loss.told()
    lose(bench, last, last)
    with bench.another() as again, again.archive.database.unjudged():
        handler = again.actor(Role.PRIVACY_HANDLER)
        proposal = again.archive.ledger_loss.propose(again.archive.approvals, handler, REASON)
        with pytest.raises(Forbidden):
            again.archive.approvals.approve(handler, proposal.id)
        lose(bench, last - 1, last - 1)
        again.archive.ledger._store = bench.parts.ledger  # a process that looks anew
        with pytest.raises(Conflict, match="not as it was"):
            again.archive.approvals.approve(again.actor(Role.APPROVER), proposal.id)


def test_a_keyring_put_back_in_all_places_serves_nothing_until_it_is_taken(bench: Bench) -> None:  # noqa: F811
    directory, old = bench.directory / "keyring", bench.directory / "keyring.before"
    first = bench.world.store("first", CALL)
    shutil.copytree(directory, old)
    bench.world.later(days=190)
    assert bench.world.archive.purge.run("w").destroyed == [first.id]
    bench.world.later(days=8)
    bench.world.archive.purge.settle()
    bench.world.later(seconds=61)
    bench.world.archive.purge.settle()
    died = [key.id for key in bench.world.archive.keyring.list("day/") if key.destroyed_at is not None]
    assert died
    put_back(bench, old, directory)
    with bench.another() as again:
        assert again.archive.keyring.info(died[0]).destroyed_at is None, "it lives again"
        with pytest.raises(KeyringError, match="older than the ledger"):
            again.archive.keyring_age.require_newest()
        assert again.archive.keyring_age.accept("system:operator") == died
        with pytest.raises(KeyDestroyed):
            again.archive.keyring.wrap(died[0], bytes(32), b"")
        again.archive.keyring_age.require_newest()
        again.archive.audit.sequence()
        with again.archive.database.read() as unit:
            told = unit.audit.search(LogQuery(acts=frozenset({Act.KEYS_RESTORED})))
            assert [one.entry.actor for one in told] == ["system:operator"]
            with pytest.raises(AuditFailure, match="older than the database"):
                unit.audit.read(0, 1000)  # the entries of the months whose keys went with the newer keyring


def test_a_keyring_that_only_misses_what_the_ledger_acknowledged_is_noticed_too(bench: Bench) -> None:  # noqa: F811
    directory, old = bench.directory / "keyring", bench.directory / "keyring.before"
    kept = bench.world.store("kept", CALL)
    shutil.copytree(directory, old)
    hold(bench.world, kept)
    bench.world.archive.keyring_age.require_newest()
    put_back(bench, old, directory)
    with bench.another() as again:
        with pytest.raises(KeyringError, match="older than the ledger"):
            again.archive.keyring_age.require_newest()
        assert again.archive.keyring_age.accept("system:operator") == []
        again.archive.keyring_age.require_newest()


def put_back(bench: Bench, old: Path, directory: Path) -> None:  # noqa: F811
    """The files of before in the keyring's only place, and a process that knows nothing of the newer ones."""
    bench.parts.database.close()
    shutil.rmtree(directory)
    old.rename(directory)
    bench.parts.keyring = FileKeyring(
        directory=directory,
        root=RootKeyFile(bench.directory / "root" / "root.key"),
        clock=bench.parts.clock,
        entropy=bench.parts.entropy,
    )


def test_a_database_put_back_cold_without_an_entry_of_the_ledger_since_is_not_swept(bench: Bench) -> None:  # noqa: F811
    """The audit log tells of it: what was published of it is anchored in the keyring."""
    world = bench.world
    before = bench.database.stat()
    world.archive.audit.sequence()
    copy = bench.copy()
    world.store("acknowledged", CALL)
    world.archive.audit.sequence()
    world.archive.checkpoints.publish()
    bench.parts.database.close()
    with bench.database.open("r+b") as place:  # into the same file, so that it looks like itself
        place.truncate(0)
        place.write(copy.read_bytes())
    for suffix in ("-wal", "-shm"):
        bench.database.with_name(bench.database.name + suffix).unlink(missing_ok=True)
    assert bench.database.stat().st_ino == before.st_ino
    world.later(hours=25)
    with bench.another() as again:
        with pytest.raises(Unavailable, match="put back"):
            again.archive.restore.stand()
        again.archive.restore.replay()
        again.archive.restore.stand()
        with pytest.raises(Unavailable, match="restore orphans"):
            again.archive.sweeper.run()
        assert len(list(again.archive.restore.orphans())) == 1
