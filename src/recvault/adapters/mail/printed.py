"""Mail where no server is configured: onto the console of the person at work, else into the log.

Keeps: a confidential text (a link that lets somebody in) goes to a console only. Without one it is refused, so that no
log ever holds it and nobody believes it to be sent.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from recvault.domain.errors import MailRefused
from recvault.domain.ports.mail import OutgoingMail

log = structlog.get_logger("recvault.mail")


class PrintedMail:
    """See the port. ``console`` writes one line to a person who sits there; None in a process that nobody watches."""

    def __init__(self, console: Callable[[str], None] | None = None) -> None:
        self._console = console

    def send(self, message: OutgoingMail) -> None:
        """See the port. MailRefused for a confidential text without a console."""
        if self._console is not None:
            for line in (f"to: {message.recipient}", f"subject: {message.subject}", "", *message.body.splitlines()):
                self._console(line)
            return
        if message.confidential:
            raise MailRefused(
                "no mail server is configured and nobody sits at a console; set [mail], or do it at a terminal"
            )
        log.warning("notice", about=message.subject, lines=[line for line in message.body.splitlines() if line])

    def check(self) -> str:
        """See the port."""
        return "no server: notices go to the log, links to the console"
