"""Signing in at somebody else's door: who an issuer says a person is, and what that is worth here.

Keeps: a person is (issuer, subject) and nothing else, so a name or an address that moves to somebody new over there opens
nothing here (OpenID Connect Core 1.0, 5.7); roles come from groups only as the rules list them, carry the issuer's mark and
end with the session they were given for; whoever no longer belongs gets none. Left to others: whether the issuer really
said it (``adapters.oidc``), and storing (``services.federation``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.errors import Forbidden, InvalidInput, Unavailable
from recvault.domain.ids import canonical_json, require_aware

ORIGIN = "oidc:"
"""What the origin of a grant begins with when an issuer gave it."""


class Reason(StrEnum):
    """Why a sign-in at an issuer came to nothing."""

    STALE = "stale"
    """The attempt is unknown, too old, used already, or of another browser."""
    DENIED = "denied"
    """The issuer itself refused, or the person turned back there."""
    NOT_VERIFIED = "not-verified"
    """The answer does not verify: signature, issuer, audience, times, nonce, code."""
    NOT_ADMITTED = "not-admitted"
    """The required group or a verified address of the right domain is missing."""
    NO_ROLE = "no-role"
    NOT_LINKED = "not-linked"
    """Nobody here is linked to this person, and accounts are not made by themselves."""
    NAME_TAKEN = "name-taken"
    """Another account has the sign-in name; only an administrator may say that they are one person."""
    NAME_UNFIT = "name-unfit"
    """The issuer gives no sign-in name, or one of a form that accounts do not have."""
    CLOSED = "closed"
    GROUPS_ELSEWHERE = "groups-elsewhere"
    """The issuer does not say in which groups the person is, but where that could be asked: they are too many."""


_SENTENCES = {
    Reason.STALE: "this sign-in was begun too long ago, elsewhere, or was used already; begin anew on the sign-in page",
    Reason.DENIED: "the sign-in service refused; try again, or ask the people who run it",
    Reason.NOT_VERIFIED: "what the sign-in service answered does not verify; nothing was opened: tell the administrator",
    Reason.NOT_ADMITTED: "the sign-in service says that you do not belong to those who may come in; ask the administrator",
    Reason.NO_ROLE: "none of your groups gives a role here; ask the administrator",
    Reason.NOT_LINKED: "no account here is linked to yours; ask the administrator to link it",
    Reason.NAME_TAKEN: "an account of your name exists and is not linked to yours; ask the administrator to link it",
    Reason.NAME_UNFIT: "the sign-in service gives no name that can be used here; ask the administrator",
    Reason.CLOSED: "this account is closed",
    Reason.GROUPS_ELSEWHERE: "the sign-in service did not say which groups you are in, because they are too many; ask the "
    "administrator to let it send only those that are meant for the archive",
}


class FederationRefused(Forbidden):
    """Nobody was let in. ``fingerprint`` names the person at the issuer to an administrator who is to link them: for the
    person's own eyes; ``user_id`` the account that was refused, if one is known."""

    code = "federation-refused"

    def __init__(self, reason: Reason, *, fingerprint: str | None = None, user_id: str | None = None) -> None:
        super().__init__(_SENTENCES[reason])
        self.why = reason
        self.fingerprint = fingerprint
        self.user_id = user_id


