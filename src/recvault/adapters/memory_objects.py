"""An object store in memory, with versions, for tests and trials.

It passes the same contract as the real ones. Nothing survives the process; nothing here touches a disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from recvault.domain.errors import (
    InvalidInput,
    ObjectNotFound,
    RangeNotSatisfiable,
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


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    version: ObjectVersion
    data: bytes


class MemoryObjectStore:
    """See ``domain.ports.objects.ObjectStore``. ``clock`` gives the time the store says it is."""

    def __init__(self, *, versioned: bool = True, clock: Callable[[], datetime] = _utc_now) -> None:
        self._versioned = versioned
        self._clock = clock
        self._lock = threading.RLock()
        self._numbers = count(1)
        self._objects: dict[str, list[_Kept]] = {}  # newest first
        self._uploads: dict[str, OpenUpload] = {}

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        check_name(name)
        upload = OpenUpload(name=name, upload_id=f"u{next(self._numbers)}", started=self._clock())
        self._uploads[upload.upload_id] = upload
        try:
            data = b"".join(chunks)
        finally:
            alive = self._uploads.pop(upload.upload_id, None)
        if alive is None:
            raise StoreUnavailable("the upload was aborted while it ran; send it again")
        return self._keep(name, data, marker=False)

    def put_small(self, name: str, data: bytes) -> StoredObject:
        check_name(name)
        if len(data) > SMALL_OBJECT_LIMIT:
            raise TooLarge(f"put_small takes at most {SMALL_OBJECT_LIMIT} bytes; use put")
        with self._lock:
            if name in self._objects:
                raise ObjectExists("the name is taken; read it, and choose another if it is not yours")
            return self._keep(name, data, marker=False)

    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        data = self._find(name, version_id)
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]

    def get_range(self, name: str, version_id: str | None, offset: int, length: int) -> bytes:
        if offset < 0 or length < 1:
            raise InvalidInput("a range starts at 0 or later and has at least one byte")
        data = self._find(name, version_id)
        if offset + length > len(data):
            raise RangeNotSatisfiable(len(data))
        return data[offset : offset + length]

    def list_versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        check_prefix(prefix)
        with self._lock:
            names = sorted(name for name in self._objects if name.startswith(prefix) and name > after)
        for name in names:
            yield from [kept.version for kept in self._objects.get(name, ())]

    def list_versions_of(self, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
        for prefix in sorted(set(prefixes)):
            yield from self.list_versions(prefix)

    def list_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        check_prefix(prefix)
        yield from [upload for upload in list(self._uploads.values()) if upload.name.startswith(prefix)]

    def abort_uploads(self, prefix: str) -> int:
        gone = [self._uploads.pop(upload.upload_id, None) for upload in self.list_uploads(prefix)]
        return sum(upload is not None for upload in gone)

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        for item in items:
            check_name(item.name)
            with self._lock:
                left = [kept for kept in self._objects.get(item.name, ()) if kept.version.version_id != item.version_id]
                if left:
                    self._objects[item.name] = left
                else:
                    self._objects.pop(item.name, None)
        return []

    def observe(self) -> ObservedPlace:
        return ObservedPlace(
            kind="memory",
            endpoint="",
            location=None,
            encrypted_transport=False,
            loopback=True,
            versioning=Versioning.ON if self._versioned else Versioning.OFF,
            object_lock=ObjectLock.NONE,
            default_retention_days=None,
            replication=False,
        )

    def now(self) -> datetime:
        return self._clock()

    def check(self) -> None:
        """Memory always answers."""

    def plain_delete(self, name: str) -> None:
        """What a foreign tool does without naming a version: a marker when versioned, gone when not."""
        check_name(name)
        with self._lock:
            if self._versioned:
                self._keep(name, b"", marker=True)
            else:
                self._objects.pop(name, None)

    def _keep(self, name: str, data: bytes, *, marker: bool) -> StoredObject:
        with self._lock:
            version_id = f"v{next(self._numbers)}" if self._versioned else None
            version = ObjectVersion(
                name=name,
                version_id=version_id,
                is_delete_marker=marker,
                length=len(data),
                modified=self._clock(),
            )
            older = self._objects.get(name, []) if self._versioned else []
            self._objects[name] = [_Kept(version=version, data=data), *older]
        return StoredObject(name=name, version_id=version_id, length=len(data))

    def _find(self, name: str, version_id: str | None) -> bytes:
        check_name(name)
        for kept in self._objects.get(name, ()):
            if version_id is None or kept.version.version_id == version_id:
                if kept.version.is_delete_marker:
                    break
                return kept.data
        raise ObjectNotFound("the store has no such object; it may have been deleted")
