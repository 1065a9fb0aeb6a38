"""What only a folder can get wrong: links, rights, full disks, killed writers, and directories that go away."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recvault.adapters import folder_tree
from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.mounts import network_source
from recvault.domain.errors import ObjectNotFound, StoreError, StoreUnavailable

MIB = 1024 * 1024
_TAKEN = r"choose another name|move it away"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(root: Path) -> Iterator[FolderObjectStore]:
    with closing(FolderObjectStore(root, create=True)) as store:
        yield store


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_rights_are_the_owners_alone(root: Path, store: FolderObjectStore) -> None:
    os.umask(previous := os.umask(0o777))
    assert previous != 0o777
    store.put("u/v/a", [b"x"])
    for path in (root, *root.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_empty_directories_go_and_the_root_stays(root: Path, store: FolderObjectStore) -> None:
    store.put("u/v/w/a", [b"x"])
    store.put("u/b", [b"x"])
    store.delete_versions(store.list_versions("u/v/"))
    assert everything(root) == [".incoming", "u", "u/b"]
    store.delete_versions(store.list_versions(""))
    assert everything(root) == [".incoming"]


def test_a_missing_root_is_not_made_by_itself(root: Path) -> None:
    with pytest.raises(StoreUnavailable, match="mount its disk"):
        FolderObjectStore(root)
    assert not root.exists()


def test_a_root_that_went_away_or_was_replaced_is_noticed(root: Path, store: FolderObjectStore) -> None:
    store.check()
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(StoreUnavailable, match="is gone"):
        store.check()
    root.mkdir()
    with pytest.raises(StoreUnavailable, match="another folder"):
        store.check()


@pytest.mark.parametrize("target", ["outside", "."])
def test_a_linked_directory_is_never_entered(root: Path, store: FolderObjectStore, target: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"secret")
    store.put("u/a", [b"x"])
    [version] = store.list_versions("")
    store.delete_versions([version])
    (root / "u").symlink_to(root.parent / target)
    for act in (
        lambda: store.put("u/b", [b"x"]),
        lambda: store.put_small("u/b", b"x"),
        lambda: b"".join(store.get("u/a", None)),
        lambda: list(store.list_versions("")),
        lambda: list(store.list_versions("u/")),
        lambda: store.delete_versions([version]),
    ):
        with pytest.raises(StoreError, match=r"symbolic link|special file"):
            act()
    assert (outside / "a").read_bytes() == b"secret"
    assert not (outside / "b").exists()
    assert everything(root) == [".incoming", "u"]


def test_a_linked_file_is_never_read_nor_followed(root: Path, store: FolderObjectStore) -> None:
    outside = root.parent / "secret"
    outside.write_bytes(b"secret")
    (root / "a").symlink_to(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        b"".join(store.get("a", None))
    store.put("a", [b"ours"])  # a rename replaces the link itself
    assert outside.read_bytes() == b"secret"
    assert b"".join(store.get("a", None)) == b"ours"


def test_special_files_are_no_objects(root: Path, store: FolderObjectStore) -> None:
    os.mkfifo(root / "a")
    with pytest.raises(ObjectNotFound):
        b"".join(store.get("a", None))
    with pytest.raises(StoreError, match="special file"):
        list(store.list_versions(""))


def test_what_cannot_be_an_object_is_passed_over(root: Path, store: FolderObjectStore) -> None:
    (root / "lost+found").mkdir()
    (root / ".DS_Store").write_bytes(b"x")
    (root / "lost+found" / "a").write_bytes(b"x")
    store.put("a", [b"x"])
    assert [version.name for version in store.list_versions("")] == ["a"]


def test_a_name_is_an_object_or_a_directory(store: FolderObjectStore) -> None:
    store.put("u/a", [b"x"])
    with pytest.raises(StoreError, match=_TAKEN):
        store.put("u", [b"x"])
    with pytest.raises(StoreError, match=_TAKEN):
        store.put("u/a/b", [b"x"])
    assert [version.name for version in store.list_versions("")] == ["u/a"]
    assert list(store.list_uploads("")) == []


def test_directories_larger_than_memory_should_be_are_listed_in_turns(
    store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_tree, "LISTED_AT_ONCE", 7)
    wanted = sorted(f"u/{number:02d}" for number in range(50))
    for name in wanted:
        store.put(name, [b"x"])
    assert [version.name for version in store.list_versions("")] == wanted
    assert [version.name for version in store.list_versions("", after="u/23")] == wanted[24:]


def test_deleting_while_listing_misses_nothing(store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_tree, "LISTED_AT_ONCE", 7)
    for number in range(60):
        store.put(f"{number:02d}/a", [b"x"])
    assert store.delete_versions(store.list_versions("")) == []
    assert list(store.list_versions("")) == []


def test_a_full_disk_says_so_and_leaves_nothing(root: Path, store: FolderObjectStore) -> None:
    """A limit on file size gives the writer the same kind of answer as a full disk, without needing root."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        with pytest.raises(StoreUnavailable, match="free or add space"):
            store.put("u/a", (bytes(MIB // 2) for _ in range(10)))
        with pytest.raises(StoreUnavailable, match="free or add space"):
            store.put_small("u/b", bytes(3 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert everything(root) == [".incoming"]
    assert store.put("u/a", [bytes(3 * MIB)]).length == 3 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root; the test above needs none")
def test_a_really_full_disk(root: Path) -> None:
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", root], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not allow to mount a tmpfs")
    try:
        with closing(FolderObjectStore(root)) as store:
            store.put("u/kept", [bytes(MIB)])
            with pytest.raises(StoreUnavailable, match="No space left"):
                store.put("u/a", (bytes(MIB // 4) for _ in range(20)))
            assert [version.name for version in store.list_versions("")] == ["u/kept"]
            assert list(store.list_uploads("")) == []
            free = store.observe().free_bytes
            assert free is not None
            assert 0 < free <= MIB
            assert store.delete_versions(store.list_versions("")) == []
    finally:
        subprocess.run(["umount", root], check=True)


WRITER = """
import sys
from pathlib import Path
from recvault.adapters.folder import FolderObjectStore

def chunks():
    for number in range(1000):
        if number == 20:
            print("written", flush=True)
            sys.stdin.read()
        yield bytes([number % 251]) * 65536

FolderObjectStore(Path(sys.argv[1])).put("u/audio.1", chunks())
"""


def test_a_killed_writer_leaves_an_open_upload_and_nothing_else(root: Path, store: FolderObjectStore) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    writer.kill()
    writer.communicate()
    assert list(store.list_versions("")) == []
    assert [upload.name for upload in store.list_uploads("u/")] == ["u/audio.1"]
    assert list(store.list_uploads("v/")) == []
    assert store.abort_uploads("u/") == 1
    assert everything(root) == [".incoming"]
    assert store.put("u/audio.1", [b"again"]).length == 5


def test_file_and_directories_are_synced_before_put_returns(
    store: FolderObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).rpartition("/objects")[2].partition("~")[0])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.put("u/v/a", [b"x"])
    assert synced[0] == "/.incoming/u%v%a"
    assert synced[-3:] == ["/u/v", "/u", ""]
    synced.clear()
    store.delete_versions(store.list_versions(""))
    assert synced == ["/u/v", "/u", ""]


def test_a_local_disk_is_not_taken_for_a_file_server(root: Path, store: FolderObjectStore) -> None:
    assert network_source(root.stat().st_dev) is None
    assert network_source(0) is None
