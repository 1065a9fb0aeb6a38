"""One directory that holds ``keyring.sealed``: read, replaced as a whole, its former self wiped.

Invariants: the name ``keyring.sealed`` always leads to one whole file; a new one has been written, fsynced
and read back before it gets that name; nothing but sealed bytes is ever written, mode 0600 in a directory
of mode 0700. The former file is overwritten with zeros and fsynced before it is unlinked, also when a
crash came between: it keeps the name ``keyring.old`` until then.

Overwriting is the best a file can do. Flash translation, copy-on-write and journals may keep the former
blocks, so a destroyed key is beyond reach of the root key's holder only where these disks are encrypted as
well, and where copies of the file expire. Reading back meets the page cache, not the platter: fsync is
trusted.

Left to others: one writer at a time (``file`` holds the lock), and what the bytes mean.
"""

from __future__ import annotations

import os
import stat
import weakref
from pathlib import Path

from recvault.adapters.root_keyfile import make_directory, sync_directory, wipe, write_private
from recvault.domain.errors import KeyringError

SEALED = "keyring.sealed"
NEW = "keyring.new"
OLD = "keyring.old"

SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes; a keyring of a century of days has fewer than ten million."""

_Signature = tuple[int, int, int, int]


class Place:
    """The directory ``directory``, declared under ``name``. All methods raise KeyringError that says what to
    do.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.file = directory / SEALED
        self._seen: _Signature | None = None
        self._release: weakref.finalize[[int], Place] | None = None

    def changed(self) -> bool:
        """Whether the name leads to another file than the one read last. Costs one stat(2)."""
        try:
            status = self.file.stat(follow_symlinks=False)
        except OSError:
            return self._seen is not None
        return _signature(status) != self._seen

    def holds(self) -> bool:
        """Whether there is a file at all."""
        return os.path.lexists(self.file)

    def read(self) -> bytes:
        """The sealed bytes."""
        self.forget()
        try:
            self._check_directory()
            return self._read()
        except FileNotFoundError as fault:
            raise KeyringError(
                f"the keyring place {self.name} holds no keyring; check that its disk is mounted at "
                f"{self.directory}, and bring it in if it is new: recvault keys replica add"
            ) from fault
        except OSError as fault:
            raise self._unreachable(fault) from fault

    def write(self, sealed: bytes) -> None:
        """Replaces the file; durable, read back and the former one wiped on return. Only under the lock."""
        try:
            self._check_directory()
            self._replace(sealed)
            self._read()
        except OSError as fault:
            raise self._unreachable(fault) from fault

    def prepare(self) -> None:
        """Makes the directory (0700) unless it is there."""
        try:
            make_directory(self.directory)
        except OSError as fault:
            raise self._unreachable(fault) from fault

    def sweep(self) -> None:
        """Wipes what a crash left behind. Only under the lock."""
        try:
            self._sweep()
        except OSError as fault:
            raise self._unreachable(fault) from fault

    def clear(self) -> None:
        """Wipes the sealed file and what a crash left behind: the place holds nothing then. Only under the lock."""
        self.forget()
        try:
            self._check_directory()
            if self.holds():
                wipe(self.file)
            self._sweep()
        except OSError as fault:
            raise self._unreachable(fault) from fault

    def forget(self) -> None:
        """Lets go of the file read last."""
        self._seen = None
        if self._release is not None:
            self._release()
            self._release = None

    def _read(self) -> bytes:
        descriptor = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        # Held open while it is the newest one known: as long as it is, no other file can get its inode
        # number, and `changed` cannot take a new file for this one.
        self.forget()
        self._release = weakref.finalize(self, os.close, descriptor)
        status = os.fstat(descriptor)
        self._check_mode(status, self.file, 0o600)
        if status.st_size > SIZE_LIMIT:
            raise KeyringError(f"{self.file} is larger than {SIZE_LIMIT} bytes, so it is no keyring; move it away")
        sealed = _read_all(descriptor)
        self._seen = _signature(status)
        return sealed

    def _replace(self, sealed: bytes) -> None:
        new, old = self.directory / NEW, self.directory / OLD
        self._sweep()
        write_private(new, sealed)
        if new.read_bytes() != sealed:
            raise KeyringError(
                f"the keyring place {self.name} gives back other bytes than were written; replace its disk"
            )
        if self.holds():
            os.link(self.file, old, follow_symlinks=False)
        new.replace(self.file)
        sync_directory(self.directory)
        self._sweep()

    def _sweep(self) -> None:
        for leftover in (self.directory / NEW, self.directory / OLD):
            try:
                status = leftover.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            # A crash between link and rename leaves `keyring.old` as a second name of the living file.
            if stat.S_ISREG(status.st_mode) and not self._is_current(status):
                wipe(leftover)
            else:
                leftover.unlink()
                sync_directory(self.directory)

    def _is_current(self, status: os.stat_result) -> bool:
        try:
            current = self.file.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == (current.st_dev, current.st_ino)

    def _check_directory(self) -> None:
        try:
            status = self.directory.stat()
        except FileNotFoundError as fault:
            raise KeyringError(
                f"the keyring place {self.name} is not there: {self.directory} does not exist; mount its disk"
            ) from fault
        self._check_mode(status, self.directory, 0o700)

    def _check_mode(self, status: os.stat_result, path: Path, wanted: int) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise KeyringError(
                f"the keyring place {self.name} is open to others: {path} has mode {mode:04o}; run "
                f"chmod {wanted:o} on it"
            )

    def _unreachable(self, fault: OSError) -> KeyringError:
        return KeyringError(
            f"the keyring place {self.name} cannot be used: {fault.strerror} at {self.directory}; it must be "
            "a mounted, writable directory on a file system with hard links, with space left"
        )


def _signature(status: os.stat_result) -> _Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_all(descriptor: int) -> bytes:
    pieces = []
    while piece := os.read(descriptor, 1024 * 1024):
        pieces.append(piece)
    return b"".join(pieces)
