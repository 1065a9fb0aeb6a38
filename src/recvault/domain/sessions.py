"""Sessions and API tokens: what was proved, when, how far they reach, and when they end.

Keeps: a session says by which methods the person proved who they are and when last; who may reach content, decide or
administer needs a second factor; acts that cannot be taken back need a recent proof. Which acts those are is said where
they are done, by :func:`require_recent`. Left to others: the factors themselves, and storing (``services.sessions``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.access import TABLE, Action, Actor, Role
from recvault.domain.errors import StepUpRequired
from recvault.domain.ids import require_aware

PROOF_LIFE = timedelta(minutes=5)
"""How long a proof counts as recent."""


class Method(StrEnum):
    """How a person proved who they are; the values are those of RFC 8176 where it has one."""

    PASSWORD = "pwd"
    TOTP = "otp"
    PASSKEY = "passkey"
    RECOVERY = "recovery"
    FEDERATED = "fed"
    FEDERATED_MFA = "mfa"
    """The issuer says that it asked for several factors (``amr`` or ``acr``); stands beside FEDERATED."""


SECOND_FACTORS = frozenset({Method.TOTP, Method.PASSKEY, Method.RECOVERY, Method.FEDERATED_MFA})
"""What makes a session complete for roles that need a second factor."""


class Kind(StrEnum):
    """A browser's or program's session, begun by signing in; or an API token, made for a program."""

    SESSION = "session"
    API = "api"


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A session or API token of a person. ``hash`` is SHA-256 of its secret; ``scopes`` the roles that an API token may
    use (None: all that its owner has at the moment); ``proved_at`` when a factor was last proved (API tokens: never)."""

    id: str
    hash: bytes
    user_id: str
    kind: Kind
    label: str
    methods: frozenset[Method]
    scopes: frozenset[Role] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime
    proved_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("created_at", "expires_at", "last_used_at"):
            require_aware(getattr(self, name), name)

    def live(self, now: datetime, idle: timedelta) -> bool:
        """Whether it still opens anything: not revoked, not expired, and as a session not unused for ``idle``."""
        unused = self.kind is Kind.SESSION and self.last_used_at + idle <= now
        return self.revoked_at is None and now < self.expires_at and not unused

    @property
    def has_second_factor(self) -> bool:
        """Whether more than a password stands behind it. An API token is made from a complete session or by the operator."""
        return self.kind is Kind.API or bool(self.methods & SECOND_FACTORS)


_GUARDED = (
    Action.OPEN,
    Action.RELEASE,
    Action.HOLD_PLACE,
    Action.HOLD_RELEASE,
    Action.PURPOSE_END,
    Action.STATUTORY_OVERRIDE,
    Action.DESTRUCTION_SUSPEND,
    Action.DESTRUCTION_CONFIRM,
    Action.SWEEP_RESUME,
    Action.APPROVAL_DECIDE,
    Action.REGISTER_WRITE,
    Action.ACCOUNT_MANAGE,
    Action.POLICY_SIGN,
    Action.KEY_REKEY,
)


def needs_second_factor(actor: Actor, now: datetime) -> bool:
    """Whether a role of this moment opens content, releases, decides or administers."""
    roles = actor.roles(now)
    return any(role in TABLE[action] for action in _GUARDED for role in roles)


def require_recent(proved_at: datetime | None, now: datetime, within: timedelta = PROOF_LIFE) -> None:
    """Returns when a factor was proved less than ``within`` ago; StepUpRequired otherwise (RFC 9470 has the idea)."""
    if proved_at is None or now - proved_at >= within:
        raise StepUpRequired(within)
