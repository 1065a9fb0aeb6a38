"""Mail that stays in memory, for tests and for whoever wants to look before sending."""

from __future__ import annotations

from recvault.domain.errors import RecvaultError
from recvault.domain.ports.mail import OutgoingMail


class MemoryMail:
    """See the port. ``sent`` holds what went out, oldest first; ``fault``, when set, is raised in place of sending."""

    def __init__(self) -> None:
        self.sent: list[OutgoingMail] = []
        self.fault: RecvaultError | None = None

    def send(self, message: OutgoingMail) -> None:
        """See the port."""
        self._strike()
        self.sent.append(message)

    def check(self) -> str:
        """See the port."""
        self._strike()
        return "kept in memory"

    def _strike(self) -> None:
        if self.fault is not None:
            raise self.fault
