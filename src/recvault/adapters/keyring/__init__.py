"""The keyring on disk: sealed under a root key, the same in several places.

``records`` are the keys as values, ``sealed`` the bytes of the file, ``place`` one directory that holds it, ``lock``
keeps processes apart, ``file`` is the keyring over all places, ``root`` what it asks of a root key, ``kit`` the paper
that brings it back.
"""

from __future__ import annotations

from recvault.adapters.keyring.file import FileKeyring
from recvault.adapters.keyring.kit import write_recovery_kit
from recvault.adapters.keyring.root import RootKey

__all__ = ["FileKeyring", "RootKey", "write_recovery_kit"]
