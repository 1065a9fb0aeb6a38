"""The contract of ``domain.ports.objects.ObjectStore``, on every store that keeps it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.s3 import S3ObjectStore
from recvault.domain.errors import (
    InvalidInput,
    ObjectNotFound,
    RangeNotSatisfiable,
    StoreError,
    StoreUnavailable,
    TooLarge,
)
from recvault.domain.ports.objects import (
    SMALL_OBJECT_LIMIT,
    ObjectExists,
    ObjectStore,
    ObjectVersion,
    OpenUpload,
    Versioning,
)
from tests.servers.ceph import Ceph

MIB = 1024 * 1024
SIZES = (0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB)
VERSIONED = ("memory", "s3-versioned")
versioned_only = pytest.mark.parametrize(
    "case", ["memory", pytest.param("s3-versioned", marks=pytest.mark.s3)], indirect=True
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A store, and how a foreign tool deletes in it without naming a version."""

    kind: str
    store: ObjectStore
    plain_delete: Callable[[str], None]

    @property
    def versioned(self) -> bool:
        return self.kind in VERSIONED


@pytest.fixture(
    params=[
        "memory",
        "memory-plain",
        "folder",
        pytest.param("s3-plain", marks=pytest.mark.s3),
        pytest.param("s3-versioned", marks=pytest.mark.s3),
        pytest.param("s3-tls", marks=pytest.mark.s3),
    ]
)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    kind: str = request.param
    if kind.startswith("memory"):
        memory = MemoryObjectStore(versioned=kind in VERSIONED)
        yield Case(kind=kind, store=memory, plain_delete=memory.plain_delete)
    elif kind == "folder":
        root = tmp_path / "objects"
        with closing(FolderObjectStore(root, create=True)) as folder:
            yield Case(kind=kind, store=folder, plain_delete=lambda name: (root / name).unlink())
    else:
        ceph: Ceph = request.getfixturevalue("ceph")
        bucket = ceph.make_bucket(versioned=kind in VERSIONED)
        with closing(S3ObjectStore(ceph.settings(bucket, tls=kind == "s3-tls"))) as s3:
            yield Case(kind=kind, store=s3, plain_delete=lambda name: ceph.client().remove_object(bucket, name))


@pytest.fixture
def store(case: Case) -> ObjectStore:
    return case.store


