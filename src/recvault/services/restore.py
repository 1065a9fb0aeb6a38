"""The way back of a database that was put back or lags: replayed by a person, and then told what that did.

Keeps rule 4: replay destroys only what the ledger says was destroyed (its rows are shredded again, whatever holds came
later: they were gone); what was only intended becomes unreadable and goes through the normal purge, or is readable
again once a hold of ledger and database together covers it. Keeps rule 1 after a restore: what the restored rows do not
name may have been acknowledged since the backup, so it is listed and not swept until two people switch that on.

Left to others: what one entry does (``services.following``), looking for what was shredded and certifying it (the purge,
which takes up every row that is shredded).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recvault.domain.approvals import Proposal
from recvault.domain.audit import Act
from recvault.domain.communication import Awaiting
from recvault.domain.destruction import Destruction, Trigger
from recvault.domain.errors import DatabaseBehind, StoreUnavailable
from recvault.domain.ids import uuid7
from recvault.domain.incarnation import INCARNATION, RESTORED, Witness
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog
from recvault.services.certificates import Certificates
from recvault.services.checkpoints import Checkpoints
from recvault.services.following import Followed, tombstones_in
from recvault.services.ledger import Ledger
from recvault.services.nameless import by_id, nameless
from recvault.services.remains import Remains
from recvault.services.tombstones import Tombstones

ACTOR = "system:replay"
BATCH = 500
"""Rows settled or destroyed again in one transaction."""

LEASE = timedelta(seconds=60)
"""For how long a row is claimed while it is shredded again; the claim is given back in the same transaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """Objects under one id that no row and no tombstone names: of an upload that was never confirmed, or of one whose row
    a restore has lost. ``length`` in bytes of ciphertext; ``began_at`` is when the upload began."""

    id: str
    began_at: datetime
    objects: int
    length: int


@dataclass(kw_only=True, slots=True)
class ReplayReport:
    """What a replay did. ``waiting``: unreadable, intended by the ledger, not due by the facts of this database;
    ``remembered``: tombstones made again from the ledger; ``beyond_reach``: never destroyed, but no key opens the restored
    row any more (its source may send it again); ``sweeping``: whether the sweeper may work;
    ``log_continued_as``: the how-manieth audit log this is from here on, None when it goes on as it was."""

    healed: int = 0
    followed: Followed = field(default_factory=Followed)
    destroyed_again: list[str] = field(default_factory=list)
    remembered: list[Destruction] = field(default_factory=list)
    beyond_reach: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    intended: int = 0
    waiting: list[str] = field(default_factory=list)
    sweeping: bool = True
    log_continued_as: int | None = None


