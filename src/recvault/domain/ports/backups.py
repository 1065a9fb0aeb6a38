"""Ports of the backup: where sealed backups lie, and the database as something that can be copied while it works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from recvault.domain.ports.database import Database


class BackupPlace(Protocol):
    """Sealed files under one name each. BackupFailure for whatever the place cannot do."""

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Durable under its name when this returns its length in bytes, or not there at all. Conflict when the name is
        taken."""

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes in pieces; NotFound."""

    def names(self) -> list[tuple[str, int]]:
        """Name and length of each, in order of names."""

    def remove(self, name: str) -> None:
        """NotFound when it is not there."""


class DatabaseFile(Protocol):
    """A database that is one file. BackupFailure for what the disk or the file refuses."""

    def copied(self) -> Iterator[bytes]:
        """The whole as of one moment, taken while others read and write; nothing of it stays behind."""

    def opened(self, chunks: Iterable[bytes]) -> AbstractContextManager[Database]:
        """Another copy, looked through for damage and opened beside the live one; nothing of it stays behind."""

    def put_back(self, chunks: Iterable[bytes], *, marked: str) -> None:
        """Makes the copy the database, with the setting ``backup/restored`` naming ``marked``. Conflict when one is there."""
