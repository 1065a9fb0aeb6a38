"""Byte ranges of RFC 9110, section 14, for one range a request. Pure.

A syntactically wrong header, another unit or several ranges are ignored, as the RFC allows; a range that lies outside is
refused with RangeNotSatisfiable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from recvault.domain.errors import RangeNotSatisfiable

_SINGLE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """First and last byte, both inclusive, of ``length`` in all."""

    first: int
    last: int
    length: int

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.last - self.first + 1

    def content_range(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.first}-{self.last}/{self.length}"


def parse_range(header: str | None, length: int) -> ByteRange | None:
    """The range asked for, clamped to ``length`` bytes; None when the whole is to be served."""
    found = _SINGLE.fullmatch(header.strip()) if header else None
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first_text, last_text = found.groups()
    if first_text == "":
        suffix = int(last_text)
        if suffix == 0 or length == 0:
            raise RangeNotSatisfiable(length)
        return ByteRange(max(0, length - suffix), length - 1, length)
    first = int(first_text)
    last = int(last_text) if last_text else length - 1
    if last_text and last < first:
        return None
    if first >= length:
        raise RangeNotSatisfiable(length)
    return ByteRange(first, min(last, length - 1), length)


def range_applies(if_range: str | None, etag: str) -> bool:
    """RFC 9110, 13.1.5: with If-Range, the range counts only when the strong validator is the current one."""
    return if_range is None or if_range.strip() == etag
