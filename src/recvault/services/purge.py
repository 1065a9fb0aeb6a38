"""The purge journey: what is due is destroyed, seen to be gone, and certified.

Keeps rule 3 (holds decide last: guard rows, then rows, then holds again, in the transaction that destroys), rule 4 (ledger
before shred), rule 5 (every step can be repeated; a crash between any two ends in the same place), rule 6 (absence is read),
rule 7 (the end is computed again from the facts; a row that differs stops and waits for a person).

Protocol steps, labelled in :meth:`Purge._begin` and :meth:`Purge._finish`:

 1. claim due rows, the longest overdue first; 2. ledger intent, one signed entry; 3. one transaction (``shredding``): guards,
 rows, holds, ends, shred, and in the ledger what of the intent was kept; 4. abort uploads, delete all versions; 5. list and
 find nothing; 6. one transaction: one certificate for all, tombstones, rows gone, and 7. before it commits, the ledger
 outcome. Rows found ``destroying`` (a crash after 3) go straight to 4. What could not be finished keeps its claim until the
 lease ends, so that a store that refuses some items does not hold up the others. Leases are renewed while the store works;
 whoever lost one all the same touches nothing any more: 3 and 6 begin with the claims, locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recvault.domain.audit import Act
from recvault.domain.communication import State
from recvault.domain.destruction import BatchCertificate, Destruction, DueItem, Stage
from recvault.domain.errors import Conflict, NotFound, RecvaultError, StoreUnavailable
from recvault.domain.ids import uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.merkle import tree_root
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog
from recvault.services.brakes import Brakes
from recvault.services.certificates import Certificates
from recvault.services.following import done_body
from recvault.services.key_ends import KeyEnds
from recvault.services.ledger import Ledger
from recvault.services.period_keys import PeriodKeys
from recvault.services.remains import Remains
from recvault.services.retention import Retention
from recvault.services.shredding import ACTOR, Shredded, Shredder

FIRST = 250
"""Rows in a run's first batch, at most: while they are shredded the store waits, and from then on it has work."""


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


