"""What the system itself did, in the audit log: started with another configuration, met a clock that jumped.

Keeps: of the configuration only names of keys and keyed digests are written, never a value. An act that cannot be written
stops the start; a jump is told after it happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from recvault.domain.audit import Act
from recvault.domain.ids import canonical_json
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.ingest import INDEX_KEY

CONFIGURATION = "system/configuration"
"""The setting that holds a keyed digest of each key's value, as of the last start that had another."""

ACTOR = "system:start"


class SystemActs:
    """Notes them. ``limit``: how far the clock may be from where it should be; ``steady`` counts seconds and never jumps."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        audit: AuditLog,
        clock: Clock,
        limit: timedelta,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit
        self._clock = clock
        self._limit = limit
        self._steady = steady
        self._last: tuple[datetime, float] | None = None

    def started(self, configuration: Mapping[str, object]) -> tuple[str, ...]:
        """Compares the values by key (JSON) with those of the last start; the keys that differ, which the log now names."""
        digests = {name: self._digest(name, value) for name, value in configuration.items()}
        with self._database.begin() as unit:
            before = unit.settings.get(CONFIGURATION)
            if before == digests:
                return ()
            known = before or {}
            changed = sorted(
                name for name in {*known, *digests} if before is not None and known.get(name) != digests.get(name)
            )
            unit.settings.put(CONFIGURATION, digests)
            self._audit.record(
                unit,
                actor=ACTOR,
                act=Act.CONFIGURATION_CHANGED,
                detail={"changed": changed, "digest": self._digest("", digests)},
            )
            unit.commit()
        return tuple(changed)

    def beat(self) -> int:
        """Notes by how many seconds the clock jumped since the last beat of this process; 0 when it did not."""
        now, steady = self._clock.now(), self._steady()
        last, self._last = self._last, (now, steady)
        if last is None:
            return 0
        jump = now - last[0] - timedelta(seconds=steady - last[1])
        if abs(jump) <= self._limit:
            return 0
        seconds = round(jump.total_seconds())
        self._audit.note(actor="system:clock", act=Act.CLOCK_JUMPED, detail={"seconds": seconds})
        return seconds

    def _digest(self, name: str, value: object) -> str:
        """Keyed: a short value could be guessed from a plain digest."""
        return self._keyring.mac(INDEX_KEY, canonical_json({"configuration": name, "value": value})).hex()
