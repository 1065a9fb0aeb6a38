"""Places that come, go and are lost, offline copies, and the end of a root key: what is refused, and what a crash leaves."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring, copy_name
from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.register import members
from recvault.adapters.keyring.sealed import FORMER, open_table, read_header
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import START, FixedClock, SystemEntropy
from recvault.domain.errors import InvalidInput, KeyDestroyed, KeyringError, Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.keyring import KeyKind, Loss
from recvault.sealing.wrapping import seal_small

DAY = "day/2026-11-22/1"
SECRET = bytes(range(32))


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Places named by letters under ``base``; ``a`` is the own one."""

    base: Path
    root: RootKeyFile
    clock: FixedClock

    def open(self, others: str = "b", *, root: RootKeyFile | None = None, create: bool = False) -> FileKeyring:
        return FileKeyring(
            directory=self.base / "a",
            root=root or self.root,
            clock=self.clock,
            entropy=SystemEntropy(),
            replicas={name: self.base / name for name in others},
            place="a",
            create=create,
        )

    def table(self, name: str) -> KeyTable:
        return open_table((self.base / name / "keyring.sealed").read_bytes(), root=self.root)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(base=tmp_path, root=RootKeyFile.create(tmp_path / "root", SystemEntropy()), clock=FixedClock())
    site.open(create=True).ensure(DAY, KeyKind.WRAP)
    return site


# --- places


def test_a_new_archives_places_are_all_on_the_register(site: Site) -> None:
    entries = site.open().register()
    assert [(e.place, e.configured, e.fault) for e in entries] == [("a", True, None), ("b", True, None)]
    assert all(e.stay is not None and e.stay.live and e.stay.added_at == START for e in entries)


def test_a_configured_place_counts_only_once_it_was_added(site: Site) -> None:
    keyring = site.open("bc")
    assert [status.place for status in keyring.replicas()] == ["a", "b"]
    assert keyring.ensure("day/2026-11-23/1", KeyKind.WRAP) is True
    assert not (site.base / "c").exists()
    assert [e.place for e in keyring.register() if e.stay is None] == ["c"]
    site.clock.advance(timedelta(days=1))
    keyring.add_place("c")
    assert site.table("c") == site.table("a") == site.table("b")
    assert members(site.table("a")) == {"a", "b", "c"}
    with pytest.raises(KeyringError, match="is on the register"):
        keyring.add_place("c")


def test_a_process_that_does_not_know_a_new_place_makes_and_destroys_nothing(site: Site) -> None:
    earlier = site.open()
    site.open("bc").add_place("c")
    assert earlier.unwrap(DAY, site.open("bc").wrap(DAY, SECRET, b""), b"") == SECRET
    with pytest.raises(KeyringError, match="the place c is on the keyring's register and not in the configuration"):
        earlier.ensure("day/2026-11-23/1", KeyKind.WRAP)
    with pytest.raises(KeyringError, match="the place c"):
        earlier.destroy([DAY])
    assert earlier.info(DAY).destroyed_at is None
    assert [status.place for status in earlier.replicas() if status.fault] == ["c"]
    site.open("bc").destroy([DAY])
    with pytest.raises(KeyDestroyed):
        earlier.wrap(DAY, SECRET, b"")


def test_a_place_whose_addition_broke_off_is_added_again(site: Site) -> None:
    (site.base / "c").mkdir(mode=0o700)
    shutil.copy(site.base / "a" / "keyring.sealed", site.base / "c" / "keyring.sealed")
    keyring = site.open("bc")
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    keyring.add_place("c")
    assert site.table("c") == site.table("a")


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_nothing_is_written_over_what_lies_in_a_new_place(site: Site, content: bytes) -> None:
    (site.base / "c").mkdir(mode=0o700)
    (site.base / "c" / "keyring.sealed").write_bytes(content)
    with pytest.raises(KeyringError, match=r"holds a keyring\.sealed that is not this"):
        site.open("bc").add_place("c")
    assert (site.base / "c" / "keyring.sealed").read_bytes() == content


def test_an_unknown_place_is_refused_with_those_there_are(site: Site) -> None:
    keyring = site.open()
    for act in (keyring.add_place, keyring.drop_place):
        with pytest.raises(KeyringError, match="z"):
            act("z")
    with pytest.raises(KeyringError, match="there are: a, b"):
        keyring.lose_place("z", Loss.BROKEN)


