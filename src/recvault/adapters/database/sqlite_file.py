"""The SQLite database as a file: copied while it works, opened beside itself, put back.

A copy stands unsealed for as long as it is read, beside the database it was taken from and with the same rights: the same
rows in the same place, so nothing is shown that was not there. What a crash leaves of such a copy the next run removes.
The copy is SQLite's own online backup (sqlite.org/backup.html), taken in one step under one read lock: writers go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from recvault.adapters.backup_folder import READ, sync_directory, write_durably
from recvault.adapters.database.engine import SqlDatabase, connect
from recvault.adapters.database.migration import migrate
from recvault.domain.errors import BackupFailure, Conflict
from recvault.domain.incarnation import RESTORED

_SCRATCH = ".recvault-copy"
_BESIDE = ("", "-wal", "-shm", "-journal")


class SqliteFile:
    """Implements the port's ``DatabaseFile``; ``path`` is the live database."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def copied(self) -> Iterator[bytes]:
        """See the port."""
        with _scratch(self._path.parent) as scratch, _faults():
            os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with (
                closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as live,
                closing(sqlite3.connect(scratch)) as copy,
            ):
                live.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE").fetchall()
            with scratch.open("rb") as file:
                while piece := file.read(READ):
                    yield piece

    @contextmanager
    def opened(self, chunks: Iterable[bytes]) -> Iterator[SqlDatabase]:
        """See the port."""
        with _scratch(self._path.parent) as scratch:
            with _faults():
                write_durably(scratch, chunks)
                _require_sound(scratch)
            database = connect(
                f"sqlite:///{scratch}", pool_size=2, connect_timeout_seconds=5, statement_timeout_seconds=60
            )
            try:
                migrate(database)  # an older schema is read with today's queries
                yield database
            finally:
                database.close()

    def put_back(self, chunks: Iterable[bytes], *, marked: str) -> None:
        """See the port."""
        if any(self._beside(suffix).exists() for suffix in _BESIDE):
            raise Conflict(
                f"a database is there already ({self._path}); stop recvault and move the file and its -wal and -shm "
                "away before you put a backup back"
            )
        with _scratch(self._path.parent) as scratch, _faults():
            write_durably(scratch, chunks)
            _require_sound(scratch)
            with closing(sqlite3.connect(scratch)) as copy:
                copy.execute("PRAGMA synchronous=FULL")
                copy.execute(
                    "INSERT INTO settings (name, value) VALUES (?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (RESTORED, json.dumps({"backup": marked})),
                )
                copy.commit()
            scratch.rename(self._path)
            sync_directory(self._path.parent)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def _require_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        found = copy.execute("PRAGMA integrity_check").fetchone()
        dangling = copy.execute("PRAGMA foreign_key_check").fetchone()
    if found != ("ok",) or dangling is not None:
        raise BackupFailure("the copied database is damaged; use an older backup and look at the disk")


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """A place for one copy, for one process at a time; nothing of it is there afterwards."""
    with _faults():
        lock = os.open(directory / f"{_SCRATCH}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailure("another process is copying this database; wait until it is done") from None
        path = directory / _SCRATCH
        _remove(path)
        try:
            yield path
        finally:
            _remove(path)
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise BackupFailure(
            f"copying the database failed ({fault.strerror}); free space in its directory, and look at the disk"
        ) from fault
    except sqlite3.Error as fault:
        # SQLite's words name tables and the state of the file, never a value.
        raise BackupFailure(
            f"copying the database failed ({fault}); free or add space where it lies; 'recvault doctor' looks at it"
        ) from fault
