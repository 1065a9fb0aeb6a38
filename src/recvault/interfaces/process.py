"""What a process that holds keys does to itself first."""

from __future__ import annotations

import resource


def no_core_dumps() -> None:
    """A core dump would write keys and plaintext to a disk: switched off for this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def core_dumps_off() -> bool:
    """Whether a crash of this process writes no core."""
    return resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