def test_a_dropped_place_is_wiped_and_needed_no_longer(site: Site) -> None:
    keyring = site.open()
    keyring.drop_place("b")
    assert list((site.base / "b").iterdir()) == []
    assert keyring.lost_places() == ()
    keyring.destroy([DAY])
    assert keyring.info(DAY).destroyed_at is not None
    with pytest.raises(KeyringError, match="not on the keyring's register"):
        keyring.drop_place("b")
    assert [e.stay.ended_at for e in keyring.register() if e.place == "b" and e.stay] == [START]


def test_a_place_that_is_away_is_not_dropped_but_lost(site: Site) -> None:
    keyring = site.open()
    with pytest.raises(KeyringError, match="is there and in step"):
        keyring.lose_place("b", Loss.MISSING)
    (site.base / "b").rename(site.base / "away")
    with pytest.raises(KeyringError, match="mount its disk"):
        keyring.drop_place("b")
    with pytest.raises(KeyringError, match="could have the new key"):
        keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    keyring.lose_place("b", Loss.MISSING)
    keyring.lose_place("b", Loss.STOLEN)  # said before: the first word stands
    assert keyring.ensure("day/2026-11-23/1", KeyKind.WRAP) is True
    keyring.destroy([DAY])
    assert keyring.info(DAY).destroyed_at is not None
    assert [(lost.place, lost.loss) for lost in keyring.lost_places()] == [("b", Loss.MISSING)]


def test_a_lost_place_that_comes_back_brings_nothing_back_and_is_wiped(site: Site) -> None:
    keyring = site.open()
    wrapped = keyring.wrap(DAY, SECRET, b"")
    (site.base / "b").rename(site.base / "away")
    keyring.replicas()
    keyring.lose_place("b", Loss.STOLEN)
    keyring.destroy([DAY])
    (site.base / "away").rename(site.base / "b")
    for process in (keyring, site.open()):
        with pytest.raises(KeyDestroyed):
            process.unwrap(DAY, wrapped, b"")
    assert site.table("b").keys[DAY].secret is not None, "it is not touched unasked"
    with pytest.raises(KeyringError, match="replica drop, which wipes it"):
        keyring.add_place("b")
    site.clock.advance(timedelta(days=2))
    keyring.drop_place("b")
    assert not (site.base / "b" / "keyring.sealed").exists()
    (lost,) = keyring.lost_places()
    assert lost.found_at == START + timedelta(days=2) and not lost.may_hold(keyring.info(DAY))
    keyring.add_place("b")
    assert len([e for e in keyring.register() if e.place == "b"]) == 2


def test_the_last_place_and_the_own_one_stay(site: Site) -> None:
    keyring = site.open()
    with pytest.raises(KeyringError, match="own place cannot be dropped"):
        keyring.drop_place("a")
    keyring.drop_place("b")
    (site.base / "a" / "keyring.sealed").unlink()
    with pytest.raises(KeyringError):
        keyring.lose_place("a", Loss.BROKEN)


def test_the_own_place_on_a_new_disk(site: Site) -> None:
    wrapped = site.open().wrap(DAY, SECRET, b"")
    shutil.rmtree(site.base / "a")
    keyring = site.open()
    assert keyring.unwrap(DAY, wrapped, b"") == SECRET
    keyring.lose_place("a", Loss.BROKEN)
    assert keyring.ensure("day/2026-11-23/1", KeyKind.WRAP) is True
    keyring.add_place("a")
    assert site.table("a") == site.table("b")
    assert [lost.place for lost in site.open().lost_places()] == ["a"]


