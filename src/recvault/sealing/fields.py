"""Identifying fields of a communication (names, numbers as sent, subject, file name, extra), sealed for its
row.

Invariants kept here: the fields open only with the communication's data key and id; the sealed length grows
in steps of 256 bytes, so that it says little; what opens is a JSON object. They die with the data key, in
every backup.

Left to others: which fields, their meaning, and that the row holds the newest sealed form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from recvault.domain.errors import InvalidInput, Tampered
from recvault.domain.ids import canonical_json
from recvault.sealing.container import REFUSED
from recvault.sealing.wrapping import FIELDS_LABEL, derive, open_small, seal_small

PADDING = 256
"""Bytes; the plaintext is filled with spaces, which JSON ignores, to a multiple of this."""


def seal_fields(dek: bytes, communication: str, fields: Mapping[str, object], nonce: bytes) -> bytes:
    """Seals JSON values under the fields subkey; ``nonce`` is 12 fresh random bytes; InvalidInput when not
    JSON."""
    try:
        plain = canonical_json(fields)
    except (TypeError, ValueError, RecursionError) as fault:  # other types, NaN, half a surrogate, depth
        raise InvalidInput("the fields hold something that JSON in UTF-8 cannot express; clean it first") from fault
    padded = plain.ljust(-(-len(plain) // PADDING) * PADDING, b" ")
    return seal_small(derive(dek, FIELDS_LABEL), padded, _aad(communication), nonce)


def open_fields(dek: bytes, communication: str, sealed: bytes) -> dict[str, object]:
    """The fields as they were sealed; Tampered."""
    plain = open_small(derive(dek, FIELDS_LABEL), sealed, _aad(communication))
    try:
        value = json.loads(plain)
    except ValueError as fault:
        raise Tampered(REFUSED) from fault
    if not isinstance(value, dict):
        raise Tampered(REFUSED)
    return value


def _aad(communication: str) -> bytes:
    return canonical_json({"communication": communication, "schema": FIELDS_LABEL})
