"""Rows from before digests of facts get theirs: once after an upgrade, or when a person says so after a restore.

Keeps: what a row says is taken as true here and only here, so it is audited who did it and of how many; a row whose end is not
what its policy gives stays without a digest and is stopped. Since when every row must have one is anchored in the keyring, so
that nobody who only writes the database can bring this about again.
"""

from __future__ import annotations

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.fact_digests import ANCHOR, FACTS_KEY, FactDigests
from recvault.services.retention import ACTOR, Retention

BATCH = 500
"""Rows authenticated in one transaction."""


class FactBackfill:
    """Authenticates what has no digest."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        digests: FactDigests,
        retention: Retention,
        access: Access,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._digests = digests
        self._retention = retention
        self._access = access
        self._audit = audit
        self._clock = clock

    def prepare(self) -> None:
        """At start: makes the key, while nothing must have been authenticated with another."""
        if not self._digests.complete:
            self._keyring.ensure(FACTS_KEY, KeyKind.MAC)

    def settle(self) -> int | None:
        """The tick: does it once, and returns how many rows it was; None when it was done before."""
        if self._digests.complete:
            return None
        sealed = self._seal_all(ACTOR)
        self._keyring.set_anchor(ANCHOR, self._clock.now().isoformat())
        return sealed

    def accept(self, actor: Actor) -> int:
        """A person takes rows without a digest as they are: a database of before this version was put back. Forbidden."""
        self._access.require(actor, Action.DESTRUCTION_CONFIRM)
        return self._seal_all(actor.id)

    def _seal_all(self, by: str) -> int:
        """In portions, each in a transaction of its own; harmless to repeat."""
        sealed, after = 0, ""
        while True:
            with self._database.begin() as unit:
                ids = unit.retention.ids_without_digest(BATCH, after=after)
                rows = [self._digests.sealed(row) for row in self._retention.lock(unit, ids, unattested=True)]
                unit.retention.set_digests(rows)
                if ids:
                    detail = {"rows": len(rows), "refused": len(ids) - len(rows)}
                    self._audit.record(unit, actor=by, act=Act.FACTS_SEALED, detail=detail)
                    unit.commit()
            sealed += len(rows)
            if len(ids) < BATCH:
                return sealed
            after = ids[-1]
