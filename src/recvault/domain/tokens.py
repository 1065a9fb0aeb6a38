"""The form of every secret that recvault hands out: who it is for, 256 random bits, and a checksum.

Keeps: a prefix of three letters and ``_`` that tells what leaked, 43 digits of base 62, and a CRC-32 of all before it in 6
more, so that a secret scanner finds real ones by :data:`PATTERN` and rarely anything else. The checksum protects against
typing and cutting, never against forgery: only the SHA-256 of the whole is stored, and compared by the database.
Secrets of the form used before (the prefix and 43 letters of base64url, no checksum) stay what they were.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from enum import StrEnum

from recvault.domain.errors import NotAuthenticated

RANDOM_BYTES = 32
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43
_CHECK = 6

PATTERN = r"\brv[stwi]_[0-9A-Za-z]{49}\b"
"""What a secret scanner looks for."""

_EARLIER = re.compile(r"rv[stwi]_[0-9A-Za-z_-]{43}")
_OURS = re.compile(PATTERN)


class Prefix(StrEnum):
    """What a secret is for."""

    SOURCE = "rvs_"
    API = "rvt_"
    SESSION = "rvw_"
    INVITATION = "rvi_"


def compose(prefix: Prefix, random: bytes) -> str:
    """The secret of 32 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a secret takes {RANDOM_BYTES} random bytes")
    text = prefix + _base62(int.from_bytes(random), _BODY)
    return text + _checksum(text)


def require_form(secret: str) -> None:
    """Returns when the secret may be one of ours; NotAuthenticated when it was cut or mistyped, so that nothing is looked
    up for it."""
    if _EARLIER.fullmatch(secret):
        return
    if _OURS.fullmatch(secret) is None or _checksum(secret[:-_CHECK]) != secret[-_CHECK:]:
        raise NotAuthenticated("this is no token of recvault, or a part of it is missing; copy it again as a whole")


def token_hash(secret: str) -> bytes:
    """SHA-256 of a secret: what is stored and looked up. A slow hash would add nothing to 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
