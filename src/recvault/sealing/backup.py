"""A sealed backup: eight bytes of magic, the header's length, the header, one Cobblestone-256 message.

The header is readable without a key (so that a person can tell backups apart) and authenticated as the message's context:
a header that was exchanged opens nothing. Layout: ``RVBACKUP``, four bytes length (big-endian), the header as canonical
JSON, then the message. Left to others: to keep the data key wrapped, and to let its wrapping key die.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from recvault.domain.backups import BackupHeader
from recvault.domain.errors import Tampered
from recvault.sealing.container import Data, Opener, Sealer, open_stream, seal_stream

MAGIC = b"RVBACKUP"
HEADER_LIMIT = 65_536
"""Bytes of the longest header that is read."""

NOT_ONE = "this is not a sealed backup, or it was cut short; take another copy of the file"


def seal_backup(header: BackupHeader, key: bytes, chunks: Iterable[Data]) -> Iterator[bytes]:
    """Yields the whole file; ``key`` is the backup's data key, 32 bytes."""
    front = header.to_bytes()
    yield MAGIC + len(front).to_bytes(4, "big") + front
    yield from seal_stream(Sealer(key=key, context=front), chunks)


def split_header(chunks: Iterable[bytes]) -> tuple[BackupHeader, Iterator[bytes]]:
    """The header and what follows it; Tampered when there is none. Not authentic before the rest is opened."""
    rest = iter(chunks)
    front = _take(rest, bytearray(), len(MAGIC) + 4)
    length = int.from_bytes(front[len(MAGIC) : len(MAGIC) + 4], "big")
    if not front.startswith(MAGIC) or length > HEADER_LIMIT:
        raise Tampered(NOT_ONE)
    body_at = len(MAGIC) + 4 + length
    front = _take(rest, front, body_at)
    header = _parsed(bytes(front[len(MAGIC) + 4 : body_at]))
    return header, _chain(bytes(front[body_at:]), rest)


def open_backup(header: BackupHeader, key: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    """Yields what was sealed, authenticated chunk by chunk; Tampered at the first fault, also when it ends early."""
    yield from open_stream(Opener(key=key, context=header.to_bytes()), rest)


def _parsed(front: bytes) -> BackupHeader:
    try:
        values = json.loads(front)
    except ValueError as fault:
        raise Tampered(NOT_ONE) from fault
    header = BackupHeader.of(values if isinstance(values, dict) else {})
    if header.to_bytes() != front:
        raise Tampered("the backup's header is not in its canonical form; take another copy of the backup")
    return header


def _take(rest: Iterator[bytes], front: bytearray, length: int) -> bytearray:
    while len(front) < length:
        chunk = next(rest, None)
        if chunk is None:
            raise Tampered(NOT_ONE)
        front += chunk
    return front


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
