"""The keyring's places: lagging, rolled back, missing, damaged, open to others, under another root key."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring
from recvault.adapters.keyring.records import KeyRecord, KeyTable, merge
from recvault.adapters.keyring.sealed import open_table, seal_table
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import START, FixedClock, SystemEntropy
from recvault.domain.errors import ConfigurationError, KeyDestroyed, KeyNotFound, KeyringError, RecvaultError, Tampered
from recvault.domain.ports.keyring import KeyKind, Loss

SECRET = bytes(range(32))
DAY = "day/2026-11-22/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Two places, a root key and a clock; ``open`` is another process."""

    base: Path
    root: RootKeyFile
    clock: FixedClock

    @property
    def a(self) -> Path:
        return self.base / "a" / "keyring.sealed"

    @property
    def b(self) -> Path:
        return self.base / "b" / "keyring.sealed"

    def open(self, *, create: bool = False) -> FileKeyring:
        return FileKeyring(
            directory=self.a.parent,
            root=self.root,
            clock=self.clock,
            entropy=SystemEntropy(),
            replicas={"b": self.b.parent},
            create=create,
        )

    def create(self) -> FileKeyring:
        return self.open(create=True)

    def table(self, file: Path) -> KeyTable:
        return open_table(file.read_bytes(), root=self.root)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = RootKeyFile.create(tmp_path / "root", SystemEntropy())
    return Site(base=tmp_path, root=root, clock=FixedClock())


@pytest.fixture
def keyring(site: Site) -> FileKeyring:
    return site.create()


