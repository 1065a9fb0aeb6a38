"""What a database says of itself on a new connection: which incarnation it is, and how far it followed the ledger.

An incarnation ends when a database is put back from a backup or a standby takes its place: what was committed in between
is gone without a trace in the database itself. Two things tell: its identity (of the server's cluster and timeline, or
of the file) differs from the one it noted, or it is behind the ledger or the audit log's checkpoint outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recvault.domain.ledger import LedgerHead

INCARNATION = "database/incarnation"
"""Setting: ``serving``, the identity of the incarnation that serves, and ``sweeping``, of the one that may be swept under."""

RESTORED = "backup/restored"
"""Setting of a database that was put back from a backup; ``replayed_at`` stands in it once its ledger was replayed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a database must at least know of: ``last`` is the ledger's last entry, ``seen`` the highest that this process
    knew the database to have followed, ``logged`` the size of the audit log as last published."""

    last: int
    seen: int
    logged: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """``identity`` as the server or file tells it now; ``noted`` the setting ``database/incarnation`` (None before the first
    start); ``put_back`` whether it says itself that it was restored; ``logged`` the size of its audit log."""

    identity: str
    head: LedgerHead
    noted: Mapping[str, object] | None
    put_back: bool
    logged: int = 0

    @property
    def is_another(self) -> bool:
        """Whether this is not the incarnation that served last."""
        return self.noted is not None and self.noted.get("serving") != self.identity

    @property
    def may_be_swept(self) -> bool:
        """Whether nothing was put back since objects were last known to be complete with their rows."""
        return not self.put_back and (self.noted is None or self.noted.get("sweeping") == self.identity)
