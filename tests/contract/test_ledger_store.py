"""The contract of ``domain.ports.ledger.LedgerStore``, in memory and in two places on every object store."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.ledger_store import ReplicatedLedger, entry_name
from recvault.adapters.memory_ledger import MemoryLedger
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.s3 import S3ObjectStore
from recvault.domain.errors import InvalidInput, LedgerFailure, StoreUnavailable, Unavailable
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.objects import ObjectStore
from tests.servers.ceph import Ceph

STORES = (
    "memory",
    "memory-versioned",
    "folder",
    pytest.param("s3", marks=pytest.mark.s3),
    pytest.param("s3-versioned", marks=pytest.mark.s3),
)


def entry(sequence: int) -> bytes:
    return b'{"sequence":%d}' % sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The two places of a ledger, and ways to damage each."""

    store: ObjectStore
    directory: Path

    def open(self) -> ReplicatedLedger:
        return ReplicatedLedger(self.store, self.directory)

    def file(self, sequence: int) -> Path:
        return self.directory / entry_name(sequence)

    def lose_object(self, sequence: int) -> None:
        gone = [v for v in self.store.list_versions("ledger/") if v.name == entry_name(sequence)]
        assert self.store.delete_versions(gone) == []

    def replace_object(self, sequence: int, envelope: bytes) -> None:
        self.lose_object(sequence)
        self.store.put_small(entry_name(sequence), envelope)


def object_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if kind.startswith("memory"):
        return MemoryObjectStore(versioned=kind == "memory-versioned")
    if kind == "folder":
        folder = FolderObjectStore(tmp_path / "objects", create=True)
        request.addfinalizer(folder.close)
        return folder
    ceph: Ceph = request.getfixturevalue("ceph")
    s3 = S3ObjectStore(ceph.settings(ceph.make_bucket(versioned=kind == "s3-versioned")))
    request.addfinalizer(s3.close)
    return s3


@pytest.fixture(params=STORES)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    (tmp_path / "second").mkdir()
    return Places(store=object_store(request.param, request, tmp_path), directory=tmp_path / "second")


@pytest.fixture(params=["in-memory", *STORES])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerStore:
    if request.param == "in-memory":
        return MemoryLedger()
    return ReplicatedLedger(object_store(request.param, request, tmp_path), tmp_path / "second", create=True)


@pytest.fixture
def full(places: Places) -> ReplicatedLedger:
    """Five entries in both places."""
    ledger = places.open()
    for sequence in range(1, 6):
        ledger.append(sequence, entry(sequence))
    return ledger


def test_an_empty_ledger_ends_at_zero(ledger: LedgerStore) -> None:
    assert ledger.last() == 0
    assert list(ledger.read()) == []


def test_entries_come_back_in_order(ledger: LedgerStore) -> None:
    for sequence in range(1, 13):
        ledger.append(sequence, entry(sequence))
        assert ledger.last() == sequence
    assert list(ledger.read()) == [(n, entry(n)) for n in range(1, 13)]
    assert list(ledger.read(10)) == [(n, entry(n)) for n in range(10, 13)]
    assert list(ledger.read(12)) == [(12, entry(12))]
    assert list(ledger.read(13)) == []


def test_the_same_bytes_again_are_harmless_and_others_are_refused(ledger: LedgerStore) -> None:
    ledger.append(1, entry(1))
    ledger.append(1, entry(1))
    with pytest.raises(LedgerFailure, match="other content"):
        ledger.append(1, entry(2))
    assert list(ledger.read()) == [(1, entry(1))]


def test_a_number_cannot_be_skipped(ledger: LedgerStore) -> None:
    ledger.append(1, entry(1))
    with pytest.raises(LedgerFailure):
        ledger.append(3, entry(3))
    assert ledger.last() == 1


@pytest.mark.parametrize("sequence", [0, -1])
def test_numbers_begin_at_one(ledger: LedgerStore, sequence: int) -> None:
    with pytest.raises((InvalidInput, LedgerFailure)):
        ledger.append(sequence, b"")


def test_both_places_hold_the_entry_under_the_same_name(places: Places, full: ReplicatedLedger) -> None:
    assert entry_name(12) == "ledger/000000000012"
    assert [v.name for v in places.store.list_versions("ledger/")] == [entry_name(n) for n in range(1, 6)]
    assert sorted(file.name for file in places.file(1).parent.iterdir()) == [f"{n:012d}" for n in range(1, 6)]
    assert places.file(3).read_bytes() == entry(3)
    assert stat.S_IMODE(places.file(3).stat().st_mode) == 0o600
    assert stat.S_IMODE(places.file(3).parent.stat().st_mode) == 0o700


def test_another_process_sees_every_entry(places: Places, full: ReplicatedLedger) -> None:
    other = places.open()
    assert other.last() == 5
    full.append(6, entry(6))
    full.append(7, entry(7))
    assert other.last() == 7
    other.append(8, entry(8))
    assert [n for n, _ in full.read()] == list(range(1, 9))


