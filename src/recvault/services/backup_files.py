"""Sealed backups as files: made, told apart, opened and put back, without the archive being there.

A backup opens only with a key of the keyring (``backup/<day>/<n>``) that is destroyed when its keeping time is over. What
runs here asks nothing of the database: a segment of the write-ahead log must be sealed while the database waits for it,
and a restore begins where there is no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from recvault.domain.backups import SUFFIX, BackupFile, BackupHeader, BackupKind
from recvault.domain.errors import BackupFailure
from recvault.domain.ids import uuid7
from recvault.domain.ports.backups import BackupPlace, DatabaseFile
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.sealing.backup import open_backup, seal_backup, split_header

PREFIX = "backup/"


class SealedBackups:
    """``file`` is None where the database is not one file (PostgreSQL has tools of its own, whose output :meth:`seal` takes);
    ``place`` is None where no directory is configured."""

    def __init__(
        self,
        *,
        file: DatabaseFile | None,
        place: BackupPlace | None,
        keyring: Keyring,
        clock: Clock,
        entropy: Entropy,
        program: str,
    ) -> None:
        self._file = file
        self._place = place
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy
        self._program = program

    @property
    def configured(self) -> bool:
        """Whether backups of the database are made here."""
        return self._place is not None and self._file is not None

    def create(self, *, ledger_sequence: int) -> BackupFile:
        """Copies the SQLite database while it works and seals it into the backup directory."""
        header, key = self._header(BackupKind.SQLITE, ledger_sequence)
        name = f"{header.made_at:%Y%m%dt%H%M%Sz}-{header.id[-8:]}{SUFFIX}"
        length = self.place.write(name, seal_backup(header, key, self.file.copied()))
        return BackupFile(name=name, length=length, header=header)

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Seals what another tool wrote (a base backup, a WAL segment), as it passes."""
        header, key = self._header(BackupKind.STREAM, 0)
        yield from seal_backup(header, key, chunks)

    def unseal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """What was sealed; KeyDestroyed when the backup's keeping time is over, Tampered when it was altered."""
        header, rest = split_header(chunks)
        yield from self._opened(header, rest)

    def listed(self) -> list[BackupFile]:
        """What lies in the directory, oldest first; what is no backup is passed over."""
        found = []
        for name, length in self.place.names():
            if name.endswith(SUFFIX):
                header, _rest = split_header(self.place.read(name))
                found.append(BackupFile(name=name, length=length, header=header))
        return found

    def database_in(self, name: str) -> tuple[BackupHeader, Iterator[bytes]]:
        """The SQLite database that a backup holds, and what its header says."""
        header, rest = split_header(self.place.read(name))
        if header.kind is not BackupKind.SQLITE:
            raise BackupFailure(f"{name} was sealed for another tool; 'recvault backup unseal' gives it back as it was")
        return header, self._opened(header, rest)

    def restore(self, name: str) -> BackupHeader:
        """Puts the database back where there is none. It serves nothing until its ledger was replayed."""
        header, chunks = self.database_in(name)
        self.file.put_back(chunks, marked=header.id)
        return header

    def _header(self, kind: BackupKind, followed: int) -> tuple[BackupHeader, bytes]:
        now = self._clock.now()
        key_id = f"{PREFIX}{now:%Y-%m-%d}/1"
        self._keyring.ensure(key_id, KeyKind.WRAP)
        bare = BackupHeader(
            id=uuid7(now, self._entropy.bytes(10)),
            kind=kind,
            made_at=now,
            key_id=key_id,
            wrapped_key=b"",
            program=self._program,
            ledger_sequence=followed,
        )
        key = self._entropy.bytes(32)
        return replace(bare, wrapped_key=self._keyring.wrap(key_id, key, bare.aad())), key

    def _opened(self, header: BackupHeader, rest: Iterable[bytes]) -> Iterator[bytes]:
        key = self._keyring.unwrap(header.key_id, header.wrapped_key, header.aad())
        yield from open_backup(header, key, rest)

    @property
    def place(self) -> BackupPlace:
        """Where backups lie; BackupFailure where no directory is configured."""
        if self._place is None:
            raise BackupFailure("no backup directory is configured; set backup.directory")
        return self._place

    @property
    def file(self) -> DatabaseFile:
        """The database as a file; BackupFailure where it is not one."""
        if self._file is None:
            raise BackupFailure(
                "this archive's rows are in PostgreSQL: take a base backup and the WAL with its own tools through "
                "'recvault backup seal', see docs/OPERATIONS.md"
            )
        return self._file
