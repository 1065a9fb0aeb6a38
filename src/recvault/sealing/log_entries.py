"""Entries of the audit log under a seal, and tags by which they are found.

Invariants kept here: what is sealed is the salt (16 bytes) and the canonical entry, byte for byte what the leaf is
taken over; a seal opens only beside the id, act, time, key id, tags and target that it was made for. Keys of seals are
made for each day, so that random nonces stay far below 2**32 under one key (NIST SP 800-38D, 8.3); tags of one value
differ between keys and between what they tag.

Left to others: keeping the keys, which are MACs of a keyring's key over :func:`seal_label` and :data:`TAG_LABEL`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

TAG_LABEL = b"recvault/log-tag/v1"
"""What the keyring's key is asked to authenticate for the key of tags."""

TAG_BYTES = 16
"""Of HMAC-SHA-256, cut as RFC 2104, 5 allows."""

DAY = 86_400_000_000
"""Microseconds."""

SALT = 16
"""Bytes of an entry's salt."""


def seal_label(day: int) -> bytes:
    """What the keyring's key is asked to authenticate for the key of one day's seals (days since 1970, UTC)."""
    return b"recvault/log-seal/v1/%d" % day


def seal_aad(
    entry_id: str, act: str, micros: int, key_id: str, *, tags: Sequence[bytes | None], target: str | None
) -> bytes:
    """Associated data of a seal: all that stands beside it. ``micros``: since 1970, UTC; ``target`` last, so that no text in
    it is taken for another part."""
    actor, about, purpose = ["-" if one is None else one.hex() for one in tags]
    shown = "-" if target is None else f"={target}"
    said = f"recvault/log-entry/v1\n{key_id}\n{act}\n{micros}\n{entry_id}\n{actor}/{about}/{purpose}\n{shown}"
    return said.encode()


def tag(key: bytes, kind: str, value: str) -> bytes:
    """The tag of a value in a column of this kind."""
    return hmac.digest(key, f"{kind}\n{value}".encode(), hashlib.sha256)[:TAG_BYTES]
