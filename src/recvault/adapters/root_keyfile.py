"""The root key in a file: one line, ``recvault-root-v1`` and 32 random bytes in base64.

Invariants: a file that others may read is refused, and so is one inside the data it protects (a copy of
the data would carry its key along); a file that exists is never overwritten. Who may read the machine, and
whether its disk is encrypted, is left to the machine.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recvault.domain.errors import KeyringError
from recvault.domain.ports.system import Entropy

PREFIX = "recvault-root-v1"
"""Names the form of the line; another form gets another prefix."""

_SECRET = 32

_ZEROS = bytes(64 * 1024)


class RootKeyFile:
    """The root key read from ``path``. ``outside`` are directories it must not lie in. KeyringError when
    refused.
    """

    def __init__(self, path: Path, *, outside: Iterable[Path] = ()) -> None:
        _require_outside(path, outside)
        self._path = path
        self._secret = _parse(_read_private(path))
        self._id = hashlib.sha256(self._secret).hexdigest()[:16]

    @classmethod
    def create(cls, path: Path, entropy: Entropy, *, outside: Iterable[Path] = ()) -> RootKeyFile:
        """Makes a new key (mode 0600, directory 0700 when it is new), durable on return; KeyringError if it
        exists.
        """
        return cls.write(path, entropy.bytes(_SECRET), outside=outside)

    @classmethod
    def write(cls, path: Path, secret: bytes, *, outside: Iterable[Path] = ()) -> RootKeyFile:
        """Writes a key of 32 bytes, new or from a recovery kit, as ``create`` does."""
        outside = tuple(outside)
        _require_outside(path, outside)
        line = f"{PREFIX} {base64.b64encode(secret).decode()}\n"
        try:
            make_directory(path.parent)
            write_private(path, line.encode())
        except FileExistsError as fault:
            raise KeyringError(
                f"the root key file {path} exists and is not overwritten; use it, or choose another path"
            ) from fault
        except OSError as fault:
            raise KeyringError(
                f"cannot write the root key file {path}: {fault.strerror}; choose a writable directory"
            ) from fault
        return cls(path, outside=outside)

    @property
    def id(self) -> str:
        """The first 8 bytes of the key's SHA-256, in hex."""
        return self._id

    def derive(self, salt: bytes, info: bytes) -> bytes:
        """HKDF-SHA-256 (RFC 5869) of the root key, 32 bytes."""
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(self._secret)

    @property
    def place(self) -> str:
        """See ``keyring.root.RootKey``."""
        return f"the key file {self._path}"

    def new_key(self, form: str, entropy: Entropy) -> tuple[bytes, bytes]:
        """See ``keyring.root.RootKey``; the handle is a salt."""
        salt = entropy.bytes(_SECRET)
        return salt, self.derive(salt, form.encode())

    def key_of(self, handle: bytes, form: str) -> bytes:
        """See ``keyring.root.RootKey``. Every handle gives a key; whether it is the right one the seal tells."""
        return self.derive(handle, form.encode())

    def destroy(self) -> None:
        """Overwrites and removes the file, durable on return; KeyringError. Repeating it is harmless. What a disk keeps of
        former blocks is the disk's: the paper of the former kit is to be destroyed as well."""
        try:
            wipe(self._path)
        except FileNotFoundError:
            return
        except OSError as fault:
            raise KeyringError(
                f"cannot destroy the root key file {self._path}: {fault.strerror}; see to its owner and run this again"
            ) from fault

    def secret(self) -> bytes:
        """The key, for the recovery kit alone."""
        return self._secret


def write_private(path: Path, data: bytes) -> None:
    """A new file of mode 0600, file and directory fsynced; OSError, FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def wipe(path: Path) -> None:
    """Overwrites a file with zeros, durable, and removes its name; OSError. Not through a link."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, _ZEROS[:left])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync_directory(path.parent)


def make_directory(directory: Path) -> None:
    """Makes a directory (0700) that lacks, and what lacks above it, durable on return; OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        sync_directory(made.parent)


def sync_directory(directory: Path) -> None:
    """Makes names created, renamed or removed in it durable; OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_outside(path: Path, outside: Iterable[Path]) -> None:
    real = path.resolve()
    for directory in outside:
        if real.is_relative_to(directory.resolve()):
            raise KeyringError(
                f"the root key file {path} lies inside {directory}, whose copies would carry it along; move "
                "it elsewhere and set its new path"
            )


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise KeyringError(f"the root key file {path} has mode {mode:04o}; run chmod 600 on it")
            return file.read(1024)
    except OSError as fault:
        raise KeyringError(
            f"cannot read the root key file {path}: {fault.strerror}; check its path and owner, or write it "
            "anew from the recovery kit"
        ) from fault


def _parse(content: bytes) -> bytes:
    try:
        prefix, text = content.decode("ascii").split()
        secret = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        prefix, secret = "", b""
    if prefix != PREFIX or len(secret) != _SECRET:
        raise KeyringError(
            f"this is no root key file: it holds one line, {PREFIX} and 44 characters; compare it with the recovery kit"
        )
    return secret
