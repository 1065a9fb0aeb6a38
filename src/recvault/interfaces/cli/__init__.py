"""The command ``recvault``.

Keeps start-up quick: ``recvault hook …``, which a telephone exchange runs after every call, goes to the hook before any
other module is imported; ``--help`` of every command imports neither the archive nor its libraries.

Exit codes: 0 done; 1 a fault; 2 the command was not understood; 3 not found, or refused by a rule; 75 a part does not
answer now, the same command may succeed later (EX_TEMPFAIL of sysexits.h). The hook has codes of its own. Errors are one
line on the standard error stream, a problem document (RFC 9457) with ``--json``; never a traceback for what was raised on
purpose.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

COLLECT_EVERY = 50_000
"""Objects made between two looks for garbage: loading a program makes many and throws none away."""


def main() -> None:
    """Entry point of the console script."""
    gc.set_threshold(COLLECT_EVERY)
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    if argv and argv[0] == "hook":
        from recvault.interfaces.hook.cli import main as hook

        return hook(list(argv[1:]))
    from recvault.interfaces.cli.program import invoke

    return invoke(argv)
