"""The lock between processes that use one keyring: flock(2) on a file, given back by the kernel when its
holder dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recvault.domain.errors import KeyringError

WAIT_SECONDS = 30.0
"""How long another process may hold the lock before we give up; a change takes milliseconds."""

_STEP_SECONDS = 0.002


@contextmanager
def exclusive(path: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds the lock file ``path`` (made when absent, mode 0600); KeyringError when it cannot be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise KeyringError(
            f"the keyring's lock {path} cannot be opened: {fault.strerror}; the keyring's own directory must "
            "be there and writable for the archive's user"
        ) from fault
    try:
        _acquire(descriptor, path, time.monotonic() + wait_seconds)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _acquire(descriptor: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise KeyringError(
                    f"another process has held the keyring's lock {path} too long; find it with fuser(1) and "
                    "see what it waits for (a hanging network disk?)"
                ) from None
            time.sleep(_STEP_SECONDS)
        else:
            return
