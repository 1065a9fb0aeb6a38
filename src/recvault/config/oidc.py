"""Issuers at which people may sign in (OpenID Connect), and which roles their groups give.

Keeps: nothing is given that does not stand here in so many words. Roles that open content, decide or administer are given
by an issuer only when they are listed in ``entrusted_roles`` as well: a group that is renamed or widened over there must
not open recordings here by accident.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, Strict, model_validator

from recvault.config import fields
from recvault.config.section import Here, Host, ReasonCode, SecretFile, Section, Text

RoleName = Literal[
    "agent",
    "verifier",
    "trainer",
    "trainee",
    "team_lead",
    "privacy_handler",
    "approver",
    "auditor",
    "administrator",
]
HARMLESS: frozenset[RoleName] = frozenset({"auditor"})
"""Roles that reach no content, decide nothing and change no account."""


def issuer_url(value: object) -> str:
    """The issuer exactly as it names itself (OIDC Discovery 1.0, 3): https, or http on loopback; it may have a path."""
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("must be an address such as https://login.company.example")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be an address such as https://login.company.example") from None
    if not host or "@" in parts.netloc or "?" in value or "#" in value or not value.isascii():
        raise ValueError("must be an address such as https://login.company.example, without user, query or fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and fields.is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only on loopback)")
    return value


Issuer = Annotated[str, BeforeValidator(issuer_url)]
Named = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Named, ...], Strict(False)]


class OidcGrant(Section):
    """What one group of the issuer gives."""

    group: Named
    role: RoleName
    scope: Literal["all", "teams", "queues"] = "all"
    values: Names = ()

    @model_validator(mode="after")
    def _scope_named(self) -> Self:
        if self.scope == "all" and self.values:
            raise ValueError('takes values only with scope = "teams" or "queues"')
        if self.scope == "queues" and not self.values:
            raise ValueError('with scope = "queues" also needs values, the names of the queues')
        return self


class Oidc(Section):
    """One issuer."""

    name: ReasonCode
    label: Named
    issuer: Issuer
    client_id: Named
    client_secret_file: SecretFile | None = None
    client_key_file: SecretFile | None = None
    ca_file: Here | None = None
    timeout_seconds: int = Field(default=10, ge=1, le=60)
    scopes: Names = ("openid", "profile")
    userinfo: bool = False
    name_claim: Named = "preferred_username"
    groups_claim: Named = "groups"
    required_group: Text = ""
    email_domains: Annotated[tuple[Host, ...], Strict(False)] = ()
    second_factor_amr: Names = ()
    second_factor_acr: Names = ()
    create: bool = False
    entrusted_roles: Annotated[tuple[RoleName, ...], Strict(False)] = ()
    grants: Annotated[tuple[OidcGrant, ...], Strict(False)] = ()
    teams: dict[Named, Named] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if (self.client_secret_file is None) == (self.client_key_file is None):
            raise ValueError("takes one of client_secret_file and client_key_file")
        if "openid" not in self.scopes:
            raise ValueError('must have "openid" among its scopes')
        return self

    @model_validator(mode="after")
    def _nothing_by_accident(self) -> Self:
        for grant in self.grants:
            if grant.role not in HARMLESS and grant.role not in self.entrusted_roles:
                raise ValueError(
                    f"gives the role {grant.role} to a group; if the issuer is trusted with that role, name it in "
                    "entrusted_roles too"
                )
            if grant.scope == "teams" and not grant.values and not self.teams:
                raise ValueError(
                    'has a grant of scope "teams" without values; name the teams there, or in [oidc.teams] the team '
                    "that each group is"
                )
        return self
