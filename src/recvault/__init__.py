"""recvault: an archive for recorded customer-service calls and messages that keeps its promises and can prove it."""

from __future__ import annotations

__version__ = "0.1.0"
