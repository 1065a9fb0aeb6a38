"""``python -m recvault.interfaces.hook`` is ``recvault hook``; nothing else happens here."""

from __future__ import annotations

import sys

from recvault.interfaces.hook.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