def pattern(length: int) -> bytes:
    """Bytes in which every position can be told from its neighbours."""
    block = b"".join(hashlib.sha256(number.to_bytes(8)).digest() for number in range(32768))
    return (block * (length // len(block) + 1))[:length]


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def names(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [version.name for version in store.list_versions(prefix, after=after)]


def wipe(store: ObjectStore, prefix: str) -> None:
    assert store.delete_versions(store.list_versions(prefix)) == []


# -- putting and getting


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_is_got(store: ObjectStore, size: int) -> None:
    data = pattern(size)
    stored = store.put("u/audio.1", cut(data, 65_536))
    assert (stored.name, stored.length) == ("u/audio.1", size)
    assert b"".join(store.get("u/audio.1", stored.version_id)) == data
    assert b"".join(store.get("u/audio.1", None)) == data
    [listed] = store.list_versions("u/")
    assert (listed.version_id, listed.length) == (stored.version_id, size)
    assert list(store.list_uploads("")) == []


@pytest.mark.parametrize("step", [1, 16_400, 1_000_003, 8 * MIB, 9 * MIB, 40 * MIB])
def test_the_cut_of_the_chunks_does_not_matter(store: ObjectStore, step: int) -> None:
    data = pattern(70_001 if step == 1 else 17 * MIB + 5)
    stored = store.put("u/audio.1", cut(data, step))
    digest = hashlib.sha256()
    for piece in store.get("u/audio.1", stored.version_id):
        digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()


def test_empty_chunks_are_nothing(store: ObjectStore) -> None:
    assert store.put("u/a", [b"", b"x", b"", b"y", b""]).length == 2
    assert b"".join(store.get("u/a", None)) == b"xy"


@pytest.mark.parametrize("before", [0, 1, 9 * MIB, 30 * MIB])
def test_a_sender_that_fails_leaves_nothing(store: ObjectStore, before: int) -> None:
    class Broken(Exception):
        pass

    def chunks() -> Iterator[bytes]:
        yield from cut(pattern(before), MIB)
        raise Broken

    with pytest.raises(Broken):
        store.put("u/audio.1", chunks())
    assert names(store) == []
    assert list(store.list_uploads("")) == []
    with pytest.raises(ObjectNotFound):
        b"".join(store.get("u/audio.1", None))


def test_an_error_of_the_sender_is_not_taken_for_one_of_the_store(store: ObjectStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise OSError("the sender's own")

    with pytest.raises(OSError, match="the sender's own"):
        store.put("u/audio.1", chunks())


def test_putting_again_replaces_or_adds_a_version(case: Case) -> None:
    first = case.store.put("u/a", [b"one"])
    second = case.store.put("u/a", [b"second"])
    assert b"".join(case.store.get("u/a", None)) == b"second"
    assert b"".join(case.store.get("u/a", second.version_id)) == b"second"
    if case.versioned:
        assert b"".join(case.store.get("u/a", first.version_id)) == b"one"
    lengths = [version.length for version in case.store.list_versions("u/")]
    assert lengths == ([6, 3] if case.versioned else [6])  # the newest comes first


def test_absence_is_its_own_error(store: ObjectStore) -> None:
    store.put("u/a", [b"x"])
    for name, version_id in (
        ("u/b", None),
        ("v/a", None),
        ("u", None),
        ("u/a", "nosuchversion0123456789012345678"),
    ):
        with pytest.raises(ObjectNotFound):
            b"".join(store.get(name, version_id))
        with pytest.raises(ObjectNotFound):
            store.get_range(name, version_id, 0, 1)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".incoming/a", "-a", "a b", "a\0b", "a\nb",
        "a\\b", "a%b", "a~b", "ä", "a/" + "b" * 129, "/".join(["a"] * 101),
    ],
)  # fmt: skip
def test_unlawful_names_are_refused_everywhere(store: ObjectStore, name: str) -> None:
    with pytest.raises(InvalidInput):
        store.put(name, [b"x"])
    with pytest.raises(InvalidInput):
        store.put_small(name, b"x")
    with pytest.raises(InvalidInput):
        b"".join(store.get(name, None))
    with pytest.raises(InvalidInput):
        store.get_range(name, None, 0, 1)


@pytest.mark.parametrize("name", ["a", "a/b/c/d/e", "01890a5d-ac96-774b-bcce-b302099a8057/original.1", "a=b/_c-d.e_f"])
def test_lawful_names_lead_back(store: ObjectStore, name: str) -> None:
    store.put(name, [b"x"])
    assert names(store) == [name]
    assert b"".join(store.get(name, None)) == b"x"


def test_the_longest_name(store: ObjectStore) -> None:
    name = "a" * 128 + "/" + "b" * 71
    store.put(name, [b"x"])
    assert names(store) == [name]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (0, 100_000), (99_999, 1), (1, 99_999), (16_400, 16_400), (65_535, 2), (0, 56)],
)
def test_ranges(store: ObjectStore, offset: int, length: int) -> None:
    data = pattern(100_000)
    stored = store.put("u/a", [data])
    assert store.get_range("u/a", stored.version_id, offset, length) == data[offset : offset + length]


def test_ranges_across_parts(store: ObjectStore) -> None:
    data = pattern(17 * MIB)
    stored = store.put("u/a", cut(data, MIB))
    for edge in (8 * MIB, 16 * MIB):
        assert store.get_range("u/a", stored.version_id, edge - 7, 20) == data[edge - 7 : edge + 13]


@pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (10, 1), (11, 1), (1000, 1)])
def test_ranges_outside_say_how_long_the_object_is(store: ObjectStore, offset: int, length: int) -> None:
    stored = store.put("u/a", [b"0123456789"])
    with pytest.raises(RangeNotSatisfiable) as caught:
        store.get_range("u/a", stored.version_id, offset, length)
    assert caught.value.length == 10


def test_an_empty_object_has_no_range(store: ObjectStore) -> None:
    store.put("u/a", [])
    with pytest.raises(RangeNotSatisfiable) as caught:
        store.get_range("u/a", None, 0, 1)
    assert caught.value.length == 0


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 0), (0, -5)])
def test_senseless_ranges_are_refused(store: ObjectStore, offset: int, length: int) -> None:
    store.put("u/a", [b"x"])
    with pytest.raises(InvalidInput):
        store.get_range("u/a", None, offset, length)


# -- small objects with new names


def test_a_small_object_never_replaces(store: ObjectStore) -> None:
    store.put_small("ledger/0001", b"first")
    with pytest.raises(ObjectExists) as caught:
        store.put_small("ledger/0001", b"other")
    assert isinstance(caught.value, StoreError)
    assert b"".join(store.get("ledger/0001", None)) == b"first"
    assert len(names(store)) == 1
    assert store.put_small("ledger/00011", b"").length == 0  # a neighbour that begins alike
    assert store.put_small("ledger/000", b"x").length == 1


def test_a_small_object_is_small(store: ObjectStore) -> None:
    assert store.put_small("a", bytes(SMALL_OBJECT_LIMIT)).length == SMALL_OBJECT_LIMIT
    with pytest.raises(TooLarge):
        store.put_small("b", bytes(SMALL_OBJECT_LIMIT + 1))
    assert names(store) == ["a"]


