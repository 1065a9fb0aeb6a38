"""Step 3 of the purge: the one transaction that destroys.

Keeps rule 3 (guard rows, then rows, then holds again, all locked until the commit), rule 7 (the end is computed again from
the facts; a row that differs stops and waits for a person), and that nothing goes without its tombstone, its evidence and
its audit entry in the same commit. Whatever points to a person goes in this transaction too: the row's own columns and what
belongs to it, the contact point that nothing else needs, grants to play. The batch's intent stands in the ledger before;
which of its items were kept is written there before the commit that gives them back. Objects are left to the purge.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from recvault.domain.communication import Communication, State, StreamRecord
from recvault.domain.destruction import Destruction, DueItem, Trigger
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.objects import ObjectVersion
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.certificates import Certificates
from recvault.services.fact_digests import ALTERED
from recvault.services.ledger import Ledger
from recvault.services.retention import EDITED, Retention
from recvault.services.tombstones import Tombstones

ACTOR = "system:purge"
POLICY_ALTERED = "policy-not-as-signed"


@dataclass(kw_only=True, slots=True)
class Shredded:
    """What became of a batch's items: ``gone`` have lost their keys, with their tombstones and the objects that their rows
    named; ``kept`` and ``stopped`` are given back. What another worker took over meanwhile is in none of them."""

    gone: list[DueItem] = field(default_factory=list)
    tombstones: list[Destruction] = field(default_factory=list)
    objects: list[ObjectVersion] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


class Shredder:
    """Destroys claimed items inside the caller's transaction."""

    def __init__(
        self, *, retention: Retention, ledger: Ledger, certificates: Certificates, audit: AuditLog, clock: Clock
    ) -> None:
        self._retention = retention
        self._ledger = ledger
        self._tombstones = Tombstones(certificates=certificates, audit=audit)
        self._audit = audit
        self._clock = clock

    def shred(
        self, unit: UnitOfWork, items: Collection[DueItem], *, batch: str, worker: str, started_at: datetime
    ) -> Shredded:
        """Destroys those that were due when the batch began. The caller commits."""
        done = Shredded()
        rows = self._lock(unit, items, worker)
        fences = {item.communication_id: item for item in items}
        ending: list[Communication] = []
        held = unit.holds.covering([row.id for row in rows])
        unsigned = self._retention.not_as_signed(unit, {row.policy_version for row in rows})
        altered = self._retention.altered(unit, rows)
        for row, expected in zip(rows, self._retention.ends(unit, rows), strict=True):
            if row.id in held or row.destroy_at > started_at:
                done.kept.append(row.id)
                continue
            if row.policy_version in unsigned:
                reason = POLICY_ALTERED
            elif expected != row.destroy_at:
                reason = EDITED
            elif row.id in altered:
                reason = ALTERED
            else:
                ending.append(row)
                continue
            self._retention.stop(unit, row, reason, by=ACTOR)
            done.stopped.append(row.id)
        early = self._retention.ended_early(unit, ending)
        done.tombstones = self._tombstones.write(
            unit,
            ending,
            actor=ACTOR,
            batch=batch,
            trigger=lambda row: _trigger(row, early),
            started_at=started_at,
            shredded_at=self._clock.now(),
        )
        done.gone = [fences[row.id] for row in ending]
        done.objects = [_version(row, stream) for row in ending for stream in row.streams]
        unit.communications.shred(done.gone, worker=worker)
        unit.register.drop_unused_points({row.contact_point_id for row in ending if row.contact_point_id})
        unit.communications.release_claims([*done.kept, *done.stopped], worker)
        if done.kept or done.stopped:
            dropped = sorted([*done.kept, *done.stopped])
            unit.restoration.unmark(dropped)
            self._ledger.append(unit, LedgerKind.KEPT, {"batch": batch, "items": dropped})
        return done

    def _lock(self, unit: UnitOfWork, items: Collection[DueItem], worker: str) -> list[Communication]:
        """Guards, rows, then what the ledger knows of holds; only rows that are stored and still this worker's: another may
        have taken the claim over, and shredded what was left to it."""
        ids = [item.communication_id for item in items]
        customers, points = unit.communications.guards(ids)
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        rows = unit.communications.lock(ids)
        mine = {item.communication_id for item in unit.communications.still_claimed(items, worker)}
        self._ledger.follow(unit)  # holds of ledger and database together
        return [row for row in rows if row.state is State.STORED and row.id in mine]


def _trigger(row: Communication, early: Collection[str]) -> Trigger:
    if row.do_not_keep_at is not None:
        return Trigger.DO_NOT_KEEP
    return Trigger.PURPOSE_ENDED if row.id in early else Trigger.RETENTION


def _version(row: Communication, stream: StreamRecord) -> ObjectVersion:
    """The object of one of a row's streams, as far as the row knows it."""
    return ObjectVersion(
        name=stream.object_name,
        version_id=stream.version_id,
        is_delete_marker=False,
        length=stream.ciphertext_length,
        modified=row.stored_at,
    )
