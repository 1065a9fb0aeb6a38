"""Sealed backups in a directory: each a file that is whole and durable under its name, or not there.

What this directory holds is sealed; it may lie on a mounted disk of another machine. Names come from the service and are
plain; what others put beside is passed over.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recvault.domain.errors import BackupFailure, Conflict, NotFound

READ = 1024 * 1024
"""Bytes read at a time."""

_NAME = re.compile(r"[0-9a-z][0-9a-z.-]{0,120}")
_UNFINISHED = ".unfinished-"


class BackupFolder:
    """Implements the port's ``BackupPlace``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """See the port; what an earlier writer left unfinished is removed."""
        final = self._path(name)
        partial = final.with_name(_UNFINISHED + name)
        with _faults(self._directory):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if final.exists():
                raise Conflict(f"a backup named {name} is there already; name another")
            try:
                length = write_durably(partial, chunks)
                os.link(partial, final)  # refuses to replace, which a rename would not
                sync_directory(self._directory)
            except FileExistsError:
                raise Conflict(f"a backup named {name} is there already; name another") from None
            finally:
                with suppress(FileNotFoundError):
                    partial.unlink()
        return length

    def read(self, name: str) -> Iterator[bytes]:
        """See the port."""
        with _faults(self._directory), self._path(name).open("rb") as file:
            while piece := file.read(READ):
                yield piece

    def names(self) -> list[tuple[str, int]]:
        """See the port."""
        with _faults(self._directory):
            if not self._directory.exists():
                return []
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in os.scandir(self._directory)
                if entry.is_file(follow_symlinks=False) and _NAME.fullmatch(entry.name)
            )

    def remove(self, name: str) -> None:
        """See the port."""
        with _faults(self._directory):
            self._path(name).unlink()
            sync_directory(self._directory)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound("there is no backup of this name; see 'recvault backup list'")
        return self._directory / name


def write_durably(path: Path, chunks: Iterable[bytes]) -> int:
    """A private file with all the chunks, on the disk when this returns; replaces an unfinished one."""
    with suppress(FileNotFoundError):
        path.unlink()
    length = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for chunk in chunks:
            length += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return length


def sync_directory(directory: Path) -> None:
    """Makes the directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _faults(directory: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound("there is no backup of this name; see 'recvault backup list'") from None
    except OSError as fault:
        room = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        mend = "free or add space" if room else "give the directory to the user that runs this, or look at its disk"
        raise BackupFailure(f"the backup directory {directory} failed ({fault.strerror}): {mend}") from fault
