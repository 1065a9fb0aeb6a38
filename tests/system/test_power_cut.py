"""Power cuts at every moment, with a disk that keeps no more than it was told to sync: folder store, keyring, ledger, spool,
and a whole archive on SQLite with a folder.

Each program of ``tests.support.power_programs`` runs once under strace. After every call that changed something the power
fails, in several ways; real adapters open what is left. What had been said is there, what had been said to be gone is
gone, and nothing stands half written under a final name.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from random import Random

import pytest

from recvault import bootstrap
from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.config import load
from recvault.domain.errors import KeyNotFound, RecvaultError
from recvault.interfaces.hook.spool import PROBLEM, READY, REFUSED, SIDECAR, Spool
from recvault.services.streams import ORIGINAL, Streams
from tests.support.durable_disk import LEAST, MOST, Call, Disk, strace_missing, traced
from tests.support.power_programs import CONTENT, ENTRIES, KEYS, NAMES, keyring

ROOT = Path(__file__).parents[2]
Look = Callable[[list[str]], None]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _strace() -> None:
    if missing := strace_missing():
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def run(name: str, base: Path) -> list[Call]:
    settings = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    settings |= {"RECVAULT__RETENTION__POLICY_FILE": str(ROOT / "config" / "retention.toml")}
    environ = {key: value for key, value in os.environ.items() if not key.startswith("RECVAULT")}
    command = [sys.executable, "-m", "tests.support.power_programs", name]
    return traced(command, record=base.with_suffix(".strace"), cwd=base, env=environ | settings)


def power_cuts(name: str, base: Path, look: Look, *, every: int = 1, least: int = 0) -> int:
    """Runs the program and looks at what ``every``-th moment leaves, and every moment at which something was said, in
    three ways or more; with what had been said until then. Returns how many times it looked."""
    base.mkdir(exist_ok=True)
    disk = Disk(base)
    chance = Random(name)
    said: list[str] = []
    moments = looked = 0
    for call in run(name, base):
        if call.said:
            said.append(call.said)
        elif not disk.apply(call):
            continue
        moments += 1
        if moments % every and not call.said:
            continue
        for way in (LEAST, MOST, Random(chance.random())):
            left = base.with_name(f"{base.name}-after")
            disk.survivor(left, way)
            try:
                with chdir(left):
                    look(said)
            except BaseException as failure:
                failure.add_note(
                    f"after {moments} changes, the last one {call.name} {call.arguments}, keeping {way}: {said}"
                )
                raise
            shutil.rmtree(left)
            looked += 1
    assert moments > least
    return looked


def told(said: list[str], what: str) -> list[str]:
    """What follows the word in each line that begins with it."""
    return [line.removeprefix(f"{what} ") for line in said if line.startswith(f"{what} ")]


# --- the disk itself


def test_a_program_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    seen: list[bytes | None] = []

    def look(said: list[str]) -> None:
        seen.append(Path("object").read_bytes() if Path("object").exists() else None)

    power_cuts("careless", tmp_path / "disk", look)
    assert seen[-3:-1] == [None, CONTENT], "the least that may be left, and the most"


# --- the parts


def test_what_the_folder_confirmed_survives_and_nothing_is_ever_half_there(tmp_path: Path) -> None:
    def look(said: list[str]) -> None:
        if not said and not Path("objects").is_dir():
            return
        store = FolderObjectStore(Path("objects"))
        there = {item.name: b"".join(store.get(item.name, None)) for item in store.list_versions("")}
        store.close()
        gone = set(told(said, "deleted"))
        going = {name for name in NAMES if name not in gone and told(said, "replaced")}
        assert set(told(said, "stored")) - gone - {min(going, default="")} <= set(there)
        assert not gone & set(there)
        assert set(there) <= set(NAMES)
        for name, content in there.items():
            may_be_old = name != NAMES[0] or not told(said, "replaced")
            assert content == CONTENT if may_be_old and content != CONTENT[::-1] else content == CONTENT[::-1]
            assert name == NAMES[0] or content == CONTENT

    assert power_cuts("folder", tmp_path / "disk", look, least=40) > 120


def test_a_key_is_there_before_its_use_and_a_destroyed_one_nowhere(tmp_path: Path) -> None:
    def look(said: list[str]) -> None:
        if not said and not Path("root.key").exists():
            return
        try:
            ring = keyring(create=False)
        except RecvaultError:
            assert not said
            return
        for key_id in told(said, "made"):
            if key_id != KEYS[0]:
                assert ring.info(key_id).destroyed_at is None
                assert ring.unwrap(key_id, ring.wrap(key_id, b"s" * 32, b"aad"), b"aad") == b"s" * 32
        for key_id in told(said, "destroyed"):
            assert ring.info(key_id).destroyed_at is not None
        assert not said or all(status.fault is None for status in ring.replicas())
        ring.close()
        if told(said, "destroyed"):
            _no_former_file_opens()

    assert power_cuts("keys", tmp_path / "disk", look, least=60) > 180


def _no_former_file_opens() -> None:
    """Whatever lies about in the keyring's places holds no destroyed key."""
    for file in [*Path("keyring").iterdir(), *Path("replica").iterdir()]:
        if file.name == "keyring.lock":
            continue
        alone = Path("alone")
        for place in ("keyring", "replica"):
            (alone / place).mkdir(mode=0o700, parents=True)
            shutil.copy(file, alone / place / "keyring.sealed")
        shutil.copy("root.key", alone / "root.key")
        try:
            with chdir(alone):
                assert keyring(create=False).info(KEYS[0]).destroyed_at is not None
        except KeyNotFound:
            pytest.fail(f"{file} is from before the key was made")
        except RecvaultError:
            assert not file.read_bytes().strip(b"\0"), "a former file that is neither wiped nor opens"
        shutil.rmtree(alone)