def test_of_many_writers_of_one_new_name_one_wins(store: ObjectStore) -> None:
    outcomes = race(6, lambda number: store.put_small("ledger/0001", b"%d" % number))
    refused = [outcome for outcome in outcomes if isinstance(outcome, ObjectExists)]
    winners = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
    assert (len(winners), len(refused)) == (1, 5)
    assert b"".join(store.get("ledger/0001", None)) == b"%d" % winners[0]
    assert len(names(store)) == 1


def race(count: int, act: Callable[[int], object]) -> list[object]:
    """What ``act`` returned or raised in each of ``count`` threads that began together."""
    outcomes: list[object] = [None] * count
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = act(number)
        except (StoreError, OSError) as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_concurrent_puts_of_one_name_never_mix(case: Case) -> None:
    size = 9 * MIB
    outcomes = race(4, lambda number: case.store.put("u/a", cut(bytes([number]) * size, MIB)))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    found = list(case.store.list_versions("u/"))
    assert len(found) == (4 if case.versioned else 1)
    for version in found:
        content = b"".join(case.store.get("u/a", version.version_id))
        assert content == content[:1] * size
    assert list(case.store.list_uploads("")) == []


def test_puts_and_deletes_of_neighbours_at_once(store: ObjectStore) -> None:
    """Deleting the last object of a directory must not take the directory from under a put."""

    def act(number: int) -> None:
        for turn in range(15):
            store.put(f"u/x/{number}.{turn}", [b"x"])
            store.delete_versions(
                version for version in store.list_versions("u/x/") if version.name.endswith(f"{number}.{turn}")
            )
        store.put(f"u/y/{number}", [b"stays"])

    assert race(4, act) == [None] * 4
    assert names(store) == [f"u/y/{number}" for number in range(4)]


# -- listing


def test_listing_is_ordered_bytewise_and_goes_on_after_a_name(store: ObjectStore) -> None:
    unordered = ["a/b/c", "a/b-c", "a/b.c", "a/b0", "a/B", "a/_", "a.b/c", "a-b", "b", "aa/x", "a/b/b/x"]
    for name in unordered:
        store.put(name, [b"x"])
    assert names(store) == sorted(unordered)
    assert names(store, "a/") == sorted(name for name in unordered if name.startswith("a/"))
    assert names(store, "a/b/") == ["a/b/b/x", "a/b/c"]
    for after in [*unordered, "a", "a/", "a/b/", "a/b/b", "z", "A"]:
        assert names(store, after=after) == sorted(name for name in unordered if name > after), after
    assert names(store, "a/", after="a/b/b/x") == ["a/b/c", "a/b0"]


@pytest.mark.parametrize("strangers", [0, 3, 250])
def test_many_prefixes_are_listed_as_each_by_itself(store: ObjectStore, strangers: int) -> None:
    """Strangers before, between and after; so many that reading them all would cost more than asking for each."""
    wanted = ["b/", "c/", "x/"]
    for name in ("b/1", "b/2", "b0", "c/1", "x/1", "x/y", "b-/1", "a/1", "z/1"):
        store.put(name, [b"."])
    for number in range(strangers):
        store.put(f"d{number:03}/1", [b"."])
    assert [found.name for found in store.list_versions_of(wanted)] == ["b/1", "b/2", "c/1", "x/1", "x/y"]
    assert [found.name for found in store.list_versions_of(["b/"])] == ["b/1", "b/2"]
    assert [found.name for found in store.list_versions_of(["b/", "nothing/", "zz/"])] == ["b/1", "b/2"]
    assert list(store.list_versions_of([])) == list(store.list_versions_of(["e/", "f/"])) == []


def test_listing_nothing(store: ObjectStore) -> None:
    store.put("a", [b"x"])
    for prefix in ("b/", "a/", "a/b/"):
        assert names(store, prefix) == []
        assert list(store.list_uploads(prefix)) == []
        assert store.abort_uploads(prefix) == 0


