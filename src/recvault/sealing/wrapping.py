"""Data keys: kept under a wrapping key (a day key), and parted into subkeys.

Invariants kept here: a wrapped data key opens only under its key, its communication and its key id (day and
generation); subkeys come from the data key by HKDF-Expand (RFC 5869, SHA-512) under a label that carries a
version.

The data key itself is the input key of every Cobblestone message, which calls HKDF-Expand with ``info``
beginning ``c2sp.org/chunked-encryption@v1+``. Our labels all begin ``recvault/`` and are checked to, so a
subkey can never equal a stream's key material.

Left to others: fresh nonces (12 random bytes; at most 2**32 wraps under one key, NIST SP 800-38D, 8.3), where
wrapping keys live, and their destruction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from recvault.domain.errors import InvalidInput, Tampered
from recvault.domain.ids import canonical_json, is_uuid7
from recvault.sealing.container import KEY, REFUSED, TAG, require_key

NONCE = 12
"""Bytes of an AES-GCM nonce."""

WRAP_SCHEMA = "recvault/dek/v1"
"""Version name in the associated data of a wrapped data key."""

FIELDS_LABEL = "recvault/fields/v1"
"""Label of the subkey for identifying fields."""

MANIFEST_LABEL = "recvault/manifest/v1"
"""Label of the subkey for the manifest."""

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_LABEL = re.compile(r"recvault/[a-z-]+/v[1-9][0-9]*")


def check_key_id(key_id: str) -> str:
    """Returns ``key_id`` when it is a lawful one (``day/2026-11-22/1``), InvalidInput otherwise."""
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidInput("a key id is 1 to 128 characters: letters, digits and . _ / -, beginning with no mark")
    return key_id


def wrap_aad(*, communication: str, key_id: str) -> bytes:
    """Associated data of a wrapped data key: canonical JSON of communication id and wrapping key id;
    InvalidInput."""
    if not is_uuid7(communication):
        raise InvalidInput("a data key belongs to a communication; give its id, a UUIDv7 in lower case")
    return canonical_json(
        {"communication": communication, "key": check_key_id(key_id), "schema": WRAP_SCHEMA},
    )


def wrap_aads(*, communications: Sequence[str], key_id: str) -> list[bytes]:
    """What :func:`wrap_aad` gives for each of many communications under one key, in less time; InvalidInput."""
    if not all(map(is_uuid7, communications)):
        raise InvalidInput("a data key belongs to a communication; give its id, a UUIDv7 in lower case")
    before, after = canonical_json({"communication": "", "key": check_key_id(key_id), "schema": WRAP_SCHEMA}).split(
        b'""', 1
    )
    return [b'%b"%b"%b' % (before, communication.encode(), after) for communication in communications]


def wrap(kek: bytes, dek: bytes, aad: bytes, nonce: bytes) -> bytes:
    """AES-256-GCM of a 32-byte key under ``kek``: nonce, ciphertext, tag (60 bytes); InvalidInput."""
    return seal_small(kek, require_key(dek), aad, nonce)


def unwrap(kek: bytes, wrapped: bytes, aad: bytes) -> bytes:
    """The 32-byte key; Tampered when it was altered or wrapped for something else."""
    dek = open_small(kek, wrapped, aad)
    if len(dek) != KEY:
        raise Tampered(REFUSED)
    return dek


def rewrap_many(
    old_kek: bytes, new_kek: bytes, items: Sequence[tuple[bytes, bytes, bytes]], fresh: Callable[[int], bytes]
) -> list[bytes | None]:
    """Data keys from under ``old_kek`` to under ``new_kek``: each item is what is wrapped, its associated data now, and that
    under the new key; ``fresh`` gives random bytes for the nonces. None in the place of what does not open."""
    nonces = fresh(NONCE * len(items))
    opening, closing = AESGCM(require_key(old_kek)), AESGCM(require_key(new_kek))
    moved: list[bytes | None] = []
    for position, (wrapped, old_aad, new_aad) in enumerate(items):
        nonce = nonces[position * NONCE : (position + 1) * NONCE]
        try:
            dek = opening.decrypt(wrapped[:NONCE], wrapped[NONCE:], old_aad)
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce or a tag
            dek = b""
        moved.append(nonce + closing.encrypt(nonce, dek, new_aad) if len(dek) == KEY else None)
    return moved


def derive(dek: bytes, label: str) -> bytes:
    """The 32-byte subkey of ``dek`` for a label ``recvault/<use>/v<number>``; InvalidInput for any other
    label."""
    if not _LABEL.fullmatch(label):
        raise InvalidInput("a subkey label reads recvault/<use>/v<number>")
    return HKDFExpand(algorithm=hashes.SHA512(), length=KEY, info=label.encode()).derive(require_key(dek))


def seal_small(key: bytes, plaintext: bytes, aad: bytes, nonce: bytes) -> bytes:
    """AES-256-GCM of a value that fits in memory: nonce (12 bytes), ciphertext, tag (16 bytes);
    InvalidInput."""
    if len(nonce) != NONCE:
        raise InvalidInput(f"a nonce has {NONCE} random bytes, this one has {len(nonce)}")
    return nonce + AESGCM(require_key(key)).encrypt(nonce, plaintext, aad)


def open_small(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext of :func:`seal_small`; Tampered."""
    if len(sealed) < NONCE + TAG:
        raise Tampered(REFUSED)
    try:
        return AESGCM(require_key(key)).decrypt(sealed[:NONCE], sealed[NONCE:], aad)
    except InvalidTag as fault:
        raise Tampered(REFUSED) from fault