class IssuerUnavailable(Unavailable):
    """The issuer cannot be reached, or answers nothing of use."""

    code = "issuer-unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupGrant:
    """What one group gives. A scope of teams without values reaches the teams that the person's own groups are."""

    group: str
    role: Role
    scope: ScopeKind = ScopeKind.ALL
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerRules:
    """What an issuer is trusted with. ``second_factor_amr`` and ``second_factor_acr`` are the values of RFC 8176 and of the
    issuer's own that count as several factors (none: it is never believed); ``teams`` says which group is which team."""

    name: str
    issuer: str
    label: str
    grants: tuple[GroupGrant, ...] = ()
    teams: Mapping[str, str]
    required_group: str = ""
    email_domains: frozenset[str] = frozenset()
    second_factor_amr: frozenset[str] = frozenset()
    second_factor_acr: frozenset[str] = frozenset()
    create: bool = False

    @property
    def origin(self) -> str:
        """The mark of grants that it gave."""
        return ORIGIN + self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a verified answer of an issuer says of a person. ``email`` only when it says that it verified it; ``sid`` its
    own session, for the logout it may tell of; ``proved_at`` when it last asked the person for anything (``auth_time``)."""

    issuer: str
    subject: str
    name: str | None = None
    display_name: str | None = None
    groups: frozenset[str] = frozenset()
    groups_elsewhere: bool = False
    email: str | None = None
    amr: frozenset[str] = frozenset()
    acr: str | None = None
    sid: str | None = None
    proved_at: datetime | None = None

    @property
    def key(self) -> bytes:
        """The person at the issuer, as stored: see :func:`identity_key`."""
        return identity_key(self.issuer, self.subject)


@dataclass(frozen=True, kw_only=True, slots=True)
class Logout:
    """Whose sessions the issuer has ended: one session of its own, or all of a person (Back-Channel Logout 1.0, 2.4)."""

    key: bytes | None
    sid: bytes | None
    token: bytes = b""
    """SHA-256 of issuer and the token's own id (``jti``): it counts once."""
    until: datetime | None = None
    """From when on the token would be refused for its age."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A sign-in under way. Its state and the browser's secret are stored as SHA-256 only; nonce and PKCE verifier follow
    from both and are stored nowhere."""

    state_hash: bytes
    issuer: str
    browser_hash: bytes
    onward: str
    created_at: datetime
    expires_at: datetime
    network: bytes | None = None
    """A keyed hash of the network that it was begun from."""

    def __post_init__(self) -> None:
        for name in ("created_at", "expires_at"):
            object.__setattr__(self, name, require_aware(getattr(self, name), name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A person at an issuer, linked to an account here. ``issuer`` is its name in the configuration; ``linked_by`` an
    account, or ``oidc:NAME`` when the account was made at the first sign-in."""

    key: bytes
    issuer: str
    user_id: str
    linked_at: datetime
    linked_by: str
    last_used_at: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.linked_at, "linked_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class FederatedSession:
    """Which of our sessions came from where, so that the issuer can end it. ``sid``: SHA-256 of the issuer's session."""

    session_id: str
    issuer: str
    key: bytes
    sid: bytes | None
    created_at: datetime

    def __post_init__(self) -> None:
        require_aware(self.created_at, "created_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakGlass:
    """An account that may sign in by password although people sign in at an issuer."""

    user_id: str
    marked_at: datetime
    marked_by: str
    last_used_at: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.marked_at, "marked_at")


def identity_key(issuer: str, subject: str) -> bytes:
    """SHA-256 over issuer and subject, 32 bytes: subjects are mail addresses at some issuers, and are only ever compared."""
    return hashlib.sha256(canonical_json({"iss": issuer, "sub": subject})).digest()


def session_key(issuer: str, sid: str) -> bytes:
    """The same for a session of the issuer."""
    return hashlib.sha256(canonical_json({"iss": issuer, "sid": sid})).digest()


def fingerprint(key: bytes) -> str:
    """How a person at an issuer is named to an administrator: 64 hexadecimal digits in groups of eight."""
    digits = key.hex()
    return "-".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def key_of(text: str) -> bytes:
    """The other way round; InvalidInput when it is no fingerprint."""
    try:
        key = bytes.fromhex(text.replace("-", "").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InvalidInput(
            "the person's code has 64 digits and letters a to f; take it from the page that refused them"
        )
    return key


def require_admitted(rules: IssuerRules, claims: Claims) -> None:
    """Returns when the person belongs to those who may come in; FederationRefused otherwise, and when the rules ask for groups
    that the issuer did not tell: none told is not the same as none."""
    if claims.groups_elsewhere and (rules.grants or rules.teams or rules.required_group):
        raise FederationRefused(Reason.GROUPS_ELSEWHERE)
    if rules.required_group and rules.required_group not in claims.groups:
        raise FederationRefused(Reason.NOT_ADMITTED)
    _, at, domain = (claims.email or "").rpartition("@")
    if rules.email_domains and not (at and domain.lower() in rules.email_domains):
        raise FederationRefused(Reason.NOT_ADMITTED)


def grants_of(rules: IssuerRules, claims: Claims, *, until: datetime) -> tuple[Grant, ...]:
    """The roles that the person's groups of this moment give, in the order of the rules, until a moment."""
    own_teams = frozenset(team for group, team in rules.teams.items() if group in claims.groups)
    found: list[Grant] = []
    for rule in rules.grants:
        values = rule.values or (own_teams if rule.scope is ScopeKind.TEAMS else frozenset())
        if rule.group not in claims.groups or (rule.scope is not ScopeKind.ALL and not values):
            continue
        grant = Grant(
            role=rule.role,
            scope=Scope(kind=rule.scope, values=values),
            valid_until=until,
            origin=rules.origin,
        )
        if grant not in found:
            found.append(grant)
    return tuple(found)


def given_by(grants: Iterable[Grant], origin: str) -> frozenset[Grant]:
    """Those of an origin, whatever their end: to see whether anything but the end changed."""
    return frozenset(replace(grant, valid_from=None, valid_until=None) for grant in grants if grant.origin == origin)


def has_second_factor(rules: IssuerRules, claims: Claims) -> bool:
    """Whether the issuer says, in words that it is believed, that it asked for several factors."""
    return bool(claims.amr & rules.second_factor_amr) or claims.acr in rules.second_factor_acr


def rules_digest(rules: Iterable[IssuerRules]) -> str:
    """SHA-256 over everything that decides who comes in with which roles, hexadecimal: a change of it is an act."""
    told = [
        {
            "name": one.name,
            "issuer": one.issuer,
            "grants": [[g.group, g.role.value, g.scope.value, sorted(g.values)] for g in one.grants],
            "teams": dict(one.teams),
            "required_group": one.required_group,
            "email_domains": sorted(one.email_domains),
            "amr": sorted(one.second_factor_amr),
            "acr": sorted(one.second_factor_acr),
            "create": one.create,
        }
        for one in rules
    ]
    return hashlib.sha256(canonical_json({"issuers": told})).hexdigest()
