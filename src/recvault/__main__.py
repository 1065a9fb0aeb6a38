"""``python -m recvault`` is the command ``recvault``; nothing else happens here."""

from __future__ import annotations

from recvault.interfaces.cli import main

if __name__ == "__main__":
    main()
