"""Accounts as the archive stores them: sources (machines), people, playback grants. Secrets only as hashes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recvault.domain.access import Actor, Grant

FINGERPRINT_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCertificate:
    """A client certificate that a source may show. ``fingerprint`` is SHA-256 of its DER; ``not_after`` its end (RFC 5280,
    4.1.2.5), None where only the fingerprint was told."""

    fingerprint: bytes
    added_at: datetime
    not_after: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.fingerprint) != FINGERPRINT_BYTES:
            raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes")

    def ended(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.not_after is not None and self.not_after < now


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A system that sends communications. ``token_hash`` is SHA-256 of its random token; ``notice_ref`` and
    ``balancing_ref`` name the privacy notice and balancing test its communications were made under by default. With
    ``certificates`` its token counts only together with one of them."""

    id: str
    name: str
    token_hash: bytes
    notice_ref: str | None
    balancing_ref: str | None
    created_at: datetime
    revoked_at: datetime | None = None
    certificates: tuple[SourceCertificate, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """An account of a person. ``name`` is the sign-in name; ``language`` fi or en; ``person`` what the accounts of one
    person share (None: this is the only one); ``agent_until`` when the linked agent ends, as the directory says."""

    id: str
    name: str
    display_name: str
    password_hash: str | None
    grants: tuple[Grant, ...]
    created_at: datetime
    language: str = "fi"
    agent_id: str | None = None
    disabled_at: datetime | None = None
    person: str | None = None
    agent_until: datetime | None = None

    @property
    def who(self) -> str:
        """The person: two accounts with the same are not two people."""
        return self.person or self.id


def actor_of(user: User) -> Actor:
    """The person as access control sees them, outside a session."""
    return Actor(
        id=user.id, grants=user.grants, agent_id=user.agent_id, person=user.person, agent_until=user.agent_until
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybackGrant:
    """The right of one person to play one communication for one purpose until a moment; ``hash`` is SHA-256 of the
    random value in the address; ``authorisation_id`` what it stands under, for an authority."""

    hash: bytes
    communication_id: str
    actor_id: str
    purpose: str
    opened_entry: str
    expires_at: datetime
    authorisation_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedPolicy:
    """A retention policy in force: its text is kept whole, so that any row can be explained by the version it names."""

    version: str
    text: str
    digest: str
    activated_at: datetime
    signed_by: str | None = None
    signed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodKey:
    """The database's row for a day key or frozen-month key: writers lock it shared, closing locks it for update.

    Its life is told in ``domain.period_keys``: ``superseded_at`` when the next generation took its place, for a
    destruction of ``demanded_at``; ``vacant_at`` when nothing was found under it; ``noted_at`` when its end was written
    in the ledger.
    """

    key_id: str
    period: str
    generation: int
    created_at: datetime
    closing_at: datetime | None = None
    destroyed_at: datetime | None = None
    superseded_at: datetime | None = None
    demanded_at: datetime | None = None
    vacant_at: datetime | None = None
    noted_at: datetime | None = None
