"""Directories below one root, opened step by step without following symbolic links.

Leaves to ``folder`` what the files mean. Nothing here ever builds a path string for the system to resolve.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from recvault.domain.errors import StoreError, StoreUnavailable
from recvault.domain.ports.objects import is_segment

LISTED_AT_ONCE = 20_000
"""Entries of one directory sorted in memory at a time; a larger directory is read several times."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = {
    errno.ELOOP: "a symbolic link stands in the object folder; remove it",
    errno.ENOTDIR: "a file or link stands where a directory of the object folder should be; move it away",
    errno.EISDIR: "a directory of this name exists; choose another name",
    errno.EACCES: "the object folder's rights forbid it; give it to the user that runs this",
    errno.EPERM: "the object folder's rights forbid it; give it to the user that runs this",
    errno.EROFS: "the disk of the object folder is mounted read-only; mend and mount it for writing",
    errno.ENOTEMPTY: "a directory of this name exists; choose another name",
}


@contextmanager
def file_faults() -> Iterator[None]:
    """Turns what the system says into the errors of the port; wrap nothing of the caller's in it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreUnavailable(f"no room in the object folder ({error.strerror}); free or add space") from error
        if mend := _REFUSED.get(error.errno or 0):
            raise StoreError(mend) from error
        raise StoreUnavailable(f"the object folder failed ({error.strerror}); look at its disk") from error


def sync(descriptor: int) -> None:
    """Makes a file's bytes, or a directory's entries, durable."""
    os.fsync(descriptor)


class Tree:
    """``root`` is the descriptor of the top directory."""

    def __init__(self, root: Path) -> None:
        self.root = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.root)

    def open_directory(self, parts: tuple[str, ...], *, create: bool = False) -> int:
        """A new descriptor; NotADirectoryError when an object stands in the way, StoreError when a link does;
        FileNotFoundError when a step is missing, with ``create`` only when it was taken away in between. What it creates
        is durable only after ``sync_above``.
        """
        current = os.open(".", _DIRECTORY, dir_fd=self.root)  # not a duplicate: listings would share its position
        try:
            for part in parts:
                if create:
                    self._make(part, current)
                following = _step(part, current)
                os.close(current)
                current = following
        except BaseException:
            os.close(current)
            raise
        return current

    def names_in(self, parts: tuple[str, ...]) -> list[str]:
        """All names in one directory, sorted."""
        descriptor = self.open_directory(parts)
        try:
            with os.scandir(descriptor) as entries:
                return sorted(entry.name for entry in entries)
        finally:
            os.close(descriptor)

    def sync_above(self, parts: tuple[str, ...]) -> None:
        """Syncs every directory above ``parts``, so that the way to it is durable, whoever made it."""
        for depth in range(len(parts) - 1, -1, -1):
            try:
                descriptor = self.open_directory(parts[:depth])
            except FileNotFoundError:
                continue  # taken away together with what lay in it
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)

    def remove_empty(self, parts: tuple[str, ...]) -> None:
        """Removes ``parts`` and the directories above it as long as they are empty; the root stays."""
        for depth in range(len(parts) - 1, -1, -1):
            try:
                above = self.open_directory(parts[:depth])
            except FileNotFoundError:
                continue
            try:
                os.rmdir(parts[depth], dir_fd=above)
                sync(above)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return
                raise
            finally:
                os.close(above)

    def walk(self, prefix: str, after: str) -> Iterator[tuple[str, os.stat_result]]:
        """Name and status of every file under ``prefix``, ordered by name, names greater than ``after``.

        Entries that cannot be names of objects are passed over: dot files, ``lost+found``.
        """
        with file_faults():
            try:
                directory = self.open_directory(tuple(filter(None, prefix.split("/"))))
            except (FileNotFoundError, NotADirectoryError):
                return
        yield from _walk(directory, prefix, after)

    @staticmethod
    def _make(part: str, above: int) -> None:
        try:
            os.mkdir(part, 0o700, dir_fd=above)
        except FileExistsError:
            return


def _step(part: str, above: int) -> int:
    """Linux says ENOTDIR for links too; only behind a plain file it is certain that there is nothing."""
    try:
        return os.open(part, _DIRECTORY, dir_fd=above)
    except NotADirectoryError:
        if not S_ISREG(os.stat(part, dir_fd=above, follow_symlinks=False).st_mode):
            raise StoreError(_REFUSED[errno.ELOOP]) from None
        raise


def _walk(directory: int, prefix: str, after: str) -> Iterator[tuple[str, os.stat_result]]:
    """Takes over ``directory`` and closes it."""
    try:
        for key in _ordered(directory, prefix, after):
            with file_faults():
                try:
                    if key.endswith("/"):
                        below = _step(key[:-1], directory)
                        status = None
                    else:
                        below = -1
                        status = os.stat(key, dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue
            if status is None:
                yield from _walk(below, prefix + key, after)
            else:
                yield prefix + key, status
    finally:
        os.close(directory)


def _ordered(directory: int, prefix: str, after: str) -> Iterator[str]:
    """Entries in the order of the names they lead to: a directory sorts as its name with a slash."""
    last = ""
    while True:
        with file_faults():
            batch = heapq.nsmallest(LISTED_AT_ONCE, _entries(directory, prefix, after, last))
        yield from batch
        if len(batch) < LISTED_AT_ONCE:
            return
        last = batch[-1]


def _entries(directory: int, prefix: str, after: str, last: str) -> Iterator[str]:
    os.lseek(directory, 0, os.SEEK_SET)
    with os.scandir(directory) as entries:
        for entry in entries:
            if not is_segment(entry.name):
                continue
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue
            if not S_ISREG(mode) and not S_ISDIR(mode):
                raise StoreError("a link or special file stands in the object folder; remove it")
            key = f"{entry.name}/" if S_ISDIR(mode) else entry.name
            leads_on = prefix + key > after or (key.endswith("/") and after.startswith(prefix + key))
            if leads_on and key > last:
                yield key
