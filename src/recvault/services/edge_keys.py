"""Edge keys: the archive's public keys to which telephony hosts seal; they change monthly.

A new month gets a new key. The private half of an old one dies 30 days after it was superseded, so that a host's spool, or
a backup of it, brings nothing back that has been destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recvault.domain.audit import Act
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog

PREFIX = "edge/"
GRACE = timedelta(days=30)
"""How long a superseded key still opens what waits in spools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeKey:
    """What a hook needs: ``public_key`` is 32 bytes of X25519; nothing is opened that is sealed to it after
    ``not_after``."""

    id: str
    public_key: bytes
    not_after: datetime


class EdgeKeys:
    """Makes, hands out and retires edge keys."""

    def __init__(self, *, database: Database, keyring: Keyring, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit
        self._clock = clock

    def current(self) -> EdgeKey:
        """This month's key; made, with an audit entry, when the month has none."""
        now = self._clock.now()
        key_id = f"{PREFIX}{now:%Y-%m}"
        if self._keyring.ensure(key_id, KeyKind.EDGE):
            self._audit.note(actor="system:keys", act=Act.KEY_CREATED, target=key_id)
        return EdgeKey(id=key_id, public_key=self._keyring.public(key_id), not_after=_superseded_at(key_id) + GRACE)

    def open(self, key_id: str, enc: bytes) -> bytes:
        """The stream key that a hook sealed to one of the edge keys."""
        return self._keyring.open_edge(key_id, enc)

    def retire(self) -> list[str]:
        """Destroys keys that were superseded longer than the grace ago; returns their ids."""
        now = self._clock.now()
        over = [
            key.id
            for key in self._keyring.list(PREFIX)
            if key.destroyed_at is None and _superseded_at(key.id) + GRACE <= now
        ]
        for key_id in over:  # first the entry: without a trace nothing is destroyed, and repeating both is harmless
            self._audit.note(actor="system:keys", act=Act.KEY_DESTROYED, target=key_id)
        if over:
            self._keyring.destroy(over)
        return over


def _superseded_at(key_id: str) -> datetime:
    """The first moment of the month after the key's own."""
    year, month = (int(part) for part in key_id.removeprefix(PREFIX).split("-"))
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
