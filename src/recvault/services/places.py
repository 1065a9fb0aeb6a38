"""Residency (promise P12): where objects may lie is checked at start, by the worker, and before every write.

Keeps: a violation stops writing with the reason until a later check finds the place in order; reading and destroying go
on (moving data away from a wrong place must stay possible). What is declared and what was observed are kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

from recvault.domain.audit import Act
from recvault.domain.errors import ResidencyViolation
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock
from recvault.domain.residency import DeclaredPlace, PlaceRecord, ResidencyPolicy, declaration_violations, violations
from recvault.services.audit_log import AuditLog

ACTOR = "system:places"


class Places:
    """Knows whether every place is allowed, as of the last look: the object store's by what is declared and what it says,
    the others (keyring, its replicas, the ledger's second place) by what is declared."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        declared: DeclaredPlace,
        others: Sequence[DeclaredPlace],
        policy: ResidencyPolicy,
        audit: AuditLog,
        clock: Clock,
        interval: timedelta,
    ) -> None:
        self._store = store
        self._declared = declared
        self._others = others
        self._policy = policy
        self._audit = audit
        self._clock = clock
        self._interval = interval
        self._lock = Lock()
        self._faults: tuple[str, ...] = ("the place was not looked at yet",)
        self._looked_at: datetime | None = None
        self._record: PlaceRecord | None = None

    def check(self) -> tuple[str, ...]:
        """Looks at the store now; returns the violations (none: in order) and notes a change in the audit log."""
        observed = self._store.observe()
        faults = violations(self._declared, observed, self._policy) + tuple(
            f"{place.name}: {fault}" for place in self._others for fault in declaration_violations(place, self._policy)
        )
        with self._lock:
            before = self._faults if self._looked_at is not None else ()
            self._faults = faults
            self._looked_at = self._clock.now()
            self._record = PlaceRecord.of(self._declared, observed)
        if faults and not before:
            self._audit.note(
                actor=ACTOR, act=Act.RESIDENCY_VIOLATED, target=self._declared.name, detail={"count": len(faults)}
            )
        if before and not faults:
            self._audit.note(actor=ACTOR, act=Act.RESIDENCY_RESTORED, target=self._declared.name)
        return faults

    def require_writable(self) -> None:
        """Returns when the last look is recent and found nothing; looks again when it is old; ResidencyViolation else."""
        if self._looked_at is None or self._clock.now() - self._looked_at > self._interval:
            self.check()
        if self._faults:
            raise ResidencyViolation("nothing is written to this place: " + "; ".join(self._faults))

    def record(self) -> PlaceRecord:
        """Declared and observed place as of the last look, for the row of an object."""
        if self._record is None:
            self.check()
        assert self._record is not None
        return self._record
