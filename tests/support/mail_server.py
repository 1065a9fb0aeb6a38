"""A real mail server in this process: it keeps what it gets, and can be told to refuse or put off."""

from __future__ import annotations

import email
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.run import free_ports

USER, PASSWORD = "arkisto", "sälä-sana ü 1"


@dataclass
class Postbox:
    """What came, oldest first. ``answers`` are given to the next recipients in place of 250; with ``closes`` the server
    hangs up once it has the message, before it says so."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    signed_in: list[bool] = field(default_factory=list)
    greeted: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    after_data: list[str] = field(default_factory=list)
    closes: bool = False

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Notes the name."""
        session.host_name = hostname
        self.greeted.append(hostname)
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """As told, else yes."""
        answer = self.answers.pop(0) if self.answers else "250 2.1.5 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keeps it."""
        if self.after_data:
            return self.after_data.pop(0)
        raw = cast(bytes, envelope.original_content)
        self.raw.append(raw)
        self.mails.append(email.message_from_bytes(raw, policy=default))
        self.envelopes.append((str(envelope.mail_from), [str(to) for to in envelope.rcpt_tos]))
        self.signed_in.append(bool(session.authenticated))
        if self.closes:
            assert server.transport is not None
            server.transport.close()
        return "250 2.0.0 kept"

    def text(self, number: int = -1) -> str:
        """The text of a mail."""
        return str(self.mails[number].get_content())


def _only(user: str) -> Callable[[SMTP, Session, Envelope, str, object], AuthResult]:
    right = LoginPassword(login=user.encode(), password=PASSWORD.encode())

    def answer(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=data == right, handled=False)

    return answer


@contextmanager
def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    sign_in: bool = False,
    user: str = USER,
    mechanisms: tuple[str, ...] = (),
    host: str = "127.0.0.1",
    port: int | None = None,
) -> Iterator[Postbox]:
    """A server on loopback; ``sign_in`` takes mail only from ``user`` with PASSWORD. ``mechanisms`` are not offered."""
    box = Postbox(port or free_ports(1))
    controller = Controller(
        box,
        hostname=host,
        port=box.port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=_only(user) if sign_in else None,
        auth_required=sign_in,
        auth_require_tls=tls is None,
        auth_exclude_mechanism=mechanisms,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