def test_both_places_hold_the_same_sealed_file_and_nothing_else(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    keyring.destroy([DAY])
    assert site.a.read_bytes() == site.b.read_bytes()
    assert sorted(p.name for p in site.a.parent.iterdir()) == ["keyring.lock", "keyring.sealed"]
    assert [p.name for p in site.b.parent.iterdir()] == ["keyring.sealed"]
    for path, mode in ((site.a, 0o600), (site.b, 0o600), (site.a.parent, 0o700), (site.b.parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_secret_is_nowhere_in_the_file(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    sealed = site.a.read_bytes()
    secret = site.table(site.a).keys[DAY].secret
    assert secret is not None
    assert secret not in sealed
    assert DAY.encode() not in sealed


def test_another_process_sees_new_and_destroyed_keys_at_once(site: Site, keyring: FileKeyring) -> None:
    other = site.open()
    keyring.ensure(DAY, KeyKind.WRAP)
    wrapped = other.wrap(DAY, SECRET, b"")
    keyring.destroy([DAY])
    with pytest.raises(KeyDestroyed):
        other.unwrap(DAY, wrapped, b"")


def test_a_destruction_that_reached_the_other_place_only_is_seen_within_cache_seconds(
    site: Site, keyring: FileKeyring
) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    wrapped = keyring.wrap(DAY, SECRET, b"")
    gone = site.table(site.b).without_secrets([DAY])
    site.b.write_bytes(seal_table(gone, root=site.root, entropy=SystemEntropy()))
    site.clock.advance(timedelta(seconds=keyring.cache_seconds))
    with pytest.raises(KeyDestroyed):
        keyring.unwrap(DAY, wrapped, b"")
    assert site.table(site.a).keys[DAY].secret is None
    assert keyring.info(DAY).destroyed_at is None, "nobody confirmed it for every place yet"
    keyring.destroy([DAY])
    assert keyring.info(DAY).destroyed_at == site.clock.now()


@pytest.mark.parametrize("which", ["a", "b"])
def test_yesterdays_copy_does_not_bring_a_key_back(site: Site, keyring: FileKeyring, which: str) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    wrapped = keyring.wrap(DAY, SECRET, b"")
    file = site.a if which == "a" else site.b
    yesterday = file.read_bytes()
    keyring.destroy([DAY])
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    file.write_bytes(yesterday)
    for process in (site.open(), keyring):
        with pytest.raises(KeyDestroyed):
            process.unwrap(DAY, wrapped, b"")
        assert process.info("day/2026-11-23/1").destroyed_at is None
    assert site.table(file).keys[DAY].secret is None
    assert [status.fault for status in keyring.replicas()] == [None, None]


def test_a_running_process_remembers_when_every_place_is_rolled_back(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    yesterday = site.a.read_bytes()
    keyring.destroy([DAY])
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    site.a.write_bytes(yesterday)
    site.b.write_bytes(yesterday)
    assert [key.id for key in keyring.list()] == [DAY, "day/2026-11-23/1"]
    with pytest.raises(KeyDestroyed):
        site.open().wrap(DAY, SECRET, b"")


def test_an_older_marker_beside_a_newer_living_key_wins(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    marker = site.table(site.b).without_secrets([DAY])
    for number in range(5):
        keyring.ensure(f"day/2027-01-0{number + 1}/1", KeyKind.WRAP)
    site.b.write_bytes(seal_table(marker, root=site.root, entropy=SystemEntropy()))
    reopened = site.open()
    with pytest.raises(KeyDestroyed):
        reopened.wrap(DAY, SECRET, b"")
    assert len(reopened.list()) == 6
    assert site.a.read_bytes() == site.b.read_bytes()
    assert site.table(site.a).serial == 8, "created, six keys, merged"


def test_a_missing_place_stops_new_keys_and_is_named(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    away = site.base / "unplugged"
    site.b.parent.rename(away)
    with pytest.raises(KeyringError, match=r"place b is not there.*mount its disk"):
        keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    with pytest.raises(KeyNotFound):
        keyring.info("day/2026-11-23/1")
    assert keyring.unwrap(DAY, keyring.wrap(DAY, SECRET, b""), b"") == SECRET
    assert "mount its disk" in str(keyring.replicas()[1].fault)
    away.rename(site.b.parent)
    assert keyring.ensure("day/2026-11-23/1", KeyKind.WRAP) is True
    assert [status.fault for status in keyring.replicas()] == [None, None]


def test_a_destruction_that_missed_a_place_is_not_done_until_repeated(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    away = site.base / "unplugged"
    site.b.parent.rename(away)
    for _ in range(2):
        with pytest.raises(KeyringError, match="place b is not there"):
            keyring.destroy([DAY])
        assert keyring.info(DAY).destroyed_at is None
        with pytest.raises(KeyDestroyed):
            keyring.wrap(DAY, SECRET, b"")
    assert site.table(site.a).keys[DAY].secret is None
    away.rename(site.b.parent)
    site.clock.advance(timedelta(hours=1))
    keyring.destroy([DAY])
    assert keyring.info(DAY).destroyed_at == START + timedelta(hours=1)
    for file in (site.a, site.b):
        assert site.table(file).keys[DAY].destroyed_at == START + timedelta(hours=1)


def test_the_other_place_serves_while_the_own_one_is_away(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    wrapped = keyring.wrap(DAY, SECRET, b"")
    site.a.parent.rename(site.base / "unplugged")
    for process in (keyring, site.open()):
        assert process.unwrap(DAY, wrapped, b"") == SECRET
        with pytest.raises(KeyringError, match="own directory"):
            process.ensure("k", KeyKind.MAC)
        with pytest.raises(KeyringError, match="own directory"):
            process.destroy([DAY])


def test_an_emptied_place_is_brought_in_by_a_person_only(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    site.b.unlink()
    with pytest.raises(KeyringError, match="place b holds no keyring"):
        site.open().ensure("day/2026-11-23/1", KeyKind.WRAP)
    assert not site.b.exists()
    for place in ("primary", "b"):
        with pytest.raises(KeyringError, match="is on the register"):
            keyring.add_place(place)
    keyring.lose_place("b", Loss.BROKEN)
    assert keyring.ensure("day/2026-11-24/1", KeyKind.WRAP) is True, "work goes on"
    assert not site.b.exists()
    keyring.add_place("b")
    assert site.table(site.b) == site.table(site.a)
    assert [place.loss for place in keyring.lost_places()] == [Loss.BROKEN]
    assert keyring.ensure("day/2026-11-23/1", KeyKind.WRAP) is True


def test_every_flipped_bit_is_refused(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    sealed = site.a.read_bytes()
    for position in range(len(sealed)):
        for bit in (0x01, 0x80):
            altered = bytearray(sealed)
            altered[position] ^= bit
            with pytest.raises((Tampered, KeyringError)):
                open_table(bytes(altered), root=site.root)
    header = sealed.index(b"\n") + 1
    for position in (header, header + 11, header + 12, len(sealed) - 17, len(sealed) - 16, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(Tampered):
            open_table(bytes(altered), root=site.root)


def test_every_cut_is_refused(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    sealed = site.a.read_bytes()
    for length in range(len(sealed)):
        with pytest.raises(Tampered):
            open_table(sealed[:length], root=site.root)
    with pytest.raises(Tampered):
        open_table(sealed + b"\0", root=site.root)


def test_a_damaged_place_is_kept_apart_and_not_written_over(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    damaged = bytearray(site.b.read_bytes())
    damaged[-1] ^= 1
    site.b.write_bytes(bytes(damaged))
    reopened = site.open()
    assert reopened.info(DAY).kind is KeyKind.WRAP
    assert "altered or cut" in str(reopened.replicas()[1].fault)
    with pytest.raises(KeyringError, match="altered or cut"):
        reopened.ensure("day/2026-11-23/1", KeyKind.WRAP)
    with pytest.raises(KeyringError, match="altered or cut"):
        reopened.destroy([DAY])
    assert site.b.read_bytes() == bytes(damaged)
    reopened.drop_place("b")
    assert not site.b.exists() and reopened.lost_places() == ()
    reopened.add_place("b")
    reopened.destroy([DAY])
    assert site.table(site.b).keys[DAY].destroyed_at == START


def test_nothing_opens_when_every_place_is_damaged(site: Site, keyring: FileKeyring) -> None:
    for file in (site.a, site.b):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Tampered):
        site.open()


def test_another_archives_place_is_neither_opened_nor_written_over(site: Site, tmp_path: Path) -> None:
    foreign = Site(
        base=tmp_path / "foreign", root=RootKeyFile.create(tmp_path / "r2", SystemEntropy()), clock=site.clock
    )
    foreign.create().ensure(DAY, KeyKind.WRAP)
    site.create()
    with pytest.raises(KeyringError, match="under another root key"):
        Site(base=site.base, root=foreign.root, clock=site.clock).open()
    shutil.copy(foreign.a, site.b)
    mixed = site.open()
    with pytest.raises(KeyringError, match="under another root key"):
        mixed.ensure("k", KeyKind.MAC)
    site.create()
    assert site.b.read_bytes() == foreign.a.read_bytes()


def test_modes_open_to_others_are_refused(site: Site, keyring: FileKeyring) -> None:
    for path, mode, mend in ((site.b, 0o640, "chmod 600"), (site.b.parent, 0o750, "chmod 700")):
        kept = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        with pytest.raises(KeyringError, match=mend):
            site.open().ensure("k", KeyKind.MAC)
        path.chmod(kept)
    site.a.chmod(0o604)
    site.b.chmod(0o604)
    with pytest.raises(KeyringError, match="chmod 600"):
        site.open()


def test_a_link_in_place_of_the_file_is_refused(site: Site, keyring: FileKeyring) -> None:
    target = site.base / "elsewhere"
    site.b.rename(target)
    site.b.symlink_to(target)
    assert site.open().replicas()[1].fault is not None


def test_creating_again_never_loses_keys(site: Site, keyring: FileKeyring) -> None:
    site.b.unlink()
    assert [status.fault for status in site.create().replicas()] == [None, None], "a creation cut short is completed"
    keyring.ensure(DAY, KeyKind.WRAP)
    assert site.create().info(DAY).id == DAY
    site.b.unlink()
    assert "holds no keyring" in str(site.create().replicas()[1].fault), "a place of a keyring with keys is brought in"
    site.b.parent.rmdir()
    site.create()
    assert not site.b.parent.exists(), "it may be where a disk is to be mounted"


def test_opening_nothing_says_what_to_do(site: Site) -> None:
    with pytest.raises(KeyringError, match="run recvault init"):
        site.open()
    (site.base / "a").mkdir(mode=0o700)
    with pytest.raises(KeyringError, match="run recvault init"):
        site.open()


@pytest.mark.parametrize(("place", "directory"), [("primary", "c"), ("b", "a")])
def test_places_are_distinct(site: Site, place: str, directory: str) -> None:
    with pytest.raises(ConfigurationError, match="same name or directory"):
        FileKeyring(
            directory=site.base / "a",
            root=site.root,
            clock=site.clock,
            entropy=SystemEntropy(),
            replicas={place: site.base / directory},
            create=True,
        )


def test_cache_seconds_are_bounded(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="0 to 60"):
        FileKeyring(directory=site.base, root=site.root, clock=site.clock, entropy=SystemEntropy(), cache_seconds=61)


def test_former_files_are_wiped(site: Site, keyring: FileKeyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    descriptor = os.open(site.a, os.O_RDONLY)
    try:
        former = os.fstat(descriptor).st_size
        keyring.destroy([DAY])
        assert os.pread(descriptor, former + 1, 0) == bytes(former)
        assert os.fstat(descriptor).st_nlink == 0
    finally:
        os.close(descriptor)


def test_two_secrets_under_one_id_are_for_a_person_to_decide() -> None:
    def table(secret: bytes | None, *, serial: int) -> KeyTable:
        record = KeyRecord(id="k", kind=KeyKind.WRAP, created_at=START, secret=secret)
        return KeyTable(serial=serial, keys={"k": record})

    with pytest.raises(KeyringError, match="different keys under the id k"):
        merge(table(b"1" * 32, serial=1), table(b"2" * 32, serial=9))
    assert merge(table(b"1" * 32, serial=9), table(None, serial=1)).keys["k"].secret is None


def test_faults_are_of_the_family(site: Site) -> None:
    """A directory where the file should be: an operating system's error, told in our words."""
    site.create()
    site.b.unlink()
    site.b.mkdir(mode=0o700)
    with pytest.raises(RecvaultError, match="place b cannot be used"):
        site.open().ensure("k", KeyKind.MAC)
