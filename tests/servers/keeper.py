"""Stops the servers of a run whose owner was killed: ``python -m tests.servers.keeper PID DIRECTORY``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.servers.run import stop_all


def main() -> None:
    owner, directory = Path("/proc", sys.argv[1]), Path(sys.argv[2])
    while directory.exists():
        if not owner.exists():
            stop_all(directory)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
