"""What the archive tells people about itself: alarms that stand, and mails that wait to be sent. No clock, no words.

Keeps: names and numbers only, nothing personal. What an alarm is called in front of people, and whom it reaches, is left
to services.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.ids import require_aware


class AlarmCode(StrEnum):
    """What can be wrong with the archive as a whole."""

    OVERDUE = "overdue"
    NO_WORKER = "no-worker"
    AUDIT_BEHIND = "audit-behind"
    PLACE = "place"
    STORE = "store"
    DATABASE = "database"
    KEYRING = "keyring"
    BACKUP = "backup"
    ATTENTION = "attention"
    POLICY_UNSIGNED = "policy-unsigned"
    DESTRUCTION_SUSPENDED = "destruction-suspended"
    DECIDED_ALONE = "decided-by-one-person"
    ROLES_APPROVED = "roles-approved"
    BREAK_GLASS = "break-glass"
    BREAK_GLASS_SIGN_IN = "break-glass-sign-in"
    UNUSUAL_LISTENING = "unusual-listening"
    REVIEW_DUE = "access-review"
    APPROVAL_BROKEN = "approval-broken"
    PASSKEY_SUSPECT = "passkey-suspect"
    SIGN_IN_FAILURES = "sign-in-failures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """Something that is wrong. ``name``: an :class:`AlarmCode`, or ``task/what`` of a worker's task. ``seen_at``: when
    anybody last saw it so; ``told_at``: when people were last told, None before the first time."""

    name: str
    began_at: datetime
    seen_at: datetime
    count: int = 0
    told_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("began_at", "seen_at"):
            object.__setattr__(self, name, require_aware(getattr(self, name), name))


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedMail:
    """A mail that waits to be sent. ``attempts``: how often it was tried; ``id`` is its message id at every attempt."""

    id: str
    recipient: str
    subject: str
    body: str
    created_at: datetime
    attempts: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "created_at", require_aware(self.created_at, "created_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """The right to set one person's password, once: ``hash`` is SHA-256 of the random secret in the link.
    ``resets_factors``: using it takes the person's second factors away as well."""

    hash: bytes
    user_id: str
    created_at: datetime
    expires_at: datetime
    resets_factors: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DayCounts:
    """What happened between two digests, and what stands. ``audit_size``: the length of the audit chain up to which was
    counted."""

    received: int
    opened: int
    destroyed: int
    certified: int
    completed: int
    holds: int
    audit_size: int
