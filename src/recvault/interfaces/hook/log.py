"""The agent's log: one JSON object a line, on standard error. Entries are named by their random names only; no
metadata, file name, address or token is ever passed in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Protocol

from recvault.interfaces.hook.spool import now


class Log(Protocol):
    """``log(level, event, **facts)``."""

    def __call__(self, level: str, event: str, **facts: object) -> None: ...


def json_lines(write: Callable[[str], object] | None = None) -> Log:
    """A log on standard error, or wherever ``write`` puts a line."""
    put = write or _standard_error

    def log(level: str, event: str, **facts: object) -> None:
        line = {"at": now().isoformat(timespec="milliseconds"), "level": level, "event": event, **facts}
        put(json.dumps(line) + "\n")

    return log


def _standard_error(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
