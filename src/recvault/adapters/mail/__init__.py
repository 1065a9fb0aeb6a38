"""Ways for mail to go out: over SMTP, or onto the operator's own console and log where no server is configured."""

from __future__ import annotations

from recvault.adapters.mail.memory import MemoryMail
from recvault.adapters.mail.printed import PrintedMail
from recvault.adapters.mail.smtp import SmtpMail, SmtpSettings

__all__ = ["MemoryMail", "PrintedMail", "SmtpMail", "SmtpSettings"]
