"""A database that was put back or lags, on parts in memory and on SQLite files: it serves nothing until it was replayed,
and the replay does what the ledger says and tells of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from recvault.adapters.ledger_store import ReplicatedLedger, entry_name
from recvault.domain.access import Role
from recvault.domain.approvals import ProposalKind
from recvault.domain.communication import Receipt, SearchQuery
from recvault.domain.destruction import Stage
from recvault.domain.errors import DatabaseBehind, Destroyed, LedgerFailure, Unavailable
from recvault.domain.ledger import LedgerKind
from recvault.domain.purpose import Purpose
from tests.support.aftermath import content_of, ledger_items, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, make_world, steady_database
from tests.support.interruptions import CALL, hold
from tests.support.worlds import another_process, sqlite_and_folder


@dataclass
class Bench:
    """A world on files, whose database can be copied and put back."""

    world: World
    parts: Parts
    directory: Path

    @property
    def database(self) -> Path:
        return self.directory / "recvault.db"

    def copy(self) -> Path:
        """The database as of now."""
        target = self.directory / f"copy-{len(list(self.directory.glob('copy-*')))}"
        with closing(sqlite3.connect(self.database)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
        return target

    def put_back(self, copy: Path) -> None:
        """The copy in the database's place, as an operator does it: nothing runs, a new file takes the name."""
        self.parts.database.close()
        for suffix in ("", "-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        place = self.database.with_name("coming.db")
        place.write_bytes(copy.read_bytes())
        place.rename(self.database)
        self.parts.database = steady_database(f"sqlite:///{self.database}", self.parts.clock)

    @contextmanager
    def another(self) -> Iterator[World]:
        """A process that comes up on what is durable now."""
        with another_process(self.world, self.parts) as again:
            yield again


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with sqlite_and_folder(tmp_path) as parts, (world := make_world(parts=parts)).archive:
        world.archive.restore.stand()
        yield Bench(world=world, parts=parts, directory=tmp_path)


def opened(world: World, item: Receipt) -> None:
    world.archive.retrieval.open(world.actor(Role.PRIVACY_HANDLER), item.id, Purpose.REQUEST, case_ref="REQ-1")


def test_a_database_that_was_put_back_serves_nothing_until_it_was_replayed(bench: Bench) -> None:
    gone, living = bench.world.store("gone", CALL + b"g"), bench.world.store("living", CALL + b"l", case_ref="T-9")
    bench.world.later(days=190)
    copy = bench.copy()
    assert bench.world.archive.purge.run("worker-1").destroyed == [gone.id]
    bench.put_back(copy)
    with bench.another() as again:
        for act in (again.archive.restore.stand, lambda: opened(again, living), again.archive.database.check):
            with pytest.raises(DatabaseBehind, match="recvault ledger replay"):
                act()
        with pytest.raises(DatabaseBehind):
            again.store("new")
        report = again.archive.restore.replay()
        assert report.destroyed_again == [gone.id]
        assert report.followed.destroyed == [gone.id] and not report.sweeping
        opened(again, living)
        with pytest.raises(Destroyed):
            opened(again, gone)
        again.archive.purge.run("worker-1")
        tombstone = tombstones_of(bench.parts)[gone.id]
        assert tombstone.stage in (Stage.INACCESSIBLE, Stage.COMPLETE) and tombstone.trigger == "ledger_replay"
        assert not [name for name in objects_of(bench.parts) if name.startswith(gone.id)]
        assert again.archive.restore.replay().destroyed_again == [], "it can be repeated"


def test_what_was_only_intended_is_unreadable_and_goes_through_the_purge(bench: Bench) -> None:
    due = bench.world.store("due", CALL)
    bench.world.later(days=190)
    copy = bench.copy()
    bench.world.archive.ledger.write(LedgerKind.INTENT, {"batch": "b", "items": [due.id]})
    bench.put_back(copy)
    with bench.another() as again:
        report = again.archive.restore.replay()
        assert report.followed.intended == [due.id] and report.intended == 1 and report.destroyed_again == []
        with pytest.raises(Destroyed):
            opened(again, due)
        assert again.archive.purge.run("worker-1").destroyed == [due.id]


def test_a_hold_after_the_intent_wins_and_closes_it(bench: Bench) -> None:
    due = bench.world.store("due", CALL)
    bench.world.later(days=190)
    copy = bench.copy()
    bench.world.archive.ledger.write(LedgerKind.INTENT, {"batch": "b", "items": [due.id]})
    hold(bench.world, due)
    bench.put_back(copy)
    with bench.another() as again:
        report = again.archive.restore.replay()
        assert len(report.followed.holds_placed) == 1 and report.dropped == [due.id]
        opened(again, due)
        assert again.archive.purge.run("worker-1").destroyed == []
    assert ledger_items(bench.parts, LedgerKind.KEPT) == {due.id}
    assert content_of(bench.parts, bench.world.archive, rows_of(bench.parts)[0]) == CALL


def test_an_intent_that_this_database_cannot_explain_is_unreadable_and_told(bench: Bench) -> None:
    """The event that ended it was lost: by the restored facts it is not due."""
    item = bench.world.store("early", CALL)
    copy = bench.copy()
    bench.world.archive.ledger.write(LedgerKind.INTENT, {"batch": "b", "items": [item.id]})
    bench.put_back(copy)
    with bench.another() as again:
        assert again.archive.restore.replay().waiting == [item.id]
        with pytest.raises(Destroyed):
            opened(again, item)
        bench.world.later(days=190)
        assert again.archive.purge.run("worker-1").destroyed == [item.id]


def test_a_crash_between_ledger_and_commit_needs_no_person(bench: Bench) -> None:
    """One entry that no transaction followed, in the incarnation that wrote it."""
    due = bench.world.store("due", CALL)
    bench.world.later(days=190)
    with bench.parts.database.begin() as unit:
        bench.world.archive.ledger.append(unit, LedgerKind.INTENT, {"batch": "b", "items": [due.id]})
    with bench.another() as again:
        again.archive.restore.stand()
        assert again.archive.ledger.behind() == 0 and again.archive.database.witness().may_be_swept


def test_ledger_and_database_rolled_back_together_are_noticed(bench: Bench) -> None:
    kept = bench.world.store("kept", CALL)
    copy = bench.copy()
    hold(bench.world, kept)
    bench.put_back(copy)
    for place in (bench.directory / "ledger", bench.directory / "objects"):
        file = place / entry_name(2)
        assert file.is_file()
        file.unlink()
    bench.parts.ledger = ReplicatedLedger(bench.parts.store, bench.directory / "ledger")
    with bench.another() as again:
        for act in (again.archive.restore.stand, again.archive.restore.replay, again.archive.ledger.verify):
            with pytest.raises(LedgerFailure, match="newest copies"):
                act()
        with pytest.raises(LedgerFailure):
            again.store("new")


def test_what_has_no_row_is_listed_and_not_swept_until_two_people_say_so(bench: Bench) -> None:
    copy = bench.copy()
    lost = bench.world.store("acknowledged", CALL)
    bench.put_back(copy)
    bench.world.later(hours=25)
    with bench.another() as again:
        again.archive.restore.stand()  # nothing of the ledger is missing: it serves
        with pytest.raises(Unavailable, match="restore orphans"):
            again.archive.sweeper.run()
        (orphan,) = again.archive.restore.orphans()
        assert (orphan.id, orphan.objects) == (lost.id, 1) and orphan.length > len(CALL)
        handler, approver = again.actor(Role.PRIVACY_HANDLER), again.actor(Role.APPROVER)
        proposal = again.archive.approvals.propose(
            handler, ProposalKind.SWEEP_AFTER_RESTORE, "sweeper", {}, "looked at, sent again"
        )
        again.archive.approvals.approve(approver, proposal.id)
        assert again.archive.sweeper.run() == [lost.id]


def test_a_file_that_is_replaced_under_a_running_process_is_noticed(bench: Bench) -> None:
    bench.world.store("kept", CALL)
    copy = bench.copy()
    hold(bench.world, bench.world.store("later", CALL + b"2"))
    hold(bench.world, bench.world.store("last", CALL + b"3"))
    place = bench.database.with_name("coming.db")
    place.write_bytes(copy.read_bytes())
    for suffix in ("-wal", "-shm"):
        bench.database.with_name(bench.database.name + suffix).unlink(missing_ok=True)
    place.rename(bench.database)
    with pytest.raises(DatabaseBehind):
        bench.world.store("new")
    report = bench.world.archive.restore.replay()
    assert len(report.followed.holds_placed) == 2
    assert bench.world.store("new").id


def test_what_was_stored_and_destroyed_after_the_copy_is_remembered(bench: Bench) -> None:
    """Neither row nor tombstone came back: the ledger gives the tombstone, its source is told 410, one certificate."""
    copy = bench.copy()
    item = bench.world.store("unknown to the copy", CALL)
    bench.world.later(days=190)
    assert bench.world.archive.purge.run("worker-1").destroyed == [item.id]
    bench.put_back(copy)
    with bench.another() as again:
        report = again.archive.restore.replay()
        assert [one.communication_id for one in report.remembered] == [item.id]
        assert again.archive.purge.certify_left(report.remembered) == [item.id]
        with pytest.raises(Destroyed):
            again.store("unknown to the copy", CALL)
        tombstone = tombstones_of(bench.parts)[item.id]
        assert tombstone.stage is Stage.INACCESSIBLE and tombstone.key_ids
        with bench.parts.database.read() as unit:
            assert set(again.archive.certificates.files(unit, tombstone)) == {Stage.INACCESSIBLE}
        assert again.archive.restore.replay().remembered == []


def test_an_edited_policy_destroys_nothing(bench: Bench) -> None:
    """Text and digest in the database are changed together, and the ends with them: the ledger has another digest."""
    due = bench.world.store("due", CALL)
    with closing(sqlite3.connect(bench.database)) as edited:
        (text,) = edited.execute("SELECT text FROM policies").fetchone()
        changed = text.replace("P6M", "P1D")
        assert changed != text
        edited.execute("UPDATE policies SET text = ?", (changed,))
        edited.commit()
    bench.world.later(days=190)
    with bench.another() as again:
        report = again.archive.purge.run("worker-1")
        assert report.destroyed == [] and "not the one that was signed" in (report.stopped_because or "")
        opened(again, due)


def test_a_hold_on_what_one_search_found_is_one_transaction_of_the_ledger(bench: Bench) -> None:
    """Portions and hold: a crash before the commit leaves several entries, and needs no person."""
    item = bench.world.store("found", CALL)
    copy = bench.copy()
    bench.world.archive.holds.place(
        bench.world.actor(Role.PRIVACY_HANDLER),
        reason="claim",
        review_on=date(2030, 1, 1),
        found_by=SearchQuery(),
    )
    assert bench.world.archive.ledger.verify().sequence == 3
    with bench.parts.database.begin() as unit:
        head = unit.settings.ledger_head()
        unit.settings.set_ledger_head(replace(head, sequence=1, digest=bench.world.archive.ledger.entry(1).digest()))
        unit.commit()
    with bench.another() as again:
        again.archive.restore.stand()
        assert again.archive.ledger.behind() == 0
    bench.put_back(copy)
    with bench.another() as again:
        assert len(again.archive.restore.replay().followed.holds_placed) == 1
        with bench.parts.database.read() as unit:
            assert set(unit.holds.covering([item.id])) == {item.id}


def test_a_place_of_the_ledger_that_lost_an_entry_is_healed(bench: Bench) -> None:
    hold(bench.world, bench.world.store("held", CALL))
    lost = bench.directory / "ledger" / entry_name(2)
    lost.unlink()
    assert bench.world.archive.ledger.heal() == 1 and lost.is_file()
    assert bench.world.archive.ledger.heal() == 0
