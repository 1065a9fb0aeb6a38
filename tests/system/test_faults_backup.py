"""Yesterday's backup of database and objects is put back beside today's keyring and ledger: what was destroyed since stays
destroyed, what lives opens, and a database that is behind the ledger is noticed and catches up.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.domain.errors import DatabaseBehind, Destroyed, KeyDestroyed, LedgerFailure
from recvault.domain.ledger import LedgerKind
from recvault.domain.purpose import Purpose
from tests.support.aftermath import content_of, end_of, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, configuration, make_world
from tests.support.interruptions import CALL, hold
from tests.support.worlds import SteadyFolder, another_process, reopen, sqlite_and_folder

DATABASE = "recvault.db"


@contextmanager
def archive_in(directory: Path) -> Iterator[tuple[World, Parts]]:
    with sqlite_and_folder(directory) as parts, (world := make_world(parts=parts)).archive:
        yield world, parts


def copy_of_yesterday(source: Path, target: Path) -> None:
    """Database and objects, as a backup takes them. Keyring and ledger's second place lie elsewhere."""
    target.mkdir()
    for file in source.glob(f"{DATABASE}*"):
        shutil.copy2(file, target / file.name)
    shutil.copytree(source / "objects", target / "objects")


def put_back(backup: Path, today: Path, place: Path) -> None:
    """Yesterday's database and recordings beside today's keyring, root key and ledger (both of its places)."""
    shutil.copytree(backup, place)
    for name in ("keyring", "root", "ledger"):
        shutil.copytree(today / name, place / name)
    shutil.rmtree(place / "objects" / "ledger", ignore_errors=True)
    shutil.copytree(today / "objects" / "ledger", place / "objects" / "ledger")


@contextmanager
def restored(world: World, parts: Parts, place: Path) -> Iterator[tuple[World, Parts]]:
    """The archive that comes up on what was put back."""
    with ExitStack() as opened:
        store = SteadyFolder(place / "objects")
        opened.callback(store.close)
        url = f"sqlite:///{place}/{DATABASE}"
        old = reopen(place, url=url, store=store, moment=parts.clock.now(), config=configuration())
        opened.callback(old.database.close)
        yield opened.enter_context(another_process(replace(world, clock=old.clock), old)), old


def test_what_was_destroyed_stays_destroyed_and_what_lives_opens(tmp_path: Path) -> None:
    today, backup, place = tmp_path / "today", tmp_path / "backup", tmp_path / "restored"
    today.mkdir()
    with archive_in(today) as (world, parts):
        due = world.store("due", CALL + b"d")
        living = world.store("living", CALL + b"l", case_ref="T-9")
        world.later(days=190)
        copy_of_yesterday(today, backup)
        first = world.archive.purge.run("worker-1")
        assert first.destroyed == [due.id] and first.keys_destroyed
        put_back(backup, today, place)
        with restored(world, parts, place) as (again, old):
            with old.database.unjudged():
                rows = {row.id: row for row in rows_of(old)}
            assert set(rows) == {due.id, living.id} and len(objects_of(old)) == 2, "all of yesterday's bytes are back"
            with pytest.raises(KeyDestroyed):
                content_of(old, again.archive, rows[due.id])
            assert content_of(old, again.archive, rows[living.id]) == CALL + b"l"
            assert again.archive.ledger.behind() == 3  # intent, outcome, keys
            with pytest.raises(DatabaseBehind):
                again.archive.retrieval.open(
                    again.actor(Role.PRIVACY_HANDLER), living.id, Purpose.REQUEST, case_ref="REQ-1"
                )
            report = again.archive.restore.replay()
            assert report.destroyed_again == [due.id] and not report.sweeping
            assert again.archive.ledger.behind() == 0
            with pytest.raises(Destroyed):
                again.archive.retrieval.open(
                    again.actor(Role.PRIVACY_HANDLER), due.id, Purpose.REQUEST, case_ref="REQ-1"
                )
            for _ in range(2):
                again.archive.purge.run("worker-1")
                again.later(minutes=6)
            assert [row.id for row in rows_of(old)] == [living.id] and len(objects_of(old)) == 1
            assert tombstones_of(old)[due.id].stage is Stage.COMPLETE
            end_of(old, again.archive)