@dataclass(kw_only=True, slots=True)
class _Underway:
    """A batch that is shredded and whose objects are being deleted. ``leased_at``: when its claims were taken or renewed;
    ``full``: more may be due."""

    items: Sequence[DueItem]
    tombstones: Mapping[str, Destruction]
    erased: Future[set[str]]
    leased_at: datetime
    full: bool


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
        self._shredder = Shredder(
            retention=retention, ledger=ledger, certificates=certificates, audit=audit, clock=clock
        )
        self._ledger = ledger
        self._certificates = certificates
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._brakes = brakes
        self._limits = limits

    def forecast(self, limit: int = 1000) -> PurgeReport:
        """What a run now would find due; changes nothing."""
        report = PurgeReport(stopped_because=self.obstacle(self._clock.now()))
        with self._database.read() as unit:
            report.due = unit.communications.count_due(self._clock.now())
        return report

    def run(self, worker: str) -> PurgeReport:
        """Batches until nothing is due, then day keys whose time is over, then certificates *complete*."""
        report = self.forecast()
        if report.stopped_because is None:
            self._destroy(worker, report)
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
        report.stopped_because = self.obstacle(self._clock.now())
        if report.stopped_because is None:
            report.keys_destroyed += self._key_ends.close_due()
            self._complete(report)

    def _destroy(self, worker: str, report: PurgeReport) -> None:
        """Batch after batch. While the store deletes one batch's objects, the next is being shredded: they share no item,
        and each is certified only after its own look."""
        before: _Underway | None = None
        more, limit = True, min(FIRST, self._limits.batch)
        with ThreadPoolExecutor(1, thread_name_prefix="purge-store") as aside:
            while more or before is not None:
                try:
                    work = self._begin(worker, report, aside, limit) if more else None
                except RecvaultError:
                    if before is not None:
                        self._finish(before, worker, report)
                    raise
                if before is not None:
                    self._finish(before, worker, report, also=work)
                before, more, limit = work, work is not None and work.full, self._limits.batch

    def _begin(self, worker: str, report: PurgeReport, aside: ThreadPoolExecutor, limit: int) -> _Underway | None:
        """Steps 1 to 3, and 4 and 5 on the way; None when nothing was due any more, or when destruction is off now. What is
        due is judged by the one reading of the clock that was compared with the others: a clock that jumps during a night
        destroys nothing."""
        now = self._clock.now()
        report.stopped_because = self.obstacle(now)
        if report.stopped_because is not None:
            return None
        lease_until = now + self._limits.lease
        with self._database.begin() as unit:  # 1
            claimed = unit.communications.claim_due(now=now, limit=limit, worker=worker, lease_until=lease_until)
            unit.commit()
        if not claimed:
            return None
        fresh = [item for item in claimed if item.state == State.STORED]
        resumed = [item for item in claimed if item.state == State.DESTROYING]
        done = self._shred(fresh, worker, report, now) if fresh else Shredded()  # 2, 3
        if resumed:
            with self._database.read() as unit:
                done.objects += unit.communications.objects_of([item.communication_id for item in resumed])
        items = [*resumed, *done.gone]
        erased = aside.submit(self._remains.erase, [item.communication_id for item in items], done.objects)  # 4, 5
        return _Underway(
            items=items,
            tombstones={item.communication_id: item for item in done.tombstones},
            erased=erased,
            leased_at=now,
            full=len(claimed) == limit,
        )

    def _shred(self, items: Sequence[DueItem], worker: str, report: PurgeReport, agreed: datetime) -> Shredded:
        batch = uuid7(agreed, self._entropy.bytes(10))
        ids = [item.communication_id for item in items]
        self._ledger.write(LedgerKind.INTENT, {"batch": batch, "items": ids})  # 2
        started_at = min(agreed, self._clock.now())  # a clock that went ahead since then counts for nothing
        with self._database.begin() as unit:  # 3
            done = self._shredder.shred(unit, items, batch=batch, worker=worker, started_at=started_at)
            unit.commit()
        report.kept += done.kept
        report.stopped += done.stopped
        return done

    # --- 4 to 7: objects, absence, certificate, outcome

    def _finish(self, work: _Underway, worker: str, report: PurgeReport, also: _Underway | None = None) -> None:
        present = self._awaited(work, worker, also)
        report.unfinished += sorted(present)
        absent_at = self._clock.now()
        gone = [item for item in work.items if item.communication_id not in present]
        if not gone:
            return
        with self._database.begin() as unit:  # 6
            mine = unit.communications.still_claimed(gone, worker)  # what another took over meanwhile is his to certify
            done = [item.communication_id for item in mine]
            if mine:
                certified = self._certify(unit, mine, work.tombstones, worker, absent_at)
                self._ledger.append(unit, LedgerKind.DONE, done_body(certified))  # 7
            unit.commit()
        report.destroyed += done

    def _awaited(self, work: _Underway, worker: str, also: _Underway | None) -> set[str]:
        """Those of which something is still there, once the store is done; the leases last as long as that takes. Of a store
        that does not answer: all, their rows stay ``destroying``, unreadable, and are taken up again at a later tick."""
        renewal = self._limits.lease / 3
        while not wait([work.erased], timeout=renewal.total_seconds()).done:
            self._renew(work, worker)
        for other in (work, also):
            if other is not None and self._clock.now() - other.leased_at > renewal:
                self._renew(other, worker)
        try:
            return work.erased.result()
        except StoreUnavailable:
            return {item.communication_id for item in work.items}

    def _renew(self, work: _Underway, worker: str) -> None:
        now = self._clock.now()
        with self._database.begin() as unit:
            unit.communications.renew_claims(work.items, worker, now + self._limits.lease)
            unit.commit()
        work.leased_at = now

    def absent(self, communication_id: str) -> bool:
        """Whether listing all versions and open uploads of the item finds nothing (rule 6)."""
        return not self._remains.present([communication_id])

    def _certify(
        self,
        unit: UnitOfWork,
        items: Sequence[DueItem],
        known: Mapping[str, Destruction],
        worker: str,
        absent_at: datetime,
    ) -> list[Destruction]:
        """Returns the tombstones. ``known`` are those that this process wrote itself; others are read."""
        ids = [item.communication_id for item in items]
        tombstones = {name: known[name] for name in ids if name in known}
        tombstones |= unit.destructions.find([name for name in ids if name not in known])
        if len(tombstones) != len(items):
            raise NotFound("an item that was shredded has no tombstone; run 'recvault doctor'")
        shredded = [tombstones[name] for name in sorted(tombstones) if tombstones[name].stage is Stage.SHREDDED]
        if shredded:
            self._issue_inaccessible(unit, shredded, absent_at)
        unit.communications.remove(items, worker=worker)
        return [tombstones[name] for name in ids]

    def _issue_inaccessible(self, unit: UnitOfWork, items: Sequence[Destruction], absent_at: datetime) -> None:
        # A clock that was set back meanwhile must not date the look before the shredding.
        looked_at = max([absent_at, *(item.shredded_at for item in items)])
        self._issue(unit, self._certificates.inaccessible(unit, items, absent_at=looked_at), items, at=absent_at)

    def _issue(
        self, unit: UnitOfWork, certificate: BatchCertificate, items: Sequence[Destruction], *, at: datetime
    ) -> None:
        unit.destructions.certify(certificate, [item.communication_id for item in items], at=at)
        act = Act.COMPLETE if certificate.stage is Stage.COMPLETE else Act.INACCESSIBLE
        detail = {"count": len(items), "root": tree_root(certificate.leaves).hex()}
        self._audit.record(unit, actor=ACTOR, act=act, target=certificate.id, detail=detail)

    def certify_left(self, items: Sequence[Destruction]) -> list[str]:
        """Certifies shredded items whose row is gone (reconciliation found them): steps 4 to 7 from the tombstone alone."""
        if not items or self.obstacle(self._clock.now()) is not None:
            return []
        ids = [item.communication_id for item in items]
        self._remains.delete(ids)
        present = self._remains.present(ids)
        absent_at = self._clock.now()
        with self._database.begin() as unit:
            found = unit.destructions.find(set(ids) - present)
            gone = [found[name] for name in sorted(found) if found[name].stage is Stage.SHREDDED]
            if gone:
                self._issue_inaccessible(unit, gone, absent_at)
                self._ledger.append(unit, LedgerKind.DONE, done_body(gone))
                unit.commit()
        return [item.communication_id for item in gone]

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
            self._issue(unit, self._certificates.complete(unit, items, keys=keys, now=now), items, at=now)
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

    def obstacle(self, now: datetime) -> str | None:
        """Why nothing may be destroyed now: no signed policy, clocks that disagree, a brake that a person put on."""
        with self._database.read() as unit:
            policy = unit.policies.active()
            altered = [] if policy is None else self._retention.not_as_signed(unit, [policy.version])
        if policy is None or policy.signed_by is None:
            return "the retention policy is not signed; a named person signs it with 'recvault policy sign'"
        if altered:
            return (
                "the retention policy is not the one that was signed: the ledger has another digest of its version, or none; "
                "read it with 'recvault policy show', then sign it with 'recvault policy sign'"
            )
        skew = max(abs(now - self._database.now()), abs(now - self._store.now()))
        if skew > self._limits.clock_skew:
            return "the clocks of worker, database and object store differ by more than the limit; set them right"
        return self._brakes.obstacle(now)
