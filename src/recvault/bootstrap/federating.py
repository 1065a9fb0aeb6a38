"""Puts together signing in at issuers, and what is left of signing in by password beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from recvault.bootstrap.services import Foundation, Parts
from recvault.bootstrap.telling import desk
from recvault.config import Oidc, read_secret
from recvault.domain.access import Role, ScopeKind
from recvault.domain.federation import GroupGrant, IssuerRules
from recvault.domain.ports.federation import Issuer
from recvault.services.break_glass import LocalSignIn
from recvault.services.federation import Federation
from recvault.services.sessions import Sessions


@dataclass(frozen=True, kw_only=True)
class Federating:
    """Issuers, and who may still come by password."""

    federation: Federation
    local: LocalSignIn


def federating(parts: Parts, base: Foundation, sessions: Sessions) -> Federating:
    """Both."""
    config = parts.config
    federation = Federation(
        database=parts.database,
        keyring=parts.keyring,
        issuers=[_issuer(parts, one) for one in config.oidc],
        sessions=sessions,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        desk=desk(config),
        longest=timedelta(hours=config.access.session_absolute_hours),
    )
    local = LocalSignIn(
        database=parts.database,
        audit=base.audit,
        clock=parts.clock,
        only_break_glass=config.access.local_sign_in == "break-glass",
    )
    return Federating(federation=federation, local=local)


def rules_of(section: Oidc) -> IssuerRules:
    """What the issuer is trusted with."""
    return IssuerRules(
        name=section.name,
        issuer=section.issuer,
        label=section.label,
        grants=tuple(
            GroupGrant(group=one.group, role=Role(one.role), scope=ScopeKind(one.scope), values=frozenset(one.values))
            for one in section.grants
        ),
        teams=dict(section.teams),
        required_group=section.required_group,
        email_domains=frozenset(section.email_domains),
        second_factor_amr=frozenset(section.second_factor_amr),
        second_factor_acr=frozenset(section.second_factor_acr),
        create=section.create,
    )


def _issuer(parts: Parts, section: Oidc) -> Issuer:
    """Secret and key are read anew at each use, so that they can be changed without a restart. The libraries are loaded
    only where there is an issuer: most commands are done sooner than they are."""
    from recvault.adapters.oidc import Client, OidcIssuer

    secret, key = section.client_secret_file, section.client_key_file
    client = Client(
        client_id=section.client_id,
        secret=None if secret is None else partial(read_secret, secret),
        key=None if key is None else partial(read_secret, key, lines=True),
        scopes=section.scopes,
        userinfo=section.userinfo,
        name_claim=section.name_claim,
        groups_claim=section.groups_claim,
        ca_file=section.ca_file,
        timeout_seconds=section.timeout_seconds,
    )
    issuer = OidcIssuer(rules_of(section), client, clock=parts.clock, entropy=parts.entropy)
    parts.resources.callback(issuer.close)
    return issuer
