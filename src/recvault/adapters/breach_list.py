"""Passwords known from breaches, in the files that Have I Been Pwned gives out for use offline.

Two forms are read: a directory with a file for each range (named by the first five hexadecimal digits of the SHA-1 of the
password, in capitals, with or without ``.txt``; lines ``SUFFIX:COUNT``), or one file of ``HASH:COUNT`` lines in ascending
order, which is searched by bisection. Lines end in LF or CRLF. A count of zero is padding and means nothing.

Keeps: no password, no hash and no prefix of one leaves this process or stands in an error; memory stays flat however long
the list is. A range that is missing, or a list that is not in order, is an error and never "not found". SHA-1 is the list's
choice; nothing is protected by it here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from recvault.domain.errors import ConfigurationError, InvalidInput

PREFIX = 5
_LINE_LIMIT = 128
"""Bytes of a line, at most; real ones have some 50."""
_ENTRY = re.compile(rb"([0-9A-Fa-f]{35}|[0-9A-Fa-f]{40}):([0-9]{1,12})")
_FIRST, _LAST = "0" * PREFIX, "F" * PREFIX


class BreachList:
    """See ``domain.ports.credentials.KnownPasswords``. ``place``: a directory of ranges, or one sorted file."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __contains__(self, password: str) -> bool:
        """See the port."""
        digest = hashlib.sha1(_bytes(password), usedforsecurity=False).hexdigest().upper()
        return self._in_range(digest) if self._place.is_dir() else self._in_file(digest)

    def check(self) -> str:
        """What the list is, for a person; ConfigurationError when it cannot be read or is cut short."""
        if self._place.is_dir():
            for prefix in (_FIRST, _LAST):
                next(self._range(prefix), None)
            return "a directory of ranges"
        with self._open(self._place) as file:
            size = file.seek(0, 2)
            if size == 0:
                raise _empty()
            for position in (0, max(size - _LINE_LIMIT, 0)):
                _line_after(file, position, size)
        return f"one file of {size // 1024**2} MiB"

    def _in_range(self, digest: str) -> bool:
        suffix = digest[PREFIX:].encode()
        return any(entry == suffix and count > 0 for entry, count in self._range(digest[:PREFIX]))

    def _range(self, prefix: str) -> Iterator[tuple[bytes, int]]:
        for name in (prefix, f"{prefix}.txt"):
            path = self._place / name
            if path.is_file():
                break
        else:
            raise ConfigurationError(
                "access.breach_list lacks one of its ranges; download all 1,048,576 of them, or take the key out"
            )
        with self._open(path) as file:
            while line := file.readline(_LINE_LIMIT):
                if line.strip():
                    yield _entry(line)

    def _in_file(self, digest: str) -> bool:
        wanted = digest.encode()
        with self._open(self._place) as file:
            low, high = 0, file.seek(0, 2)
            size = high
            if size == 0:
                raise _empty()
            while low < high:  # the line that begins first at or after ``low`` is sought between ``low`` and ``high``
                middle = (low + high) // 2
                start, entry, count = _line_after(file, middle, size)
                if entry is None or entry > wanted:
                    high = middle
                elif entry == wanted:
                    return count > 0
                else:
                    low = start + 1
        return False

    def _open(self, path: Path) -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as fault:
            raise ConfigurationError(
                f"access.breach_list cannot be read: {fault.strerror}; mend its path or permissions, or take the key out"
            ) from None


def _line_after(file: BinaryIO, position: int, size: int) -> tuple[int, bytes | None, int]:
    """The first line that begins at or after ``position``: where, its hash and count; None for the end of the file."""
    start = position
    if position:
        file.seek(position - 1)
        rest = file.readline(_LINE_LIMIT)
        if not rest.endswith(b"\n") and position - 1 + len(rest) < size:
            raise _unreadable()
        start = position - 1 + len(rest)
    file.seek(start)
    line = file.readline(_LINE_LIMIT)
    if not line.strip():
        return start, None, 0
    entry, count = _entry(line)
    if len(entry) != 40:
        raise _unreadable()
    return start, entry, count


def _entry(line: bytes) -> tuple[bytes, int]:
    found = _ENTRY.fullmatch(line.strip())
    if found is None:
        raise _unreadable()
    return found[1].upper(), int(found[2])


def _empty() -> ConfigurationError:
    return ConfigurationError("access.breach_list is empty; download it again")


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        "access.breach_list has a line that is not SUFFIX:COUNT (a range) or HASH:COUNT (one sorted file); download it again"
    )


def _bytes(password: str) -> bytes:
    """Composed as it is hashed here (NFC, RFC 8265), which is how most people's keyboards send it everywhere."""
    try:
        return unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        raise InvalidInput("the password holds characters that cannot be stored; choose others") from None
