"""The recovery kit: a page for a person to print and to lock away, and the way back from it.

On it stands what opens the keyring: the root key of a key file, or, where the root key never leaves its token, the
recovery key (``sealed``, ``recovery``). It stands there twice: as one line to copy, and as eight numbered rows to type,
each with two check digits, so that a typing error is found in its row. It holds no other key, names no person, and is
refused where a copy of the data would carry it along.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recvault.adapters.keyring.file import FileKeyring
from recvault.adapters.keyring.kit_text import PAGE
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import recovery_id
from recvault.adapters.root_keyfile import RootKeyFile, write_private
from recvault.domain.errors import KeyringError
from recvault.domain.ports.system import Entropy

ROWS = 8
_ROW_BYTES = 4
_ROW = re.compile(r"^[\s>|]*([1-8])[\s:.)]+([0-9a-f]{4})[\s-]*([0-9a-f]{4})[\s-]+([0-9a-f]{2})\s*$", re.IGNORECASE)
_ID = re.compile(r":\s*([0-9a-f]{16})\s*$", re.IGNORECASE | re.MULTILINE)


class KitKind(StrEnum):
    """What a kit holds; the value begins its line."""

    ROOT = "recvault-root-v1"
    RECOVERY = "recvault-recovery-v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit:
    """The secret on a kit (32 bytes), and the id that stands beside it (None when it was not typed)."""

    kind: KitKind
    secret: bytes = field(repr=False)
    id: str | None = None


def kit_of(root: RootKey, entropy: Entropy) -> Kit:
    """The kit for a root key: the key itself where it can be printed, else a new recovery key, which the keyring is then
    told of (``recovery_public``)."""
    if isinstance(root, RootKeyFile):
        return Kit(kind=KitKind.ROOT, secret=root.secret(), id=root.id)
    private = entropy.bytes(ROWS * _ROW_BYTES)
    return Kit(kind=KitKind.RECOVERY, secret=private, id=recovery_id(_public(private)).rpartition("/")[2])


def recovery_public(kit: Kit) -> bytes | None:
    """The public half of the recovery key on the kit, None for a kit of a root key."""
    return _public(kit.secret) if kit.kind is KitKind.RECOVERY else None


def write_recovery_kit(path: Path, kit: Kit, keyring: FileKeyring, *, outside: Iterable[Path] = ()) -> None:
    """Writes the page to a new file of mode 0600. KeyringError when the file exists, lies in one of ``outside``, or the
    kit is not this keyring's.
    """
    opens = kit.id == keyring.root_id if kit.kind is KitKind.ROOT else recovery_public(kit) == keyring.recovery_public
    if not opens:
        raise KeyringError("this kit does not open this keyring; give the root key from the configuration")
    write_page(path, kit, root=keyring.root_place, places=[s.place for s in keyring.replicas()], outside=outside)


def write_page(path: Path, kit: Kit, *, root: str, places: Iterable[str], outside: Iterable[Path] = ()) -> None:
    """As :func:`write_recovery_kit`, for a keyring that is not under this root key yet: ``root`` is where the root key
    will be."""
    if any(path.resolve().is_relative_to(directory.resolve()) for directory in outside):
        raise KeyringError(
            "the recovery kit must not lie inside the data, whose copies would carry it along; choose another path"
        )
    page = PAGE.format(
        id=kit.id,
        root=root,
        line=f"{kit.kind} {base64.b64encode(kit.secret).decode()}",
        rows="\n".join(rows(kit)),
        places="\n".join(f"- {place}" for place in places),
    )
    try:
        write_private(path, page.encode())
    except OSError as fault:
        raise KeyringError(
            f"cannot write the recovery kit to {path}: {fault.strerror}; choose a new file in a writable directory"
        ) from fault


def rows(kit: Kit) -> list[str]:
    """The secret as eight rows: number, eight hexadecimal digits, two check digits."""
    told = []
    for number in range(1, ROWS + 1):
        part = kit.secret[(number - 1) * _ROW_BYTES : number * _ROW_BYTES]
        digits = part.hex()
        told.append(f"    {number}   {digits[:4]} {digits[4:]}   {_check(kit.kind, number, part)}")
    return told


def read_kit(text: str) -> Kit:
    """What stands on a kit: the whole page, its line alone, or its rows as they were typed. KeyringError names the row
    with the error."""
    line = next((line for line in text.splitlines() if line.strip().startswith(tuple(KitKind))), None)
    typed = _typed(text)
    found = _ID.search(text)
    if line is not None:
        kind, secret = _of_line(line)
    elif typed:
        kind, secret = _of_rows(typed)
    else:
        raise KeyringError(
            "no recovery kit stands in this file; type its eight rows into it, each with number, digits and check digits"
        )
    return Kit(kind=kind, secret=secret, id=None if found is None else found[1].lower())


def _of_line(line: str) -> tuple[KitKind, bytes]:
    try:
        prefix, text = line.split()
        kind, secret = KitKind(prefix), base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        kind, secret = KitKind.ROOT, b""
    if len(secret) != ROWS * _ROW_BYTES:
        raise KeyringError("the kit's line is not whole; copy it again, or remove it and type the eight rows")
    return kind, secret


def _typed(text: str) -> dict[int, tuple[bytes, str]]:
    found = [match for line in text.splitlines() if (match := _ROW.match(line))]
    return {int(m[1]): (bytes.fromhex(m[2] + m[3]), m[4].lower()) for m in found}


def _of_rows(typed: dict[int, tuple[bytes, str]]) -> tuple[KitKind, bytes]:
    missing = [str(number) for number in range(1, ROWS + 1) if number not in typed]
    if missing:
        raise KeyringError(
            f"of the kit's rows {', '.join(missing)} cannot be read; type them as on the paper, ten digits each"
        )
    wrong = {
        kind: [str(number) for number, (part, check) in sorted(typed.items()) if _check(kind, number, part) != check]
        for kind in KitKind
    }
    kind = min(wrong, key=lambda each: len(wrong[each]))
    if wrong[kind]:
        raise KeyringError(
            f"of the kit's rows {', '.join(wrong[kind])} hold a typing error; compare them with the paper"
        )
    return kind, b"".join(part for _, (part, _) in sorted(typed.items()))


def _check(kind: KitKind, number: int, part: bytes) -> str:
    return hashlib.sha256(f"{kind}/{number}/".encode() + part).hexdigest()[:2]


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