@pytest.mark.parametrize("sequence", [1, 3, 5])
@pytest.mark.parametrize("lost", ["object", "file"])
def test_a_hole_in_one_place_is_bridged_and_filled_when_asked(
    places: Places, full: ReplicatedLedger, lost: str, sequence: int
) -> None:
    if lost == "object":
        places.lose_object(sequence)
    else:
        places.file(sequence).unlink()
    for ledger in (full, places.open()):
        assert list(ledger.read()) == [(n, entry(n)) for n in range(1, 6)]
        assert ledger.last() == 5
    assert places.file(sequence).exists() is (lost == "object"), "reading fills nothing"
    assert full.heal() == 1
    assert full.heal() == 0
    assert places.file(sequence).read_bytes() == entry(sequence)
    assert b"".join(places.store.get(entry_name(sequence), None)) == entry(sequence)


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_gap_in_both_places_is_a_failure(places: Places, full: ReplicatedLedger, sequence: int) -> None:
    places.lose_object(sequence)
    places.file(sequence).unlink()
    for ledger in (full, places.open()):
        with pytest.raises(LedgerFailure, match=f"entry {sequence} is in neither place"):
            list(ledger.read())
        with pytest.raises(LedgerFailure, match="neither place"):
            ledger.heal()
        assert [n for n, _ in ledger.read(sequence + 1)] == list(range(sequence + 1, 6))


def test_a_gap_is_found_though_the_store_ends_before_it(places: Places, full: ReplicatedLedger) -> None:
    for sequence in (3, 4, 5):
        places.lose_object(sequence)
    places.file(3).unlink()
    with pytest.raises(LedgerFailure, match="entry 3 is in neither place"):
        list(full.read(2))


def test_entries_lost_from_the_end_of_both_are_not_remembered(places: Places, full: ReplicatedLedger) -> None:
    assert full.last() == 5
    for sequence in (4, 5):
        places.lose_object(sequence)
        places.file(sequence).unlink()
    assert full.last() == 3
    with pytest.raises(LedgerFailure, match="entry 5 is in neither place"):
        full.append(6, entry(6))


@pytest.mark.parametrize("altered", ["object", "file"])
def test_places_that_disagree_are_a_failure(places: Places, full: ReplicatedLedger, altered: str) -> None:
    if altered == "object":
        places.replace_object(2, b"altered")
    else:
        places.file(2).write_bytes(b"altered")
    steps: tuple[Callable[[], object], ...] = (lambda: list(full.read()), full.heal, lambda: full.append(2, entry(2)))
    for step in steps:
        with pytest.raises(LedgerFailure):
            step()
    assert [n for n, _ in full.read(3)] == [3, 4, 5]


def test_an_append_that_reached_one_place_is_completed_by_repeating_it(places: Places, full: ReplicatedLedger) -> None:
    places.store.put_small(entry_name(6), entry(6))
    full.append(6, entry(6))
    assert places.file(6).read_bytes() == entry(6)
    places.lose_object(6)
    places.open().append(6, entry(6))
    assert full.heal() == 0


def test_the_next_entry_may_follow_one_that_reached_one_place(places: Places, full: ReplicatedLedger) -> None:
    places.store.put_small(entry_name(6), entry(6))
    full.append(7, entry(7))
    assert [n for n, _ in full.read()] == list(range(1, 8))
    assert full.last() == places.open().last() == 7
    assert full.heal() == 1


def test_a_second_place_that_is_not_mounted_is_not_taken_for_an_empty_one(
    places: Places, full: ReplicatedLedger
) -> None:
    places.directory.rename(places.directory.with_name("unplugged"))
    steps: tuple[Callable[[], object], ...] = (
        lambda: full.append(6, entry(6)),
        lambda: list(full.read()),
        full.last,
        full.heal,
    )
    for step in steps:
        with pytest.raises(Unavailable, match="mount its disk"):
            step()
    assert not places.directory.exists()


def test_two_versions_of_one_entry_are_a_failure(tmp_path: Path) -> None:
    """What two racing writers leave on a versioned bucket."""
    store = MemoryObjectStore()
    store.put(entry_name(1), [b"one"])
    store.put(entry_name(1), [b"two"])
    with pytest.raises(LedgerFailure, match="different versions"):
        list(ReplicatedLedger(store, tmp_path).read())


def test_a_delete_marker_hides_nothing(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    ledger = ReplicatedLedger(store, tmp_path)
    ledger.append(1, entry(1))
    ledger.append(2, entry(2))
    store.plain_delete(entry_name(2))
    (tmp_path / entry_name(2)).unlink()
    assert list(ledger.read()) == [(1, entry(1)), (2, entry(2))]
    assert ledger.last() == 2


class CutShort(MemoryObjectStore):
    """Gives half of what it holds, as a cut answer that nobody notices would."""

    @override
    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        content = b"".join(super().get(name, version_id))
        yield content[: len(content) // 2]


def test_an_answer_that_was_cut_is_not_taken_for_an_altered_entry(tmp_path: Path) -> None:
    ledger = ReplicatedLedger(CutShort(), tmp_path / "second", create=True)
    ledger.append(1, entry(1))
    with pytest.raises(StoreUnavailable, match="ask again"):
        list(ledger.read())
