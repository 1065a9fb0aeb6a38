"""The way back: from a copy, with the recovery key, twice, next to a place that survived or is damaged."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring, copy_name
from recvault.adapters.keyring.kit import Kit, KitKind, recovery_public
from recvault.adapters.keyring.restoring import Restored, put_back, put_under
from recvault.adapters.keyring.sealed import read_header
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain.errors import KeyDestroyed, KeyringError, Tampered
from recvault.domain.ports.keyring import KeyKind, Loss

DAY, LATER = "day/2026-11-22/1", "day/2026-11-23/1"
SECRET = bytes(range(32))


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """An own place ``a``, a replica ``b``, and an offline copy taken while DAY lived."""

    base: Path
    root: RootKeyFile
    clock: FixedClock = field(default_factory=FixedClock)

    @property
    def places(self) -> dict[str, Path]:
        return {"a": self.base / "a", "b": self.base / "b"}

    def open(self, root: RootKeyFile | None = None, *, create: bool = False) -> FileKeyring:
        return FileKeyring(
            directory=self.base / "a",
            root=root or self.root,
            clock=self.clock,
            entropy=SystemEntropy(),
            replicas={"b": self.base / "b"},
            place="a",
            create=create,
        )

    def lose(self, name: str) -> None:
        (self.base / name / "keyring.sealed").unlink()

    def put_back(self, copy: bytes) -> Restored:
        return put_back(
            copy, root=self.root, places=self.places, clock=self.clock, entropy=SystemEntropy(), expired=False
        )

    def put_under(self, root: RootKeyFile, kit: Kit, copy: bytes | None = None) -> Restored:
        return put_under(
            root,
            private=kit.secret,
            copy=copy,
            recovery=None,
            places=self.places,
            clock=self.clock,
            entropy=SystemEntropy(),
            expired=False,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(base=tmp_path, root=RootKeyFile.create(tmp_path / "root", SystemEntropy()))
    site.open(create=True).ensure(DAY, KeyKind.WRAP)
    return site


@pytest.fixture
def copy(site: Site) -> bytes:
    taken = site.open().take_copy(site.base / "stick")
    return (site.base / "stick" / copy_name(taken.id)).read_bytes()


def test_a_copy_fills_the_own_place_and_a_survivor_knows_more(site: Site, copy: bytes) -> None:
    keyring = site.open()
    wrapped = keyring.wrap(DAY, SECRET, b"")
    keyring.ensure(LATER, KeyKind.WRAP)
    keyring.destroy([DAY])
    site.lose("a")
    told = site.put_back(copy)
    assert (told.written, told.lost, told.copy) == (True, True, "2026-11-22-1")
    restored = site.open()
    with pytest.raises(KeyDestroyed):
        restored.unwrap(DAY, wrapped, b"")
    assert restored.info(LATER).destroyed_at is None
    assert [(lost.place, lost.loss) for lost in restored.lost_places()] == [("a", Loss.MISSING)]
    assert [status.fault for status in restored.replicas()] == [None, None]


def test_a_copy_is_not_put_over_a_keyring(site: Site, copy: bytes) -> None:
    before = (site.base / "a" / "keyring.sealed").read_bytes()
    assert site.put_back(copy) == Restored()
    assert (site.base / "a" / "keyring.sealed").read_bytes() == before


def test_a_copy_alone_waits_for_the_other_places(site: Site, copy: bytes) -> None:
    """Whether ``b`` is only not mounted nobody knows: it is not written, and new keys wait for it or for a person's word."""
    wrapped = site.open().wrap(DAY, SECRET, b"")
    site.lose("a")
    site.lose("b")
    site.put_back(copy)
    restored = site.open()
    assert restored.unwrap(DAY, wrapped, b"") == SECRET
    assert not (site.base / "b" / "keyring.sealed").exists()
    with pytest.raises(KeyringError, match="place b holds no keyring"):
        restored.ensure(LATER, KeyKind.WRAP)
    restored.lose_place("b", Loss.MISSING)
    restored.add_place("b")
    assert restored.ensure(LATER, KeyKind.WRAP) is True


def test_a_damaged_survivor_stops_the_restoration_and_stays(site: Site, copy: bytes) -> None:
    site.lose("a")
    file = site.base / "b" / "keyring.sealed"
    file.write_bytes(file.read_bytes()[:-1])
    damaged = file.read_bytes()
    with pytest.raises(Tampered, match="move this file away"):
        site.put_back(copy)
    assert file.read_bytes() == damaged and not (site.base / "a" / "keyring.sealed").exists()


@pytest.fixture
def kit(site: Site) -> Kit:
    kit = Kit(kind=KitKind.RECOVERY, secret=SystemEntropy().bytes(32))
    public = recovery_public(kit)
    assert public is not None
    site.open().set_recovery(public)
    return kit


def test_the_recovery_key_moves_the_keyring_under_another_root_key(site: Site, kit: Kit) -> None:
    wrapped = site.open().wrap(DAY, SECRET, b"")
    new = RootKeyFile.create(site.base / "new", SystemEntropy())
    assert site.put_under(new, kit) == Restored(written=True)
    restored = site.open(new)
    assert restored.unwrap(DAY, wrapped, b"") == SECRET
    assert [status.fault for status in restored.replicas()] == [None, None]
    for name in "ab":
        assert read_header((site.base / name / "keyring.sealed").read_bytes()).root == new.id
    change = restored.last_root_change
    assert (
        change is not None and (change.before, change.after) == (site.root.id, new.id) and change.ended_at is not None
    )
    assert restored.recovery_public is None and not restored.backup_confirmed()
    with pytest.raises(KeyringError, match="under another root key"):
        site.open()


def test_doing_it_again_after_a_crash_ends_the_same(site: Site, kit: Kit) -> None:
    """The own place was written, the replica not yet."""
    new = RootKeyFile.create(site.base / "new", SystemEntropy())
    site.put_under(new, kit)
    assert read_header((site.base / "b" / "keyring.sealed").read_bytes()).root == site.root.id
    site.put_under(new, kit)
    assert [status.fault for status in site.open(new).replicas()] == [None, None]
    site.put_under(new, kit)
    assert site.open(new).info(DAY).destroyed_at is None


def test_with_no_place_left_a_copy_is_needed(site: Site, kit: Kit) -> None:
    copy = (site.base / "b" / "keyring.sealed").read_bytes()
    site.lose("a")
    site.lose("b")
    new = RootKeyFile.create(site.base / "new", SystemEntropy())
    with pytest.raises(KeyringError, match="name the newest copy"):
        site.put_under(new, kit)
    assert site.put_under(new, kit, copy).lost
    assert site.open(new).info(DAY).destroyed_at is None
    assert os.listdir(site.base / "b") == []  # noqa: PTH208


def test_a_kit_of_another_keyring_changes_nothing(site: Site, kit: Kit) -> None:
    before = (site.base / "a" / "keyring.sealed").read_bytes()
    other = Kit(kind=KitKind.RECOVERY, secret=bytes(32))
    with pytest.raises(KeyringError, match="not the one of this keyring"):
        site.put_under(RootKeyFile.create(site.base / "new", SystemEntropy()), other)
    assert (site.base / "a" / "keyring.sealed").read_bytes() == before
    site.open()
