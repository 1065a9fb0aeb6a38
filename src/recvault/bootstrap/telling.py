"""Puts together what tells people: outgoing mail, notices, invitations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from recvault.adapters.mail import PrintedMail, SmtpMail, SmtpSettings
from recvault.bootstrap.services import Foundation, Parts
from recvault.bootstrap.sign_in import Entrance
from recvault.config import Config, read_secret
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.mail import Mail
from recvault.services.alarms import Sights
from recvault.services.gauges import Gauges
from recvault.services.invitations import Invitations
from recvault.services.mailing import Mailing
from recvault.services.notices import Notices, NoticeSettings

NOBODY = ("operator@localhost",)
"""Stands for whoever reads the log, where notices are printed."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """The services that tell people something."""

    mailing: Mailing
    notices: Notices
    invitations: Invitations


def telling(
    parts: Parts,
    base: Foundation,
    gauges: Gauges,
    *,
    door: Entrance,
    mail: Mail | None,
    suspended: Callable[[datetime], bool],
    more: Callable[[UnitOfWork, datetime], Sights],
) -> Telling:
    """On the mail server of the configuration, or on ``mail``; ``more`` looks for what else people should hear of."""
    config = parts.config
    printed = not config.mail.host
    mailing = Mailing(
        database=parts.database,
        mail=mail or open_mail(config),
        clock=parts.clock,
        entropy=parts.entropy,
        printed=printed,
    )
    return Telling(
        mailing=mailing,
        notices=Notices(
            database=parts.database,
            mailing=mailing,
            gauges=gauges,
            clock=parts.clock,
            settings=NoticeSettings(
                alarms_to=NOBODY if printed else config.mail.alarms_to,
                digest_to=NOBODY if printed else config.mail.digest_to,
                digest_at=config.mail.digest_at,
                language=config.mail.language,
                attention_limit=config.mail.attention_alarm,
                desk=desk(config),
                zone=config.retention.zone,
                backups=config.backup.directory is not None,
            ),
            suspended=suspended,
            more=more,
        ),
        invitations=Invitations(
            database=parts.database,
            passwords=door.passwords,
            factors=door.factors,
            audit=base.audit,
            mailing=mailing,
            clock=parts.clock,
            entropy=parts.entropy,
            desk=desk(config) if config.server.web_enabled else None,
            zone=config.retention.zone,
        ),
    )


def open_mail(config: Config) -> Mail:
    """The configured server; without one the console of whoever runs a command, or the log."""
    section = config.mail
    if not section.host:
        return PrintedMail(_console if sys.stderr.isatty() else None)
    return SmtpMail(
        SmtpSettings(
            host=section.host,
            port=section.port,
            security=section.security,
            sender=section.sender,
            user=section.user,
            password=read_secret(section.password_file) if section.password_file else None,
            ca_file=section.ca_file,
            timeout_seconds=section.timeout_seconds,
        )
    )


def desk(config: Config) -> str:
    """Where people reach the desk. It answers on loopback only, so that is where links lead unless somebody says otherwise
    (a tunnel of their own)."""
    return config.mail.public_url or config.server.public_url or f"http://127.0.0.1:{config.server.port}"


def _console(line: str) -> None:
    sys.stderr.write(f"{line}\n")
