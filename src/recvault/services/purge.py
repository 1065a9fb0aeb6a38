"""The purge journey: what is due is destroyed, seen to be gone, and certified.

Keeps rule 3 (holds decide last: guard rows, then rows, then holds again, in the transaction that destroys), rule 4 (ledger
before shred), rule 5 (every step can be repeated; a crash between any two ends in the same place), rule 6 (absence is read),
rule 7 (the end is computed again from the facts; a row that differs stops and waits for a person).

Protocol steps, labelled in :meth:`Purge.run_batch`:

 1. claim due rows in id order; 2. ledger intent, one signed entry; 3. one transaction: guards, rows, holds, ends, shred;
 4. abort uploads, delete all versions; 5. list and find nothing; 6. one transaction: certificate, tombstone, row gone, and
 7. before it commits, the ledger outcome. Rows found ``destroying`` (a crash after 3) go straight to 4. What could not be
 finished keeps its claim until the lease ends, so that a store that refuses some items does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recvault.domain.audit import Act
from recvault.domain.communication import Communication, State
from recvault.domain.destruction import BatchCertificate, Destruction, DueItem, Stage, Trigger
from recvault.domain.errors import Conflict, NotFound, StoreUnavailable
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.merkle import tree_root
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog
from recvault.services.brakes import Brakes
from recvault.services.certificates import Certificates
from recvault.services.key_ends import KeyEnds
from recvault.services.ledger import Ledger
from recvault.services.period_keys import PeriodKeys
from recvault.services.remains import Remains
from recvault.services.retention import Retention

ACTOR = "system:purge"


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgeLimits:
    """``batch`` rows a claim; ``lease`` until another worker may take over; ``clock_skew`` between worker, database and
    store beyond which nothing is destroyed; ``recheck_for``: how long certified ids are looked for again."""

    batch: int = 1000
    lease: timedelta = timedelta(seconds=300)
    clock_skew: timedelta = timedelta(minutes=2)
    recheck_for: timedelta = timedelta(days=30)
    recheck_every: timedelta = timedelta(hours=20)


@dataclass(kw_only=True, slots=True)
class PurgeReport:
    """What a run did. ``stopped_because`` is set when destruction is off; ids are random and may be logged."""

    due: int = 0
    destroyed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    keys_destroyed: list[str] = field(default_factory=list)
    stopped_because: str | None = None


class Purge:
    """Destroys what is due. Any number of workers may run it at once."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        period_keys: PeriodKeys,
        key_ends: KeyEnds,
        retention: Retention,
        ledger: Ledger,
        certificates: Certificates,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        brakes: Brakes,
        limits: PurgeLimits,
    ) -> None:
        self._database = database
        self._store = store
        self._remains = Remains(store=store)
        self._period_keys = period_keys
        self._key_ends = key_ends
        self._retention = retention
        self._ledger = ledger
        self._certificates = certificates
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._brakes = brakes
        self._limits = limits

    def forecast(self, limit: int = 1000) -> PurgeReport:
        """What a run now would find due; changes nothing."""
        report = PurgeReport(stopped_because=self._obstacle(self._clock.now()))
        with self._database.read() as unit:
            report.due = unit.communications.count_due(self._clock.now())
        return report

    def run(self, worker: str) -> PurgeReport:
        """Batches until nothing is due, then day keys whose time is over, then certificates *complete*."""
        report = self.forecast()
        while report.stopped_because is None and self.run_batch(worker, report):
            pass
        if report.stopped_because is None:
            self._settle(report)
        if report.stopped_because is not None:
            self._audit.note(actor=ACTOR, act=Act.RUN_STOPPED, detail={"reason": report.stopped_because})
        return report

    def settle(self) -> PurgeReport:
        """Between nights: day keys whose time is over, then certificates *complete*; under the same conditions."""
        report = PurgeReport()
        self._settle(report)
        return report

    def _settle(self, report: PurgeReport) -> None:
        report.stopped_because = self._obstacle(self._clock.now())
        if report.stopped_because is None:
            report.keys_destroyed += self._key_ends.close_due()
            self._complete(report)

    def run_batch(self, worker: str, report: PurgeReport) -> bool:
        """One batch; False when nothing was due any more, or when destruction is off now. What is due is judged by the
        one reading of the clock that was compared with the others: a clock that jumps during a night destroys nothing."""
        now = self._clock.now()
        report.stopped_because = self._obstacle(now)
        if report.stopped_because is not None:
            return False
        with self._database.begin() as unit:  # 1
            claimed = unit.communications.claim_due(
                now=now, limit=self._limits.batch, worker=worker, lease_until=now + self._limits.lease
            )
            unit.commit()
        if not claimed:
            return False
        fresh = [item for item in claimed if item.state == State.STORED]
        resumed = [item for item in claimed if item.state == State.DESTROYING]
        if fresh:
            batch = uuid7(now, self._entropy.bytes(10))
            ids = [item.communication_id for item in fresh]
            self._ledger.write(LedgerKind.INTENT, {"batch": batch, "items": ids})  # 2
            resumed += self._shred(fresh, batch, worker, report, now)  # 3
        self._finish(resumed, worker, report)  # 4 to 7
        return len(claimed) == self._limits.batch

    # --- 3: the transaction that destroys

    def _shred(
        self, items: Sequence[DueItem], batch: str, worker: str, report: PurgeReport, agreed: datetime
    ) -> list[DueItem]:
        started_at = min(agreed, self._clock.now())  # a clock that went ahead since then counts for nothing
        fences = {item.communication_id: item for item in items}
        ending: list[Communication] = []
        with self._database.begin() as unit:
            rows = self._lock(unit, list(fences))
            self._ledger.follow(unit)  # holds of ledger and database together
            held = unit.holds.covering([row.id for row in rows])
            back: list[str] = []
            for row in rows:
                if row.state is not State.STORED:
                    continue  # another worker took the claim over and shredded it; the rest is its to do
                if row.id in held or row.destroy_at > started_at:
                    report.kept.append(row.id)
                    back.append(row.id)
                elif self._retention.with_ends(row, unit).destroy_at != row.destroy_at:
                    self._stop(unit, row, report)
                    back.append(row.id)
                else:
                    ending.append(row)
            self._write_down(unit, ending, batch, started_at)
            shredded = [fences[row.id] for row in ending]
            unit.communications.shred(shredded, worker=worker)
            unit.register.drop_unused_points({row.contact_point_id for row in ending if row.contact_point_id})
            unit.communications.release_claims(back, worker)
            unit.commit()
        return shredded

    def _lock(self, unit: UnitOfWork, ids: list[str]) -> list[Communication]:
        customers, points = unit.communications.guards(ids)
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        return unit.communications.lock(ids)

    def _stop(self, unit: UnitOfWork, row: Communication, report: PurgeReport) -> None:
        unit.communications.stop(row.id, "end-differs-from-policy")
        self._audit.record(
            unit, actor=ACTOR, act=Act.STOPPED, target=row.id, detail={"reason": "end-differs-from-policy"}
        )
        report.stopped.append(row.id)

    def _write_down(self, unit: UnitOfWork, rows: Sequence[Communication], batch: str, started_at: datetime) -> None:
        """What stays of the rows: tombstones with their evidence, and audit entries; grants to play them end."""
        ids = [row.id for row in rows]
        signers = {version: unit.policies.get(version).signed_by for version in {row.policy_version for row in rows}}
        keys = unit.communications.wrapped_by(ids)
        unit.destructions.add(
            *(
                Destruction(
                    communication_id=row.id,
                    source_id=row.source_id,
                    source_ref_hash=row.source_ref_hash,
                    batch=batch,
                    trigger=Trigger.RETENTION if row.do_not_keep_at is None else Trigger.DO_NOT_KEEP,
                    stage=Stage.SHREDDED,
                    facts=self._certificates.evidence(
                        row, policy_signed_by=signers[row.policy_version] or "nobody", started_at=started_at
                    ),
                    key_ids=keys.get(row.id, ()),
                    shredded_at=self._clock.now(),
                )
                for row in rows
            )
        )
        unit.accounts.drop_playback(expired_before=started_at, communication_ids=ids)
        self._audit.record_each(unit, actor=ACTOR, act=Act.SHREDDED, targets=ids, detail={"batch": batch})

    # --- 4 to 7: objects, absence, certificate, outcome

    def _finish(self, items: Sequence[DueItem], worker: str, report: PurgeReport) -> None:
        if not items:
            return
        gone: list[DueItem] = []
        try:
            ids = [item.communication_id for item in items]
            self._remains.delete(ids)  # 4
            present = self._remains.present(ids)  # 5
            gone = [item for item in items if item.communication_id not in present]
        except StoreUnavailable:
            pass  # the rows stay ``destroying``: unreadable, and taken up again at the next tick
        missing = {item.communication_id for item in items} - {item.communication_id for item in gone}
        report.unfinished += sorted(missing)
        absent_at = self._clock.now()
        if not gone:
            return
        done = [item.communication_id for item in gone]
        with self._database.begin() as unit:  # 6
            self._certify(unit, gone, worker, absent_at)
            self._ledger.append(unit, LedgerKind.DONE, {"items": done})  # 7
            unit.commit()
        report.destroyed += done

    def absent(self, communication_id: str) -> bool:
        """Whether listing all versions and open uploads of the item finds nothing (rule 6)."""
        return not self._remains.present([communication_id])

    def _certify(self, unit: UnitOfWork, items: Sequence[DueItem], worker: str, absent_at: datetime) -> None:
        tombstones = unit.destructions.find([item.communication_id for item in items])
        if len(tombstones) != len(items):
            raise NotFound("an item that was shredded has no tombstone; run 'recvault doctor'")
        shredded = [tombstones[name] for name in sorted(tombstones) if tombstones[name].stage is Stage.SHREDDED]
        if shredded:
            # A clock that was set back meanwhile must not date the look before the shredding.
            looked_at = max([absent_at, *(item.shredded_at for item in shredded)])
            self._issue(unit, self._certificates.inaccessible(shredded, absent_at=looked_at), shredded, at=absent_at)
        unit.communications.remove(items, worker=worker)

    def _issue(
        self, unit: UnitOfWork, certificate: BatchCertificate, items: Sequence[Destruction], *, at: datetime
    ) -> None:
        unit.destructions.certify(certificate, [item.communication_id for item in items], at=at)
        act = Act.COMPLETE if certificate.stage is Stage.COMPLETE else Act.INACCESSIBLE
        detail = {"count": len(items), "root": tree_root(certificate.leaves).hex()}
        self._audit.record(unit, actor=ACTOR, act=act, target=certificate.id, detail=detail)

    # --- afterwards

    def _complete(self, report: PurgeReport) -> None:
        """Issues *complete* for every destruction none of whose keys is left, by the word of the keyring: a database that
        calls a living key destroyed gets no signature, the item is reported as stopped."""
        more = True
        while more:
            done: list[str] = []
            try:
                with self._database.begin() as unit:
                    ready = unit.destructions.completable(self._limits.batch)
                    done = self._complete_batch(unit, ready)
                    unit.commit()
            except Conflict:
                return  # another worker issues them just now
            report.completed += done
            refused = {item.communication_id for item in ready} - set(done) - set(report.stopped)
            report.stopped += sorted(refused)
            more = len(ready) == self._limits.batch and bool(done)

    def _complete_batch(self, unit: UnitOfWork, ready: Sequence[Destruction]) -> list[str]:
        gone = self._period_keys.gone_since({key_id for item in ready for key_id in item.key_ids})
        items = [item for item in ready if gone.keys() >= set(item.key_ids)]
        if items:
            keys = {key_id: gone[key_id] for item in items for key_id in item.key_ids}
            now = self._clock.now()
            self._issue(unit, self._certificates.complete(items, keys=keys, now=now), items, at=now)
        return [item.communication_id for item in items]

    def recheck(self) -> list[str]:
        """Looks again for what was certified in the last 30 days; returns ids that came back and were deleted again."""
        now = self._clock.now()
        returned: list[str] = []
        more = True
        while more:
            with self._database.read() as unit:
                items = unit.destructions.to_recheck(
                    since=now - self._limits.recheck_for,
                    before=now - self._limits.recheck_every,
                    limit=self._limits.batch,
                )
            absent = [item.communication_id for item in items if self._is_or_becomes_absent(item, returned)]
            with self._database.begin() as unit:
                unit.destructions.note_rechecked(absent, now)
                unit.commit()
            more = len(items) == self._limits.batch and bool(absent)
        return returned

    def _is_or_becomes_absent(self, item: Destruction, returned: list[str]) -> bool:
        if self.absent(item.communication_id):
            return True
        if item.communication_id not in returned:
            returned.append(item.communication_id)
            self._audit.note(
                actor=ACTOR, act=Act.STOPPED, target=item.communication_id, detail={"reason": "object-came-back"}
            )
        self._remains.delete([item.communication_id])
        return self.absent(item.communication_id)

    def _obstacle(self, now: datetime) -> str | None:
        """Why nothing may be destroyed now: no signed policy, clocks that disagree, a brake that a person put on."""
        with self._database.read() as unit:
            policy = unit.policies.active()
        if policy is None or policy.signed_by is None:
            return "the retention policy is not signed; a named person signs it with 'recvault policy sign'"
        skew = max(abs(now - self._database.now()), abs(now - self._store.now()))
        if skew > self._limits.clock_skew:
            return "the clocks of worker, database and object store differ by more than the limit; set them right"
        return self._brakes.obstacle(now)