def test_an_entry_of_the_ledger_is_in_both_places(tmp_path: Path) -> None:
    def look(said: list[str]) -> None:
        if not said and not (Path("objects").is_dir() and Path("second").is_dir()):
            return
        store = FolderObjectStore(Path("objects"))
        entered = len(told(said, "entered"))
        read = list(ReplicatedLedger(store, Path("second")).read())
        assert read in [list(enumerate(ENTRIES[:count], start=1)) for count in range(entered, len(ENTRIES) + 1)]
        for number in range(1, entered + 1):
            name = f"ledger/{number:012d}"
            assert (Path("second") / name).read_bytes() == ENTRIES[number - 1] == b"".join(store.get(name, None))
        store.close()

    assert power_cuts("ledger", tmp_path / "disk", look, least=20) > 60


def test_a_recording_is_in_the_spool_before_it_is_nowhere_else(tmp_path: Path) -> None:
    base = tmp_path / "disk"
    base.mkdir()
    for number in range(3):
        (base / f"call-{number}.wav").write_bytes(CONTENT + bytes([number]))
    sizes: set[int] = set()

    def look(said: list[str]) -> None:
        clear = [number for number in range(3) if Path(f"call-{number}.wav").exists()]
        for number in clear:
            assert Path(f"call-{number}.wav").read_bytes() == CONTENT + bytes([number])
        if not Path("spool").is_dir() or not (Path("spool") / READY).is_dir():
            assert len(clear) == 3 and not said
            return
        there = Spool(Path("spool"))
        ready, refused = set(there.names()), set(there.names(REFUSED))
        for name, state in [*((n, READY) for n in ready), *((n, REFUSED) for n in refused)]:
            entry = there.entry(name, state)
            assert entry is not None and entry.size > len(CONTENT)
            sizes.add(entry.size)
            assert entry.sidecar is not None or _on_the_move(there, name), "an entry without its sidecar"
        spooled = dict(line.split() for line in told(said, "spooled"))
        delivered = set(told(said, "delivered"))
        assert len(ready | refused) + len(clear) + (1 if len(spooled) == 3 else 0) >= 3, "a recording is nowhere"
        if len(spooled) < 3:
            assert set(spooled.values()) <= ready
        for line in delivered:
            assert line.split()[1] not in ready | refused
        for line in told(said, "refused"):
            name = line.split()[1]
            assert name in refused and name not in ready and (there.root / REFUSED / (name + PROBLEM)).exists()

    assert power_cuts("spool", base, look, least=40) > 120
    assert len(sizes) == 1, "no envelope is ever seen but whole"


def _on_the_move(spool: Spool, name: str) -> bool:
    """Between ``ready`` and ``refused`` the sidecar may be in the other one."""
    return any((spool.root / state / (name + SIDECAR)).exists() for state in (READY, REFUSED))


# --- the whole


def test_an_acknowledged_recording_outlives_a_power_cut_at_any_later_moment(tmp_path: Path) -> None:
    opened = 0

    def look(said: list[str]) -> None:
        nonlocal opened
        if not said:
            return
        environ = {"RECVAULT__RETENTION__POLICY_FILE": str(ROOT / "config" / "retention.toml")}
        with bootstrap.build(load(None, environ)) as archive:
            # The disk after the cut is made of new files, which the archive takes for a database that was put back.
            archive.restore.replay()
            bootstrap.start(archive)
            archive.ledger.verify()
            rows = {found: b"".join(_content(archive, found)) for found in _ids()}
            for line in told(said, "stored"):
                number, communication_id = line.split()
                assert rows[communication_id] == CONTENT + bytes([int(number)])
            with archive.database.read() as unit:
                for communication_id in told(said, "held"):
                    assert unit.holds.covering([communication_id])
            assert len(rows) in (len(told(said, "stored")), len(told(said, "stored")) + 1)
            opened += 1

    power_cuts("archive", tmp_path / "disk", look, every=17, least=300)
    assert opened > 20


def _ids() -> list[str]:
    with sqlite3.connect("recvault-data/recvault.db") as connection:
        return [str(row[0]) for row in connection.execute("select id from communications")]


def _content(archive: bootstrap.Archive, communication_id: str) -> Iterator[bytes]:
    with archive.database.read() as unit:
        (row,) = unit.communications.find([communication_id])
    (stream,) = (stream for stream in row.streams if stream.name == ORIGINAL)
    return Streams(store=archive.store).reader(row.id, stream, archive.period_keys.unwrap(row)).read_all()
