"""Mail over SMTP (RFC 5321, 6409), one connection a message.

Keeps: nothing is said to a server before its certificate and name are verified (RFC 8314; STARTTLS that is not offered
ends the attempt, it is never left out); without TLS only loopback is spoken to, by the address that was really reached.
What a server answers is never repeated in an error, because it may quote the recipient: only its numbers are (RFC 3463).
"""

from __future__ import annotations

import base64
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from recvault.domain.errors import ConfigurationError, MailPutOff, MailRefused, MailUnavailable
from recvault.domain.ports.mail import OutgoingMail

_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?= |$)")

_TRY_AGAIN = "the next attempt may succeed"
_ASK = "ask whoever runs it why"


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpSettings:
    """``security``: starttls (RFC 3207), tls (from the first byte, RFC 8314) or none. ``sender`` may carry a name:
    ``Archive <archive@company.example>``. ``timeout_seconds`` is for connecting and for each answer."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    user: str = ""
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_seconds: float = 20


class SmtpMail:
    """See the port. ConfigurationError when the file of certificates cannot be read."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._sender = parseaddr(settings.sender)[1]
        self._where = f"the mail server {settings.host}:{settings.port}"

    def send(self, message: OutgoingMail) -> None:
        """See the port."""
        data = self.compose(message).as_bytes(policy=SMTP)
        with self._connected() as server:
            self._need(server.mail(self._sender), "the sender", "mail.sender must be an address it accepts from us")
            self._need(
                server.rcpt(message.recipient), "the recipient", "see that the address is right and that it takes mail"
            )
            self._need(server.data(data), "the message", _ASK)

    def check(self) -> str:
        """See the port."""
        with self._connected() as server:
            self._need(server.noop(), "to answer", _ASK)
            secured = server.sock.version() if isinstance(server.sock, ssl.SSLSocket) else "without TLS, on loopback"
            signed_in = f"signed in as {self._settings.user}" if self._settings.user else "without signing in"
            return f"{self._settings.host}:{self._settings.port} answers, {secured}, {signed_in}"

    def compose(self, message: OutgoingMail) -> EmailMessage:
        """The message as it goes out: seven-bit clean whatever the language, and marked as made by a program so that
        nothing answers it by itself (RFC 3834, 5)."""
        made = EmailMessage(policy=SMTP)
        made["From"] = self._settings.sender
        made["To"] = message.recipient
        made["Subject"] = message.subject
        made["Date"] = format_datetime(message.date)
        made["Message-ID"] = f"<{message.message_id}@{self._sender.rpartition('@')[2]}>"
        made["Auto-Submitted"] = "auto-generated"
        made["X-Auto-Response-Suppress"] = "All"
        made.set_content(message.body, charset="utf-8", cte="quoted-printable")
        return made

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A server that is who it should be and has let us in; whatever breaks becomes an error of ours."""
        server: smtplib.SMTP | None = None
        try:
            server = self._open()
            self._sign_in(server)
            yield server
            with suppress(smtplib.SMTPException, OSError):  # what was accepted stays accepted
                server.quit()
        except ssl.SSLCertVerificationError as fault:
            raise MailRefused(
                f"{self._where} shows a certificate that is not trusted ({fault.verify_message}); name its authority in "
                "mail.ca_file and the host as the certificate does in mail.host"
            ) from None
        except ssl.SSLError:
            raise MailRefused(
                f'{self._where} does not speak TLS as mail.security says; "tls" is for port 465, "starttls" for 587'
            ) from None
        except smtplib.SMTPResponseException as fault:
            self._need((fault.smtp_code, _bytes(fault.smtp_error)), "to talk to us", _ASK)
        except (smtplib.SMTPException, OSError) as fault:
            raise MailUnavailable(
                f"{self._where} cannot be reached or broke off ({_kind(fault)}); see that it runs and that mail.host and "
                f"mail.port are right; {_TRY_AGAIN}"
            ) from None
        finally:
            if server is not None:
                server.close()

    def _open(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, _NAMELESS, timeout=settings.timeout_seconds, context=self._trust()
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, _NAMELESS, timeout=settings.timeout_seconds)
        try:
            self._greet(server)
        except BaseException:
            server.close()
            raise
        return server

    def _greet(self, server: smtplib.SMTP) -> None:
        assert server.sock is not None
        here, there = (
            str(name[0]).partition("%")[0] for name in (server.sock.getsockname(), server.sock.getpeername())
        )
        server.local_hostname = f"[IPv6:{here}]" if ":" in here else f"[{here}]"  # RFC 5321, 4.1.3
        if self._settings.security == "none" and not ip_address(there).is_loopback:
            raise MailRefused(
                f"{self._where} is not on this machine, and mail goes out without TLS only to loopback; set "
                'mail.security = "starttls" or "tls"'
            )
        server.ehlo_or_helo_if_needed()
        if self._settings.security == "starttls":
            if not server.has_extn("starttls"):
                raise MailRefused(f'{self._where} offers no STARTTLS; let it, or set mail.security = "tls" (port 465)')
            self._need(server.starttls(context=self._trust()), "to begin TLS", _ASK)
            server.ehlo_or_helo_if_needed()

    def _trust(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._settings.ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigurationError(
                f"mail.ca_file {self._settings.ca_file} cannot be read as certificates; name a PEM file"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _sign_in(self, server: smtplib.SMTP) -> None:
        """AUTH PLAIN (RFC 4616), else LOGIN; both say the password, hence TLS."""
        user, password = self._settings.user, self._settings.password
        if not user or password is None:
            return
        offered = server.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            answer = server.docmd("AUTH", f"PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}")
        elif "LOGIN" in offered:
            answer = server.docmd("AUTH", f"LOGIN {_base64(user)}")
            if answer[0] == 334:
                answer = server.docmd(_base64(password))
        else:
            raise MailRefused(
                f"{self._where} offers no sign-in that we know (PLAIN, LOGIN); unset mail.user if it takes mail without"
            )
        self._need(answer, "the sign-in", "see mail.user and the password in mail.password_file")

    def _need(self, answer: tuple[int, bytes], what: str, mend: str) -> None:
        """Returns for a good answer; MailPutOff for 4xx, MailRefused for anything else."""
        code, text = answer
        if 200 <= code < 300:
            return
        found = _ENHANCED.match(text)
        number = f"{code} {found[0].decode()}" if found else str(code)
        if 400 <= code < 500:
            raise MailPutOff(f"{self._where} puts off {what} ({number}); {_TRY_AGAIN}")
        raise MailRefused(f"{self._where} refuses {what} ({number}); {mend}")


_NAMELESS = "[127.0.0.1]"
"""Until the connection tells our own address; else the library would ask the name service."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def _bytes(told: bytes | str) -> bytes:
    return told if isinstance(told, bytes) else told.encode("utf-8", "replace")


def _kind(fault: BaseException) -> str:
    """What kind of fault, without its text: that may quote what the server said."""
    if isinstance(fault, OSError) and not isinstance(fault, smtplib.SMTPException):
        return fault.strerror or type(fault).__name__
    return "the connection ended" if isinstance(fault, smtplib.SMTPServerDisconnected) else type(fault).__name__
