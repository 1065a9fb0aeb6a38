"""The object store in a folder of this machine, for the embedded archive.

Invariants:

* A name never leads out of the root: names obey the port's grammar, and every step of a path is opened
  relative to the directory before it, without following symbolic links.
* An object appears whole or not at all: it is written under ``.incoming/``, synced, and then renamed into
  place (or linked, where it must be new). It is durable on return: the file and every directory above it are
  synced.
* Directories are 0700, files 0600. Empty directories go with their last object.
* What a killed writer leaves lies in ``.incoming/`` and is listed as an open upload.

The folder keeps no versions. It leaves to others: sealing, and the choice of a disk that syncs when it is
told to.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from stat import S_ISREG

from recvault.adapters.folder_tree import Tree, file_faults, sync
from recvault.adapters.mounts import network_source
from recvault.adapters.root_keyfile import make_directory
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
    DeleteFailure,
    ObjectExists,
    ObjectLock,
    ObjectVersion,
    ObservedPlace,
    OpenUpload,
    StoredObject,
    Versioning,
    check_name,
    check_prefix,
)

_PIECE = 1024 * 1024
_INCOMING = ".incoming"
_CLOCK = ".clock"
_RETRIES = 100
"""How often a put begins anew because a deletion removed the directory under it."""


class FolderObjectStore:
    """See ``domain.ports.objects.ObjectStore``. ``create`` makes the root; without it a missing root is a
    fault, since a disk that is not mounted must not be replaced by an empty folder.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self._root = root.absolute()
        with file_faults():
            if create:
                make_directory(self._root)
            try:
                self._tree = Tree(self._root)
            except FileNotFoundError as error:
                raise StoreUnavailable(f"the object folder {root} is not there; mount its disk") from error
            self._incoming = self._tree.open_directory((_INCOMING,), create=True)
            sync(self._tree.root)

    def close(self) -> None:
        """Gives the directories back to the system."""
        os.close(self._incoming)
        self._tree.close()

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        return self._write(check_name(name), chunks, only_new=False)

    def put_small(self, name: str, data: bytes) -> StoredObject:
        if len(data) > SMALL_OBJECT_LIMIT:
            raise TooLarge(f"put_small takes at most {SMALL_OBJECT_LIMIT} bytes; use put")
        return self._write(check_name(name), [data], only_new=True)

    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        descriptor, _ = self._open(name, version_id)
        try:
            while True:
                with file_faults():
                    piece = os.read(descriptor, _PIECE)
                if not piece:
                    return
                yield piece
        finally:
            os.close(descriptor)

    def get_range(self, name: str, version_id: str | None, offset: int, length: int) -> bytes:
        if offset < 0 or length < 1:
            raise InvalidInput("a range starts at 0 or later and has at least one byte")
        descriptor, size = self._open(name, version_id)
        try:
            if offset + length > size:
                raise RangeNotSatisfiable(size)
            with file_faults():
                return _read_exactly(descriptor, offset, length)
        finally:
            os.close(descriptor)

    def list_versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        for name, status in self._tree.walk(check_prefix(prefix), after):
            yield ObjectVersion(
                name=name,
                version_id=None,
                is_delete_marker=False,
                length=status.st_size,
                modified=_time(status),
            )

    def list_versions_of(self, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
        for prefix in sorted(set(prefixes)):
            yield from self.list_versions(prefix)

    def list_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        check_prefix(prefix)
        with file_faults():
            entries = self._tree.names_in((_INCOMING,))
        for entry in entries:
            name = _name_of_incoming(entry)
            if name is None or not name.startswith(prefix):
                continue
            with file_faults():
                try:
                    status = os.stat(entry, dir_fd=self._incoming, follow_symlinks=False)
                except FileNotFoundError:
                    continue
            yield OpenUpload(name=name, upload_id=entry, started=_time(status))

    def abort_uploads(self, prefix: str) -> int:
        gone = 0
        for upload in self.list_uploads(prefix):
            with file_faults():
                try:
                    os.unlink(upload.upload_id, dir_fd=self._incoming)
                except FileNotFoundError:
                    continue
            gone += 1
        with file_faults():
            sync(self._incoming)
        return gone

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        """Items of one directory in a row cost one sync; what has a version id never was in a folder."""
        failures: list[DeleteFailure] = []
        named = (item for item in items if item.version_id is None)
        for directory, group in groupby(named, key=lambda item: check_name(item.name).rpartition("/")[0]):
            failures += self._delete_in(tuple(filter(None, directory.split("/"))), group)
        return failures

    def observe(self) -> ObservedPlace:
        with file_faults():
            space = os.statvfs(self._tree.root)
            network = network_source(os.fstat(self._tree.root).st_dev)
        return ObservedPlace(
            kind="folder",
            endpoint=network or "",
            location=None,
            encrypted_transport=False,
            loopback=network is None,
            versioning=Versioning.OFF,
            object_lock=ObjectLock.NONE,
            default_retention_days=None,
            replication=False,
            free_bytes=space.f_bavail * space.f_frsize,
        )

    def now(self) -> datetime:
        """The file system's clock: that of the file server where there is one."""
        with file_faults():
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(_CLOCK, flags, 0o600, dir_fd=self._incoming)
            try:
                os.utime(descriptor)
                return _time(os.fstat(descriptor))
            finally:
                os.close(descriptor)

    def check(self) -> None:
        with file_faults():
            ours = os.fstat(self._tree.root)
            try:
                there = self._root.stat()
            except FileNotFoundError as error:
                raise StoreUnavailable("the object folder is gone; mount its disk and start again") from error
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise StoreUnavailable("another folder stands where the object folder was; start again")
        self.now()

    def _write(self, name: str, chunks: Iterable[bytes], *, only_new: bool) -> StoredObject:
        """1. Write and sync beside. 2. Move into place. 3. Sync the directories."""
        entry = f"{name.replace('/', '%')}~{secrets.token_hex(8)}"
        length = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with file_faults():
            descriptor = os.open(entry, flags, 0o600, dir_fd=self._incoming)
        try:
            try:
                for chunk in chunks:  # what the sender raises is not a fault of ours
                    with file_faults():
                        _write_all(descriptor, chunk)
                    length += len(chunk)
                with file_faults():
                    sync(descriptor)
            finally:
                os.close(descriptor)
            with file_faults():
                self._publish(entry, name, only_new=only_new)
        finally:
            self._forget(entry)
        return StoredObject(name=name, version_id=None, length=length)

    def _publish(self, entry: str, name: str, *, only_new: bool) -> None:
        *parents, last = name.split("/")
        for _ in range(_RETRIES):
            try:
                directory = self._tree.open_directory(tuple(parents), create=True)
            except FileNotFoundError:  # a deletion took a directory of the path: once more
                continue
            try:
                if only_new:
                    os.link(entry, last, src_dir_fd=self._incoming, dst_dir_fd=directory, follow_symlinks=False)
                else:
                    os.rename(entry, last, src_dir_fd=self._incoming, dst_dir_fd=directory)
                sync(directory)
                self._tree.sync_above(tuple(parents))
                return
            except FileExistsError as error:
                raise ObjectExists("the name is taken; read it, and choose another if it is not yours") from error
            except FileNotFoundError as error:
                if not self._has(entry):
                    raise StoreUnavailable("the upload was aborted while it ran; send it again") from error
            finally:
                os.close(directory)
        raise StoreUnavailable("deletions keep taking the directory away; send it again")

    def _has(self, entry: str) -> bool:
        try:
            os.stat(entry, dir_fd=self._incoming, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _forget(self, entry: str) -> None:
        with file_faults():
            try:
                os.unlink(entry, dir_fd=self._incoming)
            except FileNotFoundError:
                return

    def _open(self, name: str, version_id: str | None) -> tuple[int, int]:
        """Descriptor and size of an object that exists."""
        *parents, last = check_name(name).split("/")
        absent = ObjectNotFound("the store has no such object; it may have been deleted")
        if version_id is not None:
            raise absent
        with file_faults():
            try:
                directory = self._tree.open_directory(tuple(parents))
            except (FileNotFoundError, NotADirectoryError) as error:
                raise absent from error
            try:
                descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
            except FileNotFoundError as error:
                raise absent from error
            finally:
                os.close(directory)
            status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            os.close(descriptor)
            raise absent
        return descriptor, status.st_size

    def _delete_in(self, parents: tuple[str, ...], items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        failures: list[DeleteFailure] = []
        with file_faults():
            try:
                directory = self._tree.open_directory(parents)
            except (FileNotFoundError, NotADirectoryError):
                return []
            try:
                for item in items:
                    try:
                        os.unlink(item.name.rpartition("/")[2], dir_fd=directory)
                    except FileNotFoundError:
                        continue
                    except (IsADirectoryError, PermissionError) as error:
                        reason = f"the system refused to unlink it ({error.strerror}); correct the folder's rights"
                        failures.append(DeleteFailure(item=item, reason=reason, retryable=False))
                sync(directory)
            finally:
                os.close(directory)
            self._tree.remove_empty(parents)
        return failures


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    pieces = []
    while length:
        piece = os.pread(descriptor, length, offset)
        if not piece:
            raise StoreError("the object became shorter while it was read; somebody alters the folder")
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _name_of_incoming(entry: str) -> str | None:
    """The object's name, or None for what is not an upload."""
    name, tilde, token = entry.rpartition("~")
    return name.replace("%", "/") if tilde and len(token) == 16 else None


def _time(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)
