"""Identifiers and canonical bytes.

Communications carry a UUIDv7 (RFC 9562, 5.7): the first 48 bits are the time in milliseconds, the rest is random.
Randomness and time come in as arguments, this module has none of its own.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def require_aware(moment: datetime, name: str) -> datetime:
    """Returns ``moment`` in UTC; raises ValueError when it carries no zone."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{name} must carry a time zone")
    return moment.astimezone(UTC)


def uuid7(now: datetime, entropy: bytes) -> str:
    """A UUIDv7 in canonical text form from the time and 10 random bytes."""
    if len(entropy) != 10:
        raise ValueError("a UUIDv7 takes 10 random bytes")
    milliseconds = (require_aware(now, "now") - _EPOCH) // timedelta(milliseconds=1)
    number = milliseconds << 80 | int.from_bytes(entropy)
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=number))


def is_uuid7(text: str) -> bool:
    """Whether ``text`` is a UUIDv7 in canonical lower-case form."""
    return _UUID7.fullmatch(text) is not None


def uuid7_time(identifier: str) -> datetime:
    """When the identifier was made, to the millisecond, UTC; ValueError when it is not a UUIDv7."""
    if not is_uuid7(identifier):
        raise ValueError("not a UUIDv7")
    return _EPOCH + timedelta(milliseconds=uuid.UUID(identifier).int >> 80)


def canonical_json(value: Mapping[str, object]) -> bytes:
    """One byte string for one value: keys sorted, no spaces, UTF-8, no NaN (the I-JSON subset of RFC 8785 that we use:
    strings, integers, booleans, null, lists, objects; no fractions)."""
    return _CANONICAL.encode(value).encode()