def test_a_keyring_of_version_1_is_read_and_gets_a_register(site: Site) -> None:
    record = {"id": DAY, "kind": "wrap", "created_at": START.isoformat(), "destroyed_at": None}
    body = {"serial": 7, "backup_confirmed_at": START.isoformat()}
    body |= {"keys": [record | {"secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]}
    header = {"format": FORMER, "root": site.root.id, "salt": "AAAA", "serial": 7}
    line = canonical_json(header)
    key = site.root.derive(bytes(3), FORMER.encode())
    sealed = line + b"\n" + seal_small(key, canonical_json(body), line, bytes(12))
    for name in "ab":
        (site.base / name / "keyring.sealed").write_bytes(sealed)
    keyring = site.open()
    assert keyring.backup_confirmed() and keyring.list() == (keyring.info(DAY),)
    assert members(site.table("a")) == {"a", "b"}
    assert read_header((site.base / "b" / "keyring.sealed").read_bytes()).form != FORMER


# --- offline copies


def test_a_copy_is_sealed_on_the_register_and_refuses_to_be_forgotten(site: Site) -> None:
    keyring = site.open()
    copy = keyring.take_copy(site.base / "stick")
    sealed = (site.base / "stick" / copy_name(copy.id)).read_bytes()
    assert read_header(sealed).copy == copy.id == "2026-11-22-1"
    assert open_table(sealed, root=site.root) == site.table("a") == site.table("b")
    assert keyring.take_copy(site.base / "stick", days=90).id == "2026-11-22-2"
    ended = keyring.end_copy(copy.id)
    site.clock.advance(timedelta(days=1))
    assert keyring.end_copy(copy.id) == ended, "the first word stands"
    assert [each.ended_at for each in site.open().offline_copies()] == [START, None]


def test_copies_are_refused_where_they_make_no_sense(site: Site) -> None:
    keyring = site.open()
    for days in (0, 91):
        with pytest.raises(InvalidInput, match="1 to 90 days"):
            keyring.take_copy(site.base / "stick", days=days)
    with pytest.raises(InvalidInput, match="lies in a place of the keyring"):
        keyring.take_copy(site.base / "b" / "copies")
    with pytest.raises(KeyringError, match="see recvault keys copies"):
        keyring.end_copy("2026-11-22-1")
    (site.base / "file").write_text("")
    with pytest.raises(KeyringError, match="cannot write"):
        keyring.take_copy(site.base / "file")
    assert [each.ended_at for each in keyring.offline_copies()] == [START], "one that was not written is not out there"


def test_no_copy_is_taken_that_a_place_does_not_know_of(site: Site) -> None:
    keyring = site.open()
    (site.base / "b").rename(site.base / "away")
    with pytest.raises(KeyringError, match="note the copy"):
        keyring.take_copy(site.base / "stick")
    assert not (site.base / "stick").exists()


# --- the root key


def test_the_old_root_key_ends_only_after_kit_and_places(site: Site) -> None:
    keyring = site.open()
    keyring.confirm_backup()
    new = RootKeyFile.create(site.base / "new", SystemEntropy())
    with pytest.raises(KeyringError, match="not the root key before the last change"):
        keyring.require_root_changed(site.root)
    keyring.change_root(new, recovery=None)
    with pytest.raises(KeyringError, match="kit is not confirmed"):
        keyring.require_root_changed(site.root)
    with pytest.raises(KeyringError, match="not the root key before"):
        keyring.require_root_changed(new)
    keyring.confirm_backup()
    keyring.require_root_changed(site.root)
    keyring.note_root_destroyed()
    change = site.open(root=new).last_root_change
    assert change is not None and change.ended_at == START
    assert (change.before, change.after) == (site.root.id, new.id)


def test_a_lagging_place_does_not_bring_the_old_confirmation_back(site: Site) -> None:
    keyring = site.open()
    keyring.confirm_backup()
    new = RootKeyFile.create(site.base / "new", SystemEntropy())
    old_file = (site.base / "b" / "keyring.sealed").read_bytes()
    keyring.change_root(new, recovery=None)
    (site.base / "b" / "keyring.sealed").write_bytes(old_file)
    again = site.open(root=new)
    assert again.backup_confirmed() is False
    assert read_header((site.base / "b" / "keyring.sealed").read_bytes()).root == new.id


def test_changing_to_the_same_root_key_is_no_change(site: Site) -> None:
    keyring = site.open()
    keyring.confirm_backup()
    keyring.change_root(site.root, recovery=None)
    assert keyring.backup_confirmed() and keyring.last_root_change is None


def test_an_altered_header_is_refused(site: Site) -> None:
    sealed = (site.base / "a" / "keyring.sealed").read_bytes()
    line, _, body = sealed.partition(b"\n")
    for wrong in (
        line.replace(b'"serial":', b'"serial":"x","s":'),
        line[:-1] + b',"copy":7}',
        line[:-1] + b',"copy":"x"}',
    ):
        with pytest.raises(Tampered):
            open_table(wrong + b"\n" + body, root=site.root)
