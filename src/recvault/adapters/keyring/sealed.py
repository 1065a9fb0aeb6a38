"""The bytes of ``keyring.sealed``: one line of header, then the sealed table.

    header JSON {"format", "root", "salt", "serial"} | "\n" | nonce (12) | AES-256-GCM ciphertext and tag

The key is derived from the root key with the header's salt (32 random bytes, new for each file written),
so no two files share a key; the header is the associated data. Invariants: nothing of a file that does not
authenticate is used; a file under another root key is told apart from a damaged one before anything is
tried.
"""

from __future__ import annotations

import base64
import binascii
import json

from recvault.adapters.keyring.records import KeyTable, decode, encode
from recvault.adapters.keyring.root import RootKey
from recvault.domain.errors import KeyringError, Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.system import Entropy
from recvault.sealing.wrapping import NONCE, open_small, seal_small

FORMAT = "recvault/keyring/v1"
"""Version name in the header and in the derivation of the key."""

_SALT = 32

_DAMAGED = (
    "the sealed keyring was altered or cut; where another place is in step, move this file away and bring "
    "the place in again, else put back the newest copy"
)


def seal_table(table: KeyTable, *, root: RootKey, entropy: Entropy) -> bytes:
    """The file's bytes for a table."""
    salt = entropy.bytes(_SALT)
    header = canonical_json(
        {
            "format": FORMAT,
            "root": root.id,
            "salt": base64.b64encode(salt).decode(),
            "serial": table.serial,
        }
    )
    key = root.derive(salt, FORMAT.encode())
    return header + b"\n" + seal_small(key, encode(table), header, entropy.bytes(NONCE))


def open_table(sealed: bytes, *, root: RootKey) -> KeyTable:
    """The table in a file's bytes; KeyringError under another root key, Tampered when it does not
    authenticate.
    """
    header, _, body = sealed.partition(b"\n")
    salt, serial = _parse_header(header, root)
    try:
        plain = open_small(root.derive(salt, FORMAT.encode()), body, header)
    except Tampered as fault:
        raise Tampered(_DAMAGED) from fault
    table = decode(plain)
    if table.serial != serial:
        raise Tampered(_DAMAGED)
    return table


def _parse_header(header: bytes, root: RootKey) -> tuple[bytes, int]:
    try:
        value = json.loads(header)
        form, root_id, serial = value["format"], value["root"], value["serial"]
        salt = base64.b64decode(value["salt"], validate=True)
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as fault:
        raise Tampered(_DAMAGED) from fault
    if form != FORMAT or not isinstance(root_id, str) or type(serial) is not int:
        raise Tampered(_DAMAGED)
    if root_id != root.id:
        raise KeyringError(
            f"the keyring is sealed under another root key ({root_id[:16]!r}) than the one given "
            f"({root.id}); set the path of the right root key, or the right place"
        )
    return salt, serial
