"""Backups of the embedded default: made while the archive works, looked through, put back, and ended with their keys."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import pytest

from recvault.adapters.database import connect
from recvault.domain.access import Role
from recvault.domain.backups import VERIFIED
from recvault.domain.errors import BackupFailure, Conflict, KeyDestroyed, NotFound, Tampered
from recvault.domain.incarnation import RESTORED
from recvault.services.backup import Backups
from tests.support.archives import NUMBER, Parts, World, make_world
from tests.support.interruptions import CALL
from tests.support.worlds import sqlite_and_folder


@contextmanager
def archive_in(directory: Path, **settings: str) -> Iterator[tuple[World, Parts]]:
    told = {"DATABASE__URL": f"sqlite:///{directory}/recvault.db", "BACKUP__DIRECTORY": str(directory / "backups")}
    with sqlite_and_folder(directory, **(told | settings)) as parts, (world := make_world(parts=parts)).archive:
        yield world, parts


def backups_of(world: World) -> Backups:
    return world.archive.backups


def only_file(directory: Path) -> Path:
    (found,) = (directory / "backups").iterdir()
    return found


def test_a_backup_is_verified_by_reading_recordings_from_first_byte_to_last(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, parts):
        stored = [world.store(f"call-{n}", CALL + bytes([n])) for n in range(5)]
        made = backups_of(world).create()
        world.store("later")
        report = backups_of(world).verify(made.name)
        assert (report.rows, report.sampled, report.faults) == (5, 5, [])
        assert sorted(report.opened) == sorted(one.id for one in stored)
        with parts.database.read() as unit:
            assert unit.settings.get(VERIFIED) == {"made_at": made.header.made_at.isoformat(), "id": made.header.id}


def test_a_backup_shows_nothing_without_its_key(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        world.store("call")
        backups_of(world).create()
        data = only_file(tmp_path).read_bytes()
    assert b"SQLite format" not in data
    assert NUMBER.encode() not in data and b"Virtanen" not in data
    assert sorted(path.name for path in tmp_path.glob(".recvault-copy*")) == [".recvault-copy.lock"]


def test_its_rows_are_those_of_one_moment_while_others_write(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, parts):
        world.store("before")
        with parts.database.begin() as unit:  # a writer in the middle of its work neither waits nor is copied
            unit.settings.put("half-done", {"value": 1})
            pieces = list(backups_of(world).sealed.file.copied())
            unit.commit()
        copy = tmp_path / "copy.db"
        copy.write_bytes(b"".join(pieces))
        with sqlite3.connect(copy) as rows:
            assert rows.execute("select count(*) from settings where name = 'half-done'").fetchone() == (0,)
            assert rows.execute("select count(*) from communications").fetchone() == (1,)


@pytest.mark.parametrize("at", [0, 9, 40, 400, -1])
def test_an_altered_backup_is_refused(tmp_path: Path, at: int) -> None:
    with archive_in(tmp_path) as (world, _parts):
        world.store("call")
        made = backups_of(world).create()
        file = only_file(tmp_path)
        data = bytearray(file.read_bytes())
        data[at] ^= 1
        file.write_bytes(data)
        with pytest.raises((Tampered, BackupFailure)):
            backups_of(world).verify(made.name)


@pytest.mark.parametrize("length", [0, 5, 11, 60, 16_000, -1])
def test_a_backup_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    with archive_in(tmp_path) as (world, _parts):
        world.store("call")
        made = backups_of(world).create()
        file = only_file(tmp_path)
        file.write_bytes(file.read_bytes()[:length])
        with pytest.raises(Tampered):
            backups_of(world).verify(made.name)


def test_a_recording_that_is_gone_from_the_store_is_a_fault_and_the_backup_does_not_count(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, parts):
        lost = world.store("lost")
        made = backups_of(world).create()
        parts.store.delete_versions(list(parts.store.list_versions(f"{lost.id}/")))
        report = backups_of(world).verify(made.name)
        assert len(report.faults) == 1 and lost.id in report.faults[0]
        with parts.database.read() as unit:
            assert unit.settings.get(VERIFIED) is None


def test_what_was_destroyed_since_is_told_and_no_fault(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        due = world.store("due")
        world.later(days=100)
        made = backups_of(world).create()
        world.later(days=90)
        assert world.archive.purge.run("worker").destroyed == [due.id]
        report = backups_of(world).verify(made.name)
        assert (report.destroyed_since, report.faults) == ([due.id], [])
        assert report.entries_behind > 0


def test_an_older_backup_does_not_take_the_place_of_a_newer_verified_one(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, parts):
        old = backups_of(world).create()
        world.later(hours=1)
        new = backups_of(world).create()
        backups_of(world).verify(new.name)
        backups_of(world).verify(old.name)
        with parts.database.read() as unit:
            verified = unit.settings.get(VERIFIED)
        assert verified is not None and verified["id"] == new.header.id


def test_when_its_keeping_time_is_over_no_key_opens_it_any_more(tmp_path: Path) -> None:
    with archive_in(tmp_path, BACKUP__KEEP_DAYS="10") as (world, _parts):
        made = backups_of(world).create()
        kept = only_file(tmp_path).read_bytes()  # somebody's copy of the file
        world.later(days=10)
        assert backups_of(world).expire() == []
        world.later(days=1)
        assert backups_of(world).expire() == [made.header.key_id]
        assert not list((tmp_path / "backups").iterdir())
        with pytest.raises(KeyDestroyed):
            list(backups_of(world).sealed.unseal([kept]))
        assert backups_of(world).expire() == [], "repeating it is harmless"


def test_the_night_makes_one_looks_through_it_and_ends_old_ones(tmp_path: Path) -> None:
    with archive_in(tmp_path, BACKUP__KEEP_DAYS="2") as (world, _parts):
        world.store("call")
        for _night in range(5):
            done = backups_of(world).nightly()
            assert done is not None and done[1].faults == []
            world.later(days=1)
        assert len(list((tmp_path / "backups").iterdir())) == 3


def test_without_a_directory_nothing_is_made(tmp_path: Path) -> None:
    with sqlite_and_folder(tmp_path) as parts, (world := make_world(parts=parts)).archive:
        assert backups_of(world).nightly() is None
        with pytest.raises(BackupFailure, match=r"backup\.directory"):
            backups_of(world).create()


def test_two_copies_at_once_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        made = backups_of(world).create()
        first = backups_of(world).sealed.file.copied()
        next(first)
        with pytest.raises(BackupFailure, match="another process"):
            backups_of(world).verify(made.name)
        del first
        assert backups_of(world).verify(made.name).faults == []
        assert [path.name for path in tmp_path.glob(".recvault-copy*")] == [".recvault-copy.lock"]


def test_an_unfinished_backup_is_not_taken_for_one(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        (tmp_path / "backups").mkdir(exist_ok=True)
        (tmp_path / "backups" / ".unfinished-20261122t000000z-aaaaaaaa.recvault-backup").write_bytes(b"half")
        made = backups_of(world).create()
        assert [one.name for one in backups_of(world).sealed.listed()] == [made.name]
        with pytest.raises(NotFound):
            backups_of(world).verify("../recvault.db")


def test_a_full_disk_leaves_neither_backup_nor_copy(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))  # no file may grow beyond
        try:
            with pytest.raises(BackupFailure, match="free"):
                backups_of(world).create()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert [path.name for path in tmp_path.glob(".recvault-copy*")] == [".recvault-copy.lock"]
        assert not (tmp_path / "backups").exists() or not list((tmp_path / "backups").iterdir())


def test_a_database_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        made = backups_of(world).create()
        with pytest.raises(Conflict):
            backups_of(world).sealed.restore(made.name)


def test_a_restored_database_is_the_copied_one_and_says_what_it_is(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, parts):
        stored = world.store("call")
        made = backups_of(world).create()
        world.archive.holds.place(
            world.actor(Role.PRIVACY_HANDLER),
            communication_id=stored.id,
            reason="a claim",
            review_on=date(2028, 1, 1),
        )
        parts.database.close()
        for file in tmp_path.glob("recvault.db*"):
            file.unlink()
        header = backups_of(world).sealed.restore(made.name)
        assert header.id == made.header.id
        with ExitStack() as opened:
            database = connect(
                f"sqlite:///{tmp_path}/recvault.db",
                pool_size=2,
                connect_timeout_seconds=5,
                statement_timeout_seconds=5,
            )
            opened.callback(database.close)
            with database.read() as unit:
                assert unit.settings.get(RESTORED) == {"backup": made.header.id}
                assert unit.communications.existing_ids([stored.id]) == {stored.id}
                assert unit.holds.active() == [], "the ledger knows it, the copied database does not"
    assert (tmp_path / "recvault.db").stat().st_mode & 0o777 == 0o600


def test_what_other_tools_wrote_is_sealed_as_it_passes(tmp_path: Path) -> None:
    with archive_in(tmp_path) as (world, _parts):
        sealed = backups_of(world).sealed
        data = b""
        for content in (b"", b"x", b"segment" * 100_000):
            pieces = [content[at : at + 10_000] for at in range(0, len(content), 10_000)]
            data = b"".join(sealed.seal(pieces))
            assert content == b"".join(sealed.unseal([data]))
            assert content == b"".join(sealed.unseal(data[at : at + 700] for at in range(0, len(data), 700)))
        world.later(days=40)
        backups_of(world).expire()
        with pytest.raises(KeyDestroyed):
            list(sealed.unseal([data]))