def test_a_hold_of_today_protects_in_the_database_of_yesterday(tmp_path: Path) -> None:
    today, backup, place = tmp_path / "today", tmp_path / "backup", tmp_path / "restored"
    today.mkdir()
    with archive_in(today) as (world, parts):
        held = world.store("held", CALL)
        copy_of_yesterday(today, backup)
        hold(world, held)
        put_back(backup, today, place)
        world.later(days=190)
        with restored(world, parts, place) as (again, old):
            assert again.archive.ledger.behind() == 1
            assert again.archive.purge.run("worker-1").destroyed == [], "followed even if nobody replayed it"
            assert content_of(old, again.archive, rows_of(old)[0]) == CALL
            end_of(old, again.archive)


def test_what_is_kept_past_its_day_is_not_lost_for_the_archive_that_runs(tmp_path: Path) -> None:
    """A held item moved to the frozen month since: yesterday's copy of its row cannot open it (its day's key is gone, as
    promised), the archive says so of this item alone, and everything else goes its way."""
    today, backup, place = tmp_path / "today", tmp_path / "backup", tmp_path / "restored"
    today.mkdir()
    with archive_in(today) as (world, parts):
        held, due = world.store("held", CALL + b"h"), world.store("due", CALL + b"d")
        hold(world, held)
        copy_of_yesterday(today, backup)
        world.later(days=190)
        assert world.archive.purge.run("worker-1").destroyed == [due.id]
        (row,) = rows_of(parts)
        assert content_of(parts, world.archive, row) == CALL + b"h"
        world.later(days=8)  # as long as a key that survivors left waits for a verified backup
        world.archive.purge.settle()
        put_back(backup, today, place)
        with restored(world, parts, place) as (again, old):
            again.archive.restore.replay()
            receipt = again.store("new", CALL + b"n")
            for _ in range(3):
                again.archive.purge.run("worker-1")
                again.later(days=8)  # as long as a key that survivors left waits for a verified backup
            assert set(tombstones_of(old)) == {due.id}
            assert tombstones_of(old)[due.id].stage is Stage.COMPLETE
            assert {row.id for row in rows_of(old)} == {held.id, receipt.id}
            with pytest.raises(KeyDestroyed):
                again.archive.retrieval.open(
                    again.actor(Role.PRIVACY_HANDLER), held.id, Purpose.REQUEST, case_ref="REQ-1"
                )
            sent_again = again.store("held", CALL + b"h")
            assert sent_again.id != held.id and not sent_again.already_stored
            assert again.store("held", CALL + b"h").id == sent_again.id
            with old.database.read() as unit:
                assert len(unit.holds.covering([sent_again.id])[sent_again.id]) == 1, (
                    "what held the old row holds the new"
                )
            assert (
                LedgerKind.HOLD_PLACED.value in again.archive.ledger.entry(again.archive.ledger.verify().sequence).kind
            )


def test_uploads_for_a_day_whose_key_is_gone_are_taken_by_the_database_of_yesterday(tmp_path: Path) -> None:
    """Yesterday's database believes the key of that day open; the keyring knows better."""
    today, backup, place = tmp_path / "today", tmp_path / "backup", tmp_path / "restored"
    today.mkdir()
    with archive_in(today) as (world, parts):
        long_ago = world.clock.now() - timedelta(days=900)
        times = {"started_at": long_ago, "ended_at": long_ago + timedelta(minutes=1)}
        world.store("old", CALL, **times)
        copy_of_yesterday(today, backup)
        assert world.archive.purge.run("worker-1").keys_destroyed
        put_back(backup, today, place)
        with restored(world, parts, place) as (again, old):
            again.archive.restore.replay()
            receipt = again.store("older", CALL, **times)
            row = next(row for row in rows_of(old) if row.id == receipt.id)
            assert content_of(old, again.archive, row) == CALL


def test_a_ledger_of_yesterday_beside_the_database_of_today_is_refused(tmp_path: Path) -> None:
    today, place = tmp_path / "today", tmp_path / "restored"
    today.mkdir()
    with archive_in(today) as (world, parts):
        shutil.copytree(today / "ledger", tmp_path / "ledger of yesterday")
        hold(world, world.store("held", CALL))
        copy_of_yesterday(today, tmp_path / "backup")
        put_back(tmp_path / "backup", today, place)
        for ledger in (place / "ledger", place / "objects" / "ledger"):
            shutil.rmtree(ledger)
        shutil.copytree(tmp_path / "ledger of yesterday", place / "ledger")
        with restored(world, parts, place) as (again, _):
            for act in (again.archive.ledger.behind, again.archive.ledger.replay):
                with pytest.raises(LedgerFailure):
                    act()