@pytest.mark.parametrize("prefix", ["a", "a/b", "/", "..", "../", "a//", "a/../"])
def test_a_prefix_is_whole_segments(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(InvalidInput):
        list(store.list_versions(prefix))
    with pytest.raises(InvalidInput):
        list(store.list_uploads(prefix))
    with pytest.raises(InvalidInput):
        store.abort_uploads(prefix)


def test_times_of_versions_are_the_stores(store: ObjectStore) -> None:
    before = store.now()
    store.put("u/a", [b"x"])
    [version] = store.list_versions("")
    assert before - timedelta(seconds=2) <= version.modified <= store.now() + timedelta(seconds=2)


# -- deleting


def test_deleting_leaves_neighbours_alone(store: ObjectStore) -> None:
    kept = ["u", "ua", "u-/x", "u.b/x", "t/x"]
    for name in ["u0/a", "u0/b/c", *kept]:
        store.put(name, [b"x"])
    wipe(store, "u0/")
    assert names(store) == sorted(kept)


def test_deleting_takes_all_versions_and_markers(case: Case) -> None:
    case.store.put("u/a", [b"one"])
    case.store.put("u/a", [b"two"])
    case.plain_delete("u/a")
    with pytest.raises(ObjectNotFound):
        b"".join(case.store.get("u/a", None))
    found = list(case.store.list_versions("u/"))
    assert [version.is_delete_marker for version in found] == ([True, False, False] if case.versioned else [])
    assert case.store.delete_versions(found) == []
    assert names(case.store) == []


@versioned_only
def test_one_version_goes_and_the_other_stays(case: Case) -> None:
    case.store.put("u/a", [b"one"])
    second = case.store.put("u/a", [b"two"])
    newest = next(iter(case.store.list_versions("u/")))
    assert newest.version_id == second.version_id
    assert case.store.delete_versions([newest]) == []
    assert b"".join(case.store.get("u/a", None)) == b"one"
    with pytest.raises(ObjectNotFound):
        b"".join(case.store.get("u/a", second.version_id))


@versioned_only
def test_a_marker_has_no_content(case: Case) -> None:
    case.store.put("u/a", [b"one"])
    case.plain_delete("u/a")
    marker = next(iter(case.store.list_versions("u/")))
    with pytest.raises(ObjectNotFound):
        b"".join(case.store.get("u/a", marker.version_id))
    with pytest.raises(ObjectExists):
        case.store.put_small("u/a", b"x")


def test_deleting_what_is_gone_is_fine(store: ObjectStore) -> None:
    store.put("u/a", [b"x"])
    found = list(store.list_versions(""))
    assert store.delete_versions(found) == []
    assert store.delete_versions(found) == []
    never = ObjectVersion(name="v/never", version_id=None, is_delete_marker=False, length=0, modified=datetime.now(UTC))
    assert store.delete_versions([never]) == []
    assert store.delete_versions([]) == []
    assert names(store) == []


def test_fifteen_hundred_objects_are_listed_and_deleted_in_bulk(case: Case) -> None:
    wanted = [f"u/{number:05d}/s.1" if number % 2 else f"u/{number:05d}" for number in range(1500)]
    workers = 6
    outcomes = race(
        workers, lambda own: [case.store.put(name, [b"x"]).length for name in wanted[own::workers]] and None
    )
    assert outcomes == [None] * workers
    case.store.put("v/neighbour", [b"x"])
    assert names(case.store, "u/") == sorted(wanted)
    assert names(case.store, "u/", after=sorted(wanted)[1233]) == sorted(wanted)[1234:]
    wipe(case.store, "u/")
    assert names(case.store) == ["v/neighbour"]


# -- open uploads


def test_a_running_upload_is_seen_and_can_be_aborted(store: ObjectStore) -> None:
    seen: list[OpenUpload] = []

    def chunks() -> Iterable[bytes]:
        yield from cut(pattern(20 * MIB), MIB)
        seen.extend(store.list_uploads("u/"))
        assert list(store.list_uploads("v/")) == []
        assert names(store) == []
        assert store.abort_uploads("v/") == 0
        assert store.abort_uploads("u/") == 1
        yield b"end"

    with pytest.raises(StoreUnavailable, match="aborted while it ran; send it again"):
        store.put("u/x/audio.1", chunks())
    assert [upload.name for upload in seen] == ["u/x/audio.1"]
    assert abs(seen[0].started - store.now()) < timedelta(minutes=1)
    assert names(store) == []
    assert list(store.list_uploads("")) == []


# -- the store itself


def test_the_stores_clock(store: ObjectStore) -> None:
    now = store.now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_what_the_store_says_of_itself(case: Case) -> None:
    case.store.check()
    observed = case.store.observe()
    assert observed.kind == case.kind.partition("-")[0]
    assert observed.versioning is (Versioning.ON if case.versioned else Versioning.OFF)
    assert observed.loopback
    assert not observed.replication
    assert (observed.lifecycle_rules, observed.unreadable, observed.default_retention_days) == ((), (), None)
    assert observed.encrypted_transport is (case.kind == "s3-tls")
    if observed.kind == "s3":
        assert observed.location == "fi-hel1"
        assert observed.endpoint.startswith("127.0.0.1:")
    if observed.kind == "folder":
        assert observed.free_bytes is not None
        assert observed.free_bytes > 0
