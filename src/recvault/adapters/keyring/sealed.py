"""The bytes of ``keyring.sealed``: one line of header, then the sealed table.

    header JSON {"format", "root", "key", "serial"[, "recovery"][, "copy"]} | "\\n" | nonce (12) | AES-256-GCM text and tag

``key`` is the handle for which the root key gives the file's key: of a key file 32 random bytes from which it is
derived, of a token the key itself, wrapped in the token. Both are new for each file written, so no two files share a
key. ``recovery`` is the same key once more, sealed (HPKE) to the public half of the recovery key, whose private half is
on paper only; it is there where the root key itself cannot be printed. ``copy`` is the id of an offline copy. The header
is the associated data.

Invariants: nothing of a file that does not authenticate is used; a file under another root key is told apart from a
damaged one before anything is tried. Version 1 (without notes, its handle named ``salt``) is read, never written.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recvault.adapters.keyring.encoding import decode, encode
from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.register import recovery_public
from recvault.adapters.keyring.root import RootKey
from recvault.domain.errors import KeyringError, Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.system import Entropy
from recvault.sealing.edge import edge_unwrap, edge_wrap
from recvault.sealing.wrapping import NONCE, open_small, seal_small

FORMAT = "recvault/keyring/v2"
"""Version name in the header; the root key's handles are bound to it."""

FORMER = "recvault/keyring/v1"

_DAMAGED = (
    "the sealed keyring was altered or cut; where another place is in step, move this file away and bring "
    "the place in again, else put back the newest copy"
)


class OtherRoot(KeyringError):
    """The file is under another root key than the one given: ``root_id``."""

    def __init__(self, root_id: str, given: str) -> None:
        super().__init__(
            f"the keyring is sealed under another root key ({root_id[:16]!r}) than the one given ({given}); was the root "
            "key changed? Set keyring.root and what belongs to it to the right root key, or the right place, and start again"
        )
        self.root_id = root_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What stands before the sealed table, readable by anyone."""

    form: str
    root: str
    key: bytes
    serial: int
    recovery: bytes | None = None
    copy: str | None = None


def seal_table(table: KeyTable, *, root: RootKey, entropy: Entropy, copy: str | None = None) -> bytes:
    """The file's bytes for a table; ``copy`` makes it an offline copy of that id."""
    handle, key = root.new_key(FORMAT, entropy)
    values = {"format": FORMAT, "root": root.id, "key": base64.b64encode(handle).decode(), "serial": table.serial}
    public = recovery_public(table)
    if public is not None:
        values["recovery"] = base64.b64encode(edge_wrap(public, recovery_id(public), key)).decode()
    if copy is not None:
        values["copy"] = copy
    header = canonical_json(values)
    return header + b"\n" + seal_small(key, encode(table), header, entropy.bytes(NONCE))


def open_table(sealed: bytes, *, root: RootKey) -> KeyTable:
    """The table in a file's bytes; OtherRoot under another root key, Tampered when it does not authenticate."""
    header = read_header(sealed)
    if header.root != root.id:
        raise OtherRoot(header.root, root.id)
    return _open(sealed, header, root.key_of(header.key, header.form))


def open_with_recovery(sealed: bytes, private: bytes) -> KeyTable:
    """The table, by the recovery key on paper (32 bytes); KeyringError when it is not this file's, Tampered."""
    header = read_header(sealed)
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    if header.recovery is None:
        raise KeyringError("this keyring has no recovery key; give the kit of its root key, or another copy of it")
    try:
        key = edge_unwrap(private, recovery_id(public), header.recovery)
    except Tampered as fault:
        raise KeyringError(
            "this kit is not the one of this keyring; take the newest kit, or the copy it belongs to"
        ) from fault
    return _open(sealed, header, key)


def read_header(sealed: bytes) -> Header:
    """The header as it stands there, which is not yet to be believed; Tampered when it is none."""
    try:
        value = json.loads(sealed.partition(b"\n")[0])
        form, root, serial = value["format"], value["root"], value["serial"]
        key = base64.b64decode(value["key" if form == FORMAT else "salt"], validate=True)
        recovery = base64.b64decode(value["recovery"], validate=True) if "recovery" in value else None
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as fault:
        raise Tampered(_DAMAGED) from fault
    copy = value.get("copy")
    if (
        form not in (FORMAT, FORMER)
        or not isinstance(root, str)
        or type(serial) is not int
        or not isinstance(copy, str | None)
    ):
        raise Tampered(_DAMAGED)
    return Header(form=form, root=root, key=key, serial=serial, recovery=recovery, copy=copy)


def recovery_id(public: bytes) -> str:
    """The recovery key's name, 16 hex digits of its public half's SHA-256 behind ``recovery/``."""
    return f"recovery/{hashlib.sha256(public).hexdigest()[:16]}"


def _open(sealed: bytes, header: Header, key: bytes) -> KeyTable:
    line, _, body = sealed.partition(b"\n")
    try:
        table = decode(open_small(key, body, line))
    except Tampered as fault:
        raise Tampered(_DAMAGED) from fault
    if table.serial != header.serial:
        raise Tampered(_DAMAGED)
    return table