class Restore:
    """Judges at start, replays on demand, settles what a replay left open."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        keyring: Keyring,
        ledger: Ledger,
        checkpoints: Checkpoints,
        certificates: Certificates,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._store = store
        self._remains = Remains(store=store)
        self._keyring = keyring
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._tombstones = Tombstones(certificates=certificates, audit=audit)
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    # --- at start, and while running

    def stand(self) -> None:
        """At start: DatabaseBehind for a database that needs a replay; what a crash left is followed."""
        self._ledger.heal()
        self._follow(self._ledger.require_servable())
        self._finish()

    def keep_up(self) -> None:
        """While running: the same for what another process left, and for a new incarnation that lost nothing of the ledger."""
        witness = self._ledger.require_servable()
        if witness.noted is None or witness.is_another or self._ledger.behind():
            self._follow(witness)
        self._finish()

    def _follow(self, witness: Witness) -> None:
        with self._database.begin() as unit:
            self._remember(unit, self._ledger.follow_all(unit))
            self._note(unit, witness, replayed=False)
            unit.commit()

    def _finish(self) -> None:
        """What following leaves to do: it marks, and holds the ledger's head, so it does nothing long."""
        self._destroy_again()
        self.settle()

    def _note(self, unit: UnitOfWork, witness: Witness, *, replayed: bool) -> None:
        """Which incarnation serves from here on. Of another one, or after a replay, nothing is swept."""
        noted = witness.noted
        if noted is not None and not witness.is_another and not replayed:
            return
        sweeping = witness.identity if noted is None and not replayed else None
        unit.settings.put(INCARNATION, {"serving": witness.identity, "sweeping": sweeping})
        if witness.put_back:
            put_back = dict(unit.settings.get(RESTORED) or {})
            unit.settings.put(RESTORED, put_back | {"replayed_at": self._clock.now().isoformat()})
        if sweeping is None:
            self._audit.record(unit, actor=ACTOR, act=Act.INCARNATION_CHANGED, detail={"replayed": replayed})

    # --- the replay

    def replay(self) -> ReplayReport:
        """Follows the ledger to its end, destroys again what came back, and tells what it did. Repeating it is harmless."""
        report = ReplayReport(healed=self._ledger.heal())
        with self._database.unjudged():
            put_back, witness = self._put_back()
            with self._database.begin() as unit:
                report.followed = self._ledger.follow_all(unit)
                self._note(unit, witness, replayed=put_back)
                report.remembered = self._remember(unit, report.followed)
                another = self._checkpoints.continue_restored(unit)
                unit.commit()
            self._checkpoints.continued(another)
            report.log_continued_as = None if another is None else another.epoch
            report.destroyed_again = self._destroy_again()
            report.dropped = self.settle()
            with self._database.read() as unit:
                report.intended = len(unit.restoration.marked(Awaiting.INTENDED, BATCH))
                report.waiting = unit.restoration.marked(Awaiting.UNSETTLED, BATCH)
            report.beyond_reach = list(self._beyond_reach())
            report.sweeping = self._database.witness().may_be_swept
        return report

    def _put_back(self) -> tuple[bool, Witness]:
        """Whether more is missing than a crash can leave."""
        outlook, witness = self._ledger.outlook(), self._database.witness()
        try:
            self._ledger.judge(witness, outlook)
        except DatabaseBehind:
            return True, witness
        return witness.is_another, witness

    def _remember(self, unit: UnitOfWork, followed: Followed) -> list[Destruction]:
        """Tombstones that were lost, made again of what the ledger says; the purge certifies them once it has looked."""
        entries = {entry.sequence: entry for entry in followed.forgotten.values()}
        made: dict[str, Destruction] = {}
        for entry in entries.values():
            made |= {item.communication_id: item for item in tombstones_in(entry, followed.forgotten)}
        unit.destructions.add(*made.values())
        return list(made.values())

    def _destroy_again(self) -> list[str]:
        destroyed: list[str] = []
        while ids := self._marked(Awaiting.DESTROYED):
            with self._database.begin() as unit:
                shredded = self._shred(unit, ids)
                unit.commit()
            destroyed += shredded
            with suppress(StoreUnavailable):  # the purge deletes again, looks, and certifies
                self._remains.delete(shredded)
        return destroyed

    def _shred(self, unit: UnitOfWork, ids: list[str]) -> list[str]:
        """As the purge does (guards, rows, tombstones, keys), but without asking holds: by the ledger it was gone."""
        customers, points = unit.communications.guards(ids)
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        now = self._clock.now()
        rows = {row.id: row for row in unit.communications.lock(ids)}
        items = unit.restoration.claim(list(rows), worker=ACTOR, lease_until=now + LEASE)
        shredded = [item.communication_id for item in items]
        self._tombstones.write(
            unit,
            [rows[name] for name in shredded],
            actor=ACTOR,
            batch=uuid7(now, self._entropy.bytes(10)),
            trigger=lambda _row: Trigger.REPLAY,
            started_at=now,
            shredded_at=now,
        )
        unit.communications.shred(items, worker=ACTOR)
        unit.register.drop_unused_points({row.contact_point_id for row in rows.values() if row.contact_point_id})
        unit.communications.release_claims(shredded, ACTOR)
        return shredded

    def _beyond_reach(self) -> Iterator[str]:
        """Rows under keys that died since this database was copied."""
        for kind in ("day/", "frozen/"):
            for key in self._keyring.list(kind):
                if key.destroyed_at is not None:
                    with self._database.read() as unit:
                        yield from unit.communications.ids_under_key(key.id, BATCH)

    # --- intents without an outcome

    def settle(self) -> list[str]:
        """Closes intents that came to nothing: what a hold covers, or what an event has since moved beyond today, is readable
        again, and the ledger says so. Returns the ids."""
        dropped: list[str] = []
        for why in (Awaiting.INTENDED, Awaiting.UNSETTLED):
            after = ""
            while ids := self._marked(why, after):
                after = ids[-1]
                dropped += self._settle(ids)
        return dropped

    def _settle(self, ids: list[str]) -> list[str]:
        now = self._clock.now()
        with self._database.begin() as unit:
            customers, points = unit.communications.guards(ids)
            unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
            rows = unit.communications.lock(ids)
            held = unit.holds.covering(ids)
            dropped = [
                row.id
                for row in rows
                if row.id in held or (row.awaiting_purge == Awaiting.INTENDED and row.destroy_at > now)
            ]
            dropped = unit.restoration.unmark(dropped)
            if dropped:
                self._ledger.append(unit, LedgerKind.KEPT, {"items": dropped})
                unit.commit()
        return dropped

    def _marked(self, why: Awaiting, after: str = "") -> list[str]:
        with self._database.read() as unit:
            return unit.restoration.marked(why, BATCH, after=after)

    # --- objects without rows

    def orphans(self) -> Iterator[Orphan]:
        """What lies in the store and is named by nothing, in the order in which the uploads began."""
        for found in nameless(self._database, by_id(self._store.list_versions("")), destroyed_too=True):
            objects = [version for version in found.versions if not version.is_delete_marker]
            if objects:
                length = sum(version.length for version in objects)
                yield Orphan(id=found.id, began_at=found.began_at, objects=len(objects), length=length)

    def sweep_again(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """Two people have decided that what has no row may be swept again (handler of SWEEP_AFTER_RESTORE)."""
        noted = unit.settings.get(INCARNATION) or {}
        unit.settings.put(INCARNATION, {"serving": noted.get("serving"), "sweeping": noted.get("serving")})
        self._audit.record(unit, actor=proposal.proposed_by, act=Act.SWEEP_RESUMED, detail={"proposal": proposal.id})
