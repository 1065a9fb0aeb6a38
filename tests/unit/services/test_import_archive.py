"""An old recorder's folder goes in with its own times, once, and nothing of it is passed over in silence."""

from __future__ import annotations

import gc
import io
import json
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.import_folder import ImportFolder
from recvault.domain.access import Role
from recvault.domain.communication import Attention, SearchQuery
from recvault.domain.errors import NotAuthenticated
from recvault.domain.purpose import Purpose
from recvault.intake.archive_map import read_archive_map
from recvault.services.import_archive import ArchiveImport, ImportLimits, Item, Outcome
from tests.support.archives import World, make_world

REAL = Path(__file__).parents[2] / "samples" / "real"
RECORDINGS = sorted(entry["path"] for entry in json.loads((REAL / "manifest.json").read_text("utf-8")))


@pytest.fixture
def world() -> Iterator[World]:
    world = make_world()
    with world.archive:
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The real recordings, by year as an old recorder keeps them."""
    root = tmp_path / "old"
    for number, name in enumerate(RECORDINGS):
        place = root / str(2019 + number % 3)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REAL / name, place / name)
    return root


def importer(world: World) -> ArchiveImport:
    archive = world.archive
    return ArchiveImport(
        database=archive.database,
        ingest=archive.ingest,
        customers=archive.customers,
        retention=archive.retention,
        clock=archive.clock,
        limits=ImportLimits(region="FI", future_tolerance=timedelta(minutes=10)),
    )


def mapped(world: World, root: Path, *, age: timedelta = timedelta(days=30)) -> list[str]:
    """A row for each file in the folder, all of them ``age`` old."""
    began = (world.clock.now() - age).isoformat()
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [f"{file},call,inbound,{began},0:06,040 1234501" for file in files]


def take(
    world: World, root: Path, rows: Sequence[str], *, include_overdue: bool = False, dry: bool = False
) -> list[Item]:
    text = "\n".join(("file,channel,direction,started_at,duration,remote", *rows))
    found = read_archive_map(io.BytesIO(text.encode("utf-8", "surrogateescape")))
    run = importer(world).run(world.source, found, ImportFolder(root), include_overdue=include_overdue, dry_run=dry)
    return list(run)


def outcomes(items: list[Item]) -> Counter[Outcome]:
    return Counter(item.outcome for item in items)


def stored(world: World) -> int:
    rows = world.archive.retrieval.search(world.actor(Role.VERIFIER), SearchQuery(limit=200), Purpose.VERIFICATION)
    return len(rows)


def test_recordings_go_in_with_their_own_times_and_only_once(world: World, folder: Path) -> None:
    rows = mapped(world, folder)
    assert outcomes(take(world, folder, rows, dry=True)) == {Outcome.WOULD_BE_TAKEN: len(RECORDINGS)}
    assert stored(world) == 0
    half = take(world, folder, rows[: len(rows) // 2])
    assert outcomes(half)[Outcome.STORED] == len(rows) // 2
    assert outcomes(half)[Outcome.FILE_WITHOUT_ROW] == len(rows) - len(rows) // 2
    whole = outcomes(take(world, folder, rows))
    assert whole == {Outcome.ALREADY_STORED: len(rows) // 2, Outcome.STORED: len(rows) - len(rows) // 2}
    found = world.archive.retrieval.search(world.actor(Role.VERIFIER), SearchQuery(limit=200), Purpose.VERIFICATION)
    assert len(found) == len(RECORDINGS)
    assert {row.started_at for row in found} == {world.clock.now() - timedelta(days=30)}
    assert all(row.duration_seconds == 6 for row in found)
    assert all(row.customer_id for row in found)


@pytest.mark.parametrize("days", [3, 100, 200, 500])
def test_what_is_foreseen_is_what_ingest_decides(world: World, folder: Path, days: int) -> None:
    """An overdue item of the dry run is an overdue item of the archive, file by file."""
    rows = mapped(world, folder, age=timedelta(days=days))
    foreseen = {item.file for item in take(world, folder, rows, dry=True) if item.outcome is Outcome.OVERDUE}
    taken = take(world, folder, rows, include_overdue=True)
    assert outcomes(taken) == {Outcome.STORED: len(rows)}
    assert {item.file for item in taken if item.late} == foreseen
    with world.archive.database.read() as unit:
        assert unit.communications.count_due(world.clock.now()) == len(foreseen)


def test_the_overdue_are_listed_and_kept_only_when_asked(world: World, folder: Path) -> None:
    rows = mapped(world, folder, age=timedelta(days=900))
    first = take(world, folder, rows)
    assert outcomes(first) == {Outcome.OVERDUE: len(rows)}
    assert all("--include-overdue" in (item.reason or "") for item in first)
    with world.archive.database.read() as unit:
        assert unit.communications.count_due(world.clock.now()) == 0
    assert outcomes(take(world, folder, rows, include_overdue=True)) == {Outcome.STORED: len(rows)}
    with world.archive.database.begin() as unit:
        due = unit.communications.claim_due(
            now=world.clock.now(), limit=100, worker="test", lease_until=world.clock.now() + timedelta(minutes=1)
        )
        assert len(due) == len(rows)
        marks = [unit.communications.get(item.communication_id).attention for item in due]
    assert all(Attention.OVERDUE_ON_ARRIVAL in found for found in marks)
    world.archive.purge.run("test")
    assert outcomes(take(world, folder, rows, include_overdue=True)) == {Outcome.REFUSED: len(rows)}


def test_rows_without_file_and_files_without_row_are_told(world: World, folder: Path) -> None:
    rows = mapped(world, folder)
    items = take(world, folder, [*rows[1:], "2019/gone.wav,call,inbound,2026-01-01T00:00:00Z,1,"])
    assert outcomes(items) == {
        Outcome.STORED: len(rows) - 1,
        Outcome.ROW_WITHOUT_FILE: 1,
        Outcome.FILE_WITHOUT_ROW: 1,
    }
    (lost,) = (item for item in items if item.outcome is Outcome.ROW_WITHOUT_FILE)
    assert (lost.line, lost.file) == (len(rows) + 1, "2019/gone.wav")


def test_links_and_ways_out_are_refused(world: World, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"not in the folder")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "inside.wav").symlink_to(folder / "2019" / RECORDINGS[0])
    (folder / "linked").symlink_to(tmp_path)
    began = world.clock.now().isoformat()
    names = ("link.wav", "inside.wav", "linked/secret.wav", "../secret.wav", "2019", str(tmp_path / "secret.wav"))
    items = take(world, folder, [f"{name},call,inbound,{began},1," for name in names])
    assert outcomes(items)[Outcome.REFUSED] == len(names)
    assert stored(world) == 0
    left = {item.file for item in items if item.outcome is Outcome.FILE_WITHOUT_ROW}
    assert "linked" in left  # told, and not entered
    assert not any(name and name.startswith("linked/") for name in left)


def test_a_file_or_source_id_of_an_earlier_row_is_refused(world: World, folder: Path) -> None:
    rows = mapped(world, folder)
    items = take(world, folder, [*rows, rows[0]])
    assert outcomes(items) == {Outcome.STORED: len(rows), Outcome.REFUSED: 1}


def test_content_that_differs_from_the_first_import_is_kept_aside(world: World, folder: Path) -> None:
    rows = mapped(world, folder)
    take(world, folder, rows)
    changed = next(path for path in folder.rglob("*") if path.is_file())
    changed.write_bytes(b"something else")
    again = take(world, folder, rows)
    assert outcomes(again) == {Outcome.ALREADY_STORED: len(rows) - 1, Outcome.REFUSED: 1}


def test_a_name_that_is_not_utf8_is_listed(world: World, folder: Path) -> None:
    Path(str(folder) + "/\udce4.wav").write_bytes(b"odd")
    items = take(world, folder, mapped(world, folder))
    assert Outcome.REFUSED in outcomes(items)
    (left,) = (item for item in items if item.outcome is Outcome.FILE_WITHOUT_ROW)
    assert left.file == "\udce4.wav"


def test_what_stops_every_upload_stops_the_import(world: World, folder: Path) -> None:
    world.archive.sources.revoke(world.source.name, by="system:test")
    with pytest.raises(NotAuthenticated):
        take(world, folder, mapped(world, folder))


class Endless:
    """A folder in which every file is there and empty."""

    def size(self, parts: Sequence[str]) -> int:
        return 0

    def read(self, parts: Sequence[str]) -> Iterator[bytes]:
        return iter(())

    def walk(self) -> Iterator[tuple[str, ...]]:
        return iter(())


def test_memory_stays_flat(world: World) -> None:
    """What grows is the marks of paths and source ids that were seen: under 600 bytes a row, of which
    each has more than 900 here."""
    began = (world.clock.now() - timedelta(days=30)).isoformat()

    def held(count: int) -> int:
        lines = (f"2019/{number:04}/{'x' * 900}.wav,call,inbound,{began},{number}\n" for number in range(count))
        rows = read_archive_map(io.BytesIO(("file,channel,direction,started_at,source_id\n" + "".join(lines)).encode()))
        tracemalloc.start()
        for number, item in enumerate(importer(world).run(world.source, rows, Endless(), dry_run=True), start=1):
            assert item.late  # nothing is said in an empty file: kept for two weeks
            if number == count:
                gc.collect()
                used = tracemalloc.get_traced_memory()[0]
                tracemalloc.stop()
                return used
        raise AssertionError("fewer items than rows")

    held(10)
    assert held(1500) - held(300) < 1200 * 600
