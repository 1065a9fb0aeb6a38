"""Sealing one recording into the spool, and taking the clear one away.

Order, from which everything follows: 1. seal and write; 2. see that the file did not change meanwhile; 3. make the
entry durable; 4. only then remove the file, if it is still the one that was sealed. A crash or fault before 3 leaves
the file and no entry; between 3 and 4 both, and handing it over again is harmless (same source id, same content).

Removing is the file system's unlink: what a disk keeps below it is not overwritten, and not claimed to be.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recvault.domain.errors import Forbidden, NotFound, RecvaultError, Unavailable
from recvault.interfaces.hook import metadata as particulars
from recvault.interfaces.hook.enrolment import Enrolment
from recvault.interfaces.hook.spool import Draft, Sidecar, Spool, now, sync_directory
from recvault.sealing.edge import EdgeSealer

BLOCK = 1024 * 1024
"""Bytes read at a time."""


class FileChanged(Unavailable):
    """The recording was still being written."""

    code = "file-changed"


class OriginalStays(Forbidden):
    """The recording is sealed and safe, but the clear one could not be removed."""

    code = "original-stays"


class FileUnreadable(RecvaultError):
    """The recording cannot be read."""

    code = "file-unreadable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """What was sealed: the entry's name in the spool, SHA-256 (hex) and bytes of the content, whether FILE is gone."""

    name: str
    sha256: str
    length: int
    removed: bool


def submit(
    file: Path,
    metadata: Mapping[str, object],
    *,
    spool: Spool,
    enrolment: Enrolment,
    keep: bool = False,
    hash_source_id: bool = False,
) -> Submitted:
    """Seals ``file`` with ``metadata`` (see ``hook.metadata``) into ``spool`` and removes it unless ``keep``.

    NotFound, FileUnreadable, FileChanged, SpoolFull, SpoolFault, InvalidInput (no source id), ConfigurationError
    (the archive's key has expired): the file was kept and nothing of it is in the spool. OriginalStays and a late
    FileChanged: it is in the spool, and the clear file is still there.
    """
    moment = now()
    enrolment.require_live(moment)
    sealed = particulars.complete(metadata, filename=particulars.readable(file.name), hash_source_id=hash_source_id)
    sealer = EdgeSealer(public_key=enrolment.public_key, key_id=enrolment.key_id, metadata=particulars.encode(sealed))
    handle = _open(file)
    try:
        before = os.fstat(handle)
        with spool.draft() as draft:
            _seal(handle, sealer, draft)
            _require_same(before, os.fstat(handle), sealer.content_length)
            draft.commit(_sidecar(sealer, moment))
    finally:
        os.close(handle)
    if not keep:
        _remove(file, before)
    return Submitted(name=draft.name, sha256=sealer.content_sha256, length=sealer.content_length, removed=not keep)


def _sidecar(sealer: EdgeSealer, moment: datetime) -> Sidecar:
    return Sidecar(sha256=sealer.content_sha256, length=sealer.content_length, created_at=moment)


def _open(file: Path) -> int:
    """A handle on a regular file. A symbolic link is refused: removing it would leave the recording."""
    try:
        # Not blocking: a named pipe without a writer would hold the call's hook for ever.
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("there is no such file; give the recording's own path") from None
    except OSError as fault:
        raise FileUnreadable(
            f"the file cannot be opened ({fault.strerror}); give the recording itself, readable by this user, no link"
        ) from None
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise FileUnreadable("this is not a regular file; give the recording itself")


def _seal(handle: int, sealer: EdgeSealer, draft: Draft) -> None:
    block = bytearray(BLOCK)
    view = memoryview(block)
    draft.write(sealer.head())
    while count := _read(handle, block):
        if ready := sealer.update(view[:count]):
            draft.write(ready)
    draft.write(sealer.finish())


def _read(handle: int, block: bytearray) -> int:
    try:
        return os.readv(handle, [block])
    except OSError as fault:
        raise FileUnreadable(
            f"the file cannot be read to its end ({fault.strerror}); see the disk it lies on"
        ) from None


def _require_same(before: os.stat_result, after: os.stat_result, length: int) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or length != after.st_size:
        raise FileChanged("the file changed while it was read; submit it again when it is finished")


def _remove(file: Path, sealed: os.stat_result) -> None:
    try:
        there = file.lstat()
        if (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns) != (
            sealed.st_dev,
            sealed.st_ino,
            sealed.st_size,
            sealed.st_mtime_ns,
        ):
            raise FileChanged(
                "what was there is sealed, but the file changed since and was kept; submit it again when it is finished"
            )
        file.unlink()
        sync_directory(file.parent)
    except FileNotFoundError:
        return  # a second run for the same file was faster
    except OSError as fault:
        raise OriginalStays(
            f"the recording is sealed, but the clear file could not be removed ({fault.strerror}); give this user the "
            "right to, or set keep_original"
        ) from None
