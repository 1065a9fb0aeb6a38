"""The files of an old recorder, opened so that nothing outside their folder can be reached.

Keeps: each part of a path is opened below the one before, without following symbolic links, so that a link that is put
there meanwhile leads nowhere; only regular files are read. Deciding what is taken in is left to the service.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recvault.domain.errors import InvalidInput, NotFound

BLOCK = 1024 * 1024
"""Bytes read at a time."""

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ImportFolder:
    """A folder on this machine; see :class:`recvault.domain.ports.files.Folder`. ``leave_out``: a file that
    :meth:`walk` does not tell of (the map, when it lies in the folder)."""

    def __init__(self, root: Path, *, leave_out: Path | None = None) -> None:
        self._root = root
        self._leave_out = None if leave_out is None else leave_out.resolve()

    def size(self, parts: Sequence[str]) -> int:
        """See the port."""
        with self._opened(parts) as descriptor:
            return os.fstat(descriptor).st_size

    def read(self, parts: Sequence[str]) -> Iterator[bytes]:
        """See the port."""
        with self._opened(parts) as descriptor:
            while True:
                try:
                    block = os.read(descriptor, BLOCK)
                except OSError as fault:
                    raise _unreadable(fault) from None
                if not block:
                    return
                yield block

    def walk(self) -> Iterator[tuple[str, ...]]:
        """See the port."""
        for directory, folders, files, descriptor in os.fwalk(self._root, onerror=_raise, follow_symlinks=False):
            here = Path(directory)
            parts = here.relative_to(self._root).parts
            links = [name for name in folders if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode)]
            for name in (*files, *links):
                if self._leave_out is None or (here / name).absolute() != self._leave_out:
                    yield (*parts, name)

    @contextmanager
    def _opened(self, parts: Sequence[str]) -> Iterator[int]:
        descriptor = self._open(parts)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidInput("it is no regular file; put the recording itself there")
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, parts: Sequence[str]) -> int:
        try:
            here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for place, part in enumerate(parts, 1):
                above = here
                try:
                    here = os.open(part, _FILE if place == len(parts) else _DIRECTORY, dir_fd=above)
                finally:
                    os.close(above)
        except FileNotFoundError:
            raise NotFound("there is no such file in the folder; mend the map, or put the file there") from None
        except OSError as fault:
            raise _unreadable(fault) from None
        return here


def _unreadable(fault: OSError) -> InvalidInput:
    if fault.errno in (errno.ELOOP, errno.ENOTDIR):
        return InvalidInput("a symbolic link, or a file in place of a folder, lies on its way; links are not followed")
    return InvalidInput(f"it cannot be read ({fault.strerror}); see to its rights and its disk")


def _raise(fault: OSError) -> None:
    raise InvalidInput(f"a folder cannot be listed ({fault.strerror}); see to its rights")
