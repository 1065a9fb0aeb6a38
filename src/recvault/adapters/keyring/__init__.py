"""The keyring on disk: sealed under a root key, the same in several places.

``records`` are the keys and notes as values, ``register`` what the notes mean, ``uses`` what can be done with keys,
``encoding`` and ``sealed`` the bytes of the file, ``place`` one directory that holds it, ``lock`` keeps processes apart,
``places`` is the keyring over all places, ``ceremonies`` what people do with it, ``file`` the port, ``root`` what it asks
of a root key, ``kit`` the paper that brings it back, ``restoring`` the way back.
"""

from __future__ import annotations

from recvault.adapters.keyring.ceremonies import COPY_DAYS, MOST_COPY_DAYS, RegisterEntry, copy_name
from recvault.adapters.keyring.file import FileKeyring
from recvault.adapters.keyring.kit import (
    Kit,
    KitKind,
    kit_of,
    read_kit,
    recovery_public,
    write_page,
    write_recovery_kit,
)
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import OtherRoot

__all__ = [
    "COPY_DAYS",
    "MOST_COPY_DAYS",
    "FileKeyring",
    "Kit",
    "KitKind",
    "OtherRoot",
    "RegisterEntry",
    "RootKey",
    "copy_name",
    "kit_of",
    "read_kit",
    "recovery_public",
    "write_page",
    "write_recovery_kit",
]
