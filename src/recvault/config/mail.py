"""The section of outgoing mail. Without a host nothing is sent: notices go to the log, links to the console."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from recvault.config import fields
from recvault.config.section import (
    Here,
    Host,
    MailAddress,
    MailSender,
    Port,
    PublicUrl,
    SecretFile,
    Section,
    Text,
    TimeOfDay,
)


class Mail(Section):
    """The server that takes mail from us, and who gets what."""

    host: Host = ""
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Text = ""
    password_file: SecretFile | None = None
    ca_file: Here | None = None
    timeout_seconds: int = Field(default=20, ge=1, le=120)
    sender: MailSender = ""
    alarms_to: Annotated[tuple[MailAddress, ...], Strict(False)] = ()
    attention_alarm: int = Field(default=50, ge=1, le=1_000_000)
    digest_to: Annotated[tuple[MailAddress, ...], Strict(False)] = ()
    digest_at: TimeOfDay = time(7, 30)
    language: Literal["fi", "en"] = "fi"
    public_url: PublicUrl = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.user) != (self.password_file is not None):
            raise ValueError("takes user and password_file together, or neither")
        if not self.host:
            return self
        if not self.sender:
            raise ValueError('also needs sender, such as "Archive <archive@company.example>"')
        if self.security == "none" and not fields.is_loopback(self.host):
            raise ValueError('must use security = "starttls" or "tls": only a server on loopback may go without')
        return self
