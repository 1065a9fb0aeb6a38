"""The log's own retention: entries end when the policy's ``access_log`` has passed; their leaves stay in the tree.

Keeps: nothing ends while destruction is braked or the policy is not signed; how a communication came in and what moved its
end stays while it is stored; what says that entries ended never ends itself; each portion is one transaction with the entry
that tells how many ended and which, so that a deletion that nobody tells of is found by ``audit verify``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, tzinfo

from recvault.domain.audit import Act
from recvault.domain.errors import AuditFailure
from recvault.domain.ports.database import Database
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.retention import Retention

ACTOR = "system:log"
PORTION = 1000
"""Entries that one transaction ends."""


class LogLife:
    """Ends entries. ``obstacle``: why nothing may be destroyed at a moment, None when nothing is in the way."""

    def __init__(
        self,
        *,
        database: Database,
        retention: Retention,
        audit: AuditLog,
        clock: Clock,
        zone: tzinfo,
        obstacle: Callable[[datetime], str | None],
    ) -> None:
        self._database = database
        self._retention = retention
        self._audit = audit
        self._clock = clock
        self._zone = zone
        self._obstacle = obstacle

    def run(self) -> int:
        """Ends what is past its keeping; returns how many."""
        ended, after = 0, -1
        while self._obstacle(self._clock.now()) is None:
            looked_at, last = self._portion(after)
            if last is None:
                break
            ended, after = ended + looked_at, last
        return ended

    def _portion(self, after: int) -> tuple[int, int | None]:
        """How many ended, and the last index looked at; None when there are no more."""
        now, keep = self._clock.now(), self._retention.active().records.access_log.keep
        with self._database.begin() as unit:
            found = unit.audit.endable(now - keep.shortest, after=after, limit=PORTION)
            if not found:
                return 0, None
            over = {one.id: one.index for one in found if keep.add_to(one.at, self._zone) <= now}
            if over:
                digest = hashlib.sha256(b"".join(index.to_bytes(8) for index in sorted(over.values()))).hexdigest()
                said_in = self._audit.record(
                    unit, actor=ACTOR, act=Act.ENTRIES_ENDED, detail={"count": len(over), "indexes": digest}
                )
                if unit.audit.end(over, said_in=said_in) != sorted(over.values()):
                    raise AuditFailure("entries of the log changed while they were ended; nothing was, try again")
                unit.commit()
        return len(over), found[-1].index
