"""The references: the same bytes through the bare ``minio`` client, or through plain files with fsync.

Fair to what it is compared with: a client of its own for all threads, with as many connections as threads, and the part
size and parallelism that the archive uses by default.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

from tests.servers.ceph import Ceph

PART = 8 * 1024 * 1024
CONNECTIONS = 32


class Bare(Protocol):
    """A store without an archive before it."""

    put_name: str
    range_name: str
    delete_name: str

    def put(self, name: str, data: bytes) -> None:
        """Durable on return."""

    def stream_range(self, name: str, offset: int, length: int) -> Iterator[bytes]:
        """A range, in pieces as they come."""

    def delete(self, names: Sequence[str]) -> None:
        """All of them in bulk."""


class S3Bare:
    """The ``minio`` client as it comes."""

    put_name = "minio put_object"
    range_name = "minio get_object of the range"
    delete_name = "minio remove_objects"

    def __init__(self, store: Ceph, bucket: str) -> None:
        self._bucket = bucket
        self._client = Minio(
            store.endpoint,
            store.access_key,
            store.secret_key,
            secure=False,
            region=store.region,
            http_client=urllib3.PoolManager(maxsize=CONNECTIONS),
        )

    def put(self, name: str, data: bytes) -> None:
        """See :class:`Bare`."""
        self._client.put_object(self._bucket, name, io.BytesIO(data), len(data), part_size=PART)

    def stream_range(self, name: str, offset: int, length: int) -> Iterator[bytes]:
        """See :class:`Bare`."""
        response = self._client.get_object(self._bucket, name, offset=offset, length=length)
        try:
            yield from response.stream(16 * 1024)
        finally:
            response.close()
            response.release_conn()

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`Bare`."""
        failures = list(self._client.remove_objects(self._bucket, [DeleteObject(name) for name in names]))
        if failures:
            raise RuntimeError(f"the store did not delete {len(failures)} objects")


class FolderBare:
    """Plain files in one directory; a put is write and fsync of the file, a bulk delete syncs the directory once."""

    put_name = "write + fsync"
    range_name = "open + pread of the range"
    delete_name = "unlink, one fsync"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)

    def put(self, name: str, data: bytes) -> None:
        """See :class:`Bare`."""
        descriptor = os.open(self._file(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def stream_range(self, name: str, offset: int, length: int) -> Iterator[bytes]:
        """See :class:`Bare`."""
        descriptor = os.open(self._file(name), os.O_RDONLY)
        try:
            yield os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def delete(self, names: Sequence[str]) -> None:
        """See :class:`Bare`."""
        for name in names:
            self._file(name).unlink()
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _file(self, name: str) -> Path:
        return self._directory / name.replace("/", "%")
