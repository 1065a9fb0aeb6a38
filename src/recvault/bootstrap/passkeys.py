"""Puts together passkeys and the assertions over approvals, for the address at which browsers reach the desk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast
from urllib.parse import urlsplit

from recvault.bootstrap.services import Foundation, Parts
from recvault.bootstrap.sign_in import Entrance
from recvault.config import Config
from recvault.domain.passkeys import RelyingParty
from recvault.domain.ports.passkeys import Authenticators
from recvault.services.approval_letters import ApprovalLetters, LetterSettings
from recvault.services.assertions import Assertions
from recvault.services.break_glass import LocalSignIn
from recvault.services.ceremonies import Ceremonies
from recvault.services.mailing import Mailing
from recvault.services.passkeys import Passkeys
from recvault.services.sessions import Sessions

LOCAL = "localhost"
"""The name under which passkeys work on this machine itself: addresses in numbers have none (Web Authentication, 5.1.3)."""


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What stands on authenticators."""

    passkeys: Passkeys
    assertions: Assertions


class _Later:
    """The authenticators, loaded at first use: their library takes a tenth of the time in which a command starts."""

    def __init__(self, party: RelyingParty) -> None:
        self._party = party

    @cached_property
    def _loaded(self) -> Authenticators:
        from recvault.adapters.webauthn import WebAuthn

        return WebAuthn(self._party)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loaded, name)


def keys(parts: Parts, base: Foundation, sessions: Sessions, door: Entrance, local: LocalSignIn) -> Keys:
    """On the parts given."""
    party = relying_party(parts.config)
    authenticators = cast(Authenticators, _Later(party))
    ceremonies = Ceremonies(
        database=parts.database,
        keyring=parts.keyring,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        authenticators=authenticators,
    )
    return Keys(
        passkeys=Passkeys(
            database=parts.database,
            audit=base.audit,
            clock=parts.clock,
            entropy=parts.entropy,
            authenticators=authenticators,
            ceremonies=ceremonies,
            sessions=sessions,
            factors=door.factors,
            required=parts.config.access.second_factor == "required",
            party=party,
            local=local,
        ),
        assertions=Assertions(database=parts.database, ceremonies=ceremonies),
    )


def relying_party(config: Config) -> RelyingParty:
    """The desk's public name where browsers come through a proxy that is believed, else this machine's own."""
    server = config.server
    name = config.controller.name or "recvault"
    if server.public_url.startswith("https://") and server.trusted_proxies:
        parts = urlsplit(server.public_url)
        host, port = parts.hostname or LOCAL, parts.port
        shown = f"[{host}]" if ":" in host else host
        return RelyingParty(
            id=host, name=name, origin=f"https://{shown}" + (f":{port}" if port not in (None, 443) else "")
        )
    return RelyingParty(id=LOCAL, name=name, origin=f"http://{LOCAL}:{server.port}", any_port=True)


def approval_letters(config: Config, mailing: Mailing) -> ApprovalLetters:
    """To the addresses of the configuration; without a mail server to nobody: what waits is an alarm all the same."""
    section = config.approvals
    settings = LetterSettings(
        approvers=() if mailing.printed else section.approvers_to,
        controller=() if mailing.printed else section.controller_to or config.mail.alarms_to,
        desk=(config.mail.public_url or relying_party(config).origin) if config.server.web_enabled else None,
        language=config.mail.language,
        zone=config.retention.zone,
    )
    return ApprovalLetters(mailing=mailing, settings=settings)
