"""Reconciliation: rows, objects, keys and certificates are compared, and what does not fit is told and mended.

Keeps: nothing is called missing on the word of one listing (what is suspected is looked up again, row and store); nothing
younger than the sweeper's age is called left behind, since it may be about to commit; a mend does no more than the journey
that should have done it, and stands in the audit log. Rows and the store's listing are both read in id order and merged,
so memory does not grow with either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo

from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act
from recvault.domain.communication import Attention, Communication, State, StreamRecord
from recvault.domain.errors import KeyDestroyed, KeyNotFound, NotFound, Tampered, Unavailable
from recvault.domain.ids import is_uuid7, uuid7_time
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyInfo, KeyKind, Keyring
from recvault.domain.ports.objects import ObjectStore, ObjectVersion
from recvault.domain.ports.system import Clock
from recvault.domain.reconciliation import Difference, Reconciliation
from recvault.services.audit_log import AuditLog
from recvault.services.fact_digests import ALTERED
from recvault.services.key_ends import KeyEnds
from recvault.services.nameless import by_id, id_in, nameless
from recvault.services.period_keys import PeriodKeys
from recvault.services.purge import Purge
from recvault.services.retention import Retention
from recvault.services.sweep import Sweeper

ACTOR = "system:reconcile"
BATCH = 500
"""Rows compared at a time."""

ARRIVALS = "reconcile/arrivals"
"""Setting: the id up to which newly stored communications were compared with the store (``after``)."""

SETTLED = timedelta(minutes=5)
"""How old an arrival is when it is compared: its commit is then known to every part."""

PATIENCE = timedelta(days=2)
"""How long after its period a key, or after its shredding a destruction, may wait for the ticks that end it."""


class Reconcile:
    """Compares; ``repair`` mends what a program can mend."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        keyring: Keyring,
        key_ends: KeyEnds,
        purge: Purge,
        sweeper: Sweeper,
        retention: Retention,
        period_keys: PeriodKeys,
        audit: AuditLog,
        clock: Clock,
        zone: tzinfo,
        age: timedelta,
    ) -> None:
        self._database = database
        self._store = store
        self._keyring = keyring
        self._key_ends = key_ends
        self._purge = purge
        self._sweeper = sweeper
        self._retention = retention
        self._period_keys = period_keys
        self._audit = audit
        self._clock = clock
        self._zone = zone
        self._age = age

    def run(self, *, repair: bool = False, actor: str = ACTOR) -> Reconciliation:
        """Everything, in full."""
        report = Reconciliation()
        self._compare(report, repair=repair)
        self._uploads(report)
        if repair and (report.counts[Difference.OBJECT_WITHOUT_ROW] or report.counts[Difference.OPEN_UPLOAD]):
            report.mended[Difference.OBJECT_WITHOUT_ROW] += len(self._sweeper.run())
        self._keys(report, repair=repair)
        self._certificates(report, repair=repair)
        told = {kind.value: count for kind, count in report.counts.items()}
        self._audit.note(actor=actor, act=Act.RECONCILED, detail={"rows": report.rows, "repair": repair, **told})
        return report

    def arrivals(self) -> Reconciliation:
        """What was stored since the last look: a store that confirmed an object and does not have it is noticed within
        minutes, while the sender may still hold the recording. What is missing is marked for a person."""
        report = Reconciliation()
        until = self._clock.now() - SETTLED
        with self._database.read() as unit:
            after = str((unit.settings.get(ARRIVALS) or {}).get("after", ""))
        while True:
            with self._database.read() as unit:
                found = unit.communications.stored_after(after, BATCH)
            rows = [row for row in found if row.stored_at <= until and uuid7_time(row.id) <= until]
            self._look_for(rows, report)
            if rows:
                after = rows[-1].id
                with self._database.begin() as unit:
                    unit.settings.put(ARRIVALS, {"after": after})
                    unit.commit()
            if len(rows) < BATCH:
                return report

    def _look_for(self, rows: Sequence[Communication], report: Reconciliation) -> None:
        versions = _Listing(self._store.list_versions_of([f"{row.id}/" for row in rows]))
        for row in rows:
            report.rows += 1
            self._compare_one(row, versions.of(row.id), report, repair=True)

    # --- rows and objects

    def _compare(self, report: Reconciliation, *, repair: bool) -> None:
        versions = _Listing(self._store.list_versions(""))
        after = ""
        while True:
            with self._database.read() as unit:
                rows = unit.communications.stored_after(after, BATCH)
            self._intact(rows, report, repair=repair)
            for row in rows:
                report.rows += 1
                self._nameless(versions.before(row.id), report)
                self._compare_one(row, versions.of(row.id), report, repair=repair)
            if len(rows) < BATCH:
                break
            after = rows[-1].id
        self._nameless(versions.before("~"), report)
        report.objects = versions.count

    def _intact(self, rows: Sequence[Communication], report: Reconciliation, *, repair: bool) -> None:
        """Whether data keys open and facts are the ones that were authenticated."""
        with self._database.read() as unit:
            altered = self._retention.altered(unit, rows)
        for row in rows:
            if not self._opens(row):
                if repair:
                    self._mark(row.id, Attention.KEY_DAMAGED, Difference.DATA_KEY_DAMAGED)
                report.add(Difference.DATA_KEY_DAMAGED, row.id, mended=repair)
            if row.id in altered and (again := self._still_altered(row.id, repair=repair)):
                report.add(Difference.FACTS_ALTERED, again, mended=repair)

    def _opens(self, row: Communication) -> bool:
        """False for a data key that is not what was wrapped; whether its key lives is another question."""
        with suppress(KeyDestroyed, KeyNotFound, NotFound):
            try:
                self._period_keys.unwrap(row)
            except Tampered:
                return False
        return True

    def _still_altered(self, communication_id: str, *, repair: bool) -> str | None:
        """Asked again with the row locked, since an event may have moved it between two queries."""
        with self._database.begin() as unit:
            rows = [row for row in unit.communications.lock([communication_id]) if row.state is State.STORED]
            if not self._retention.altered(unit, rows):
                return None
            if repair:
                self._retention.stop(unit, rows[0], ALTERED, by=ACTOR)
                unit.commit()
        return communication_id

    def _compare_one(
        self, row: Communication, versions: Sequence[ObjectVersion], report: Reconciliation, *, repair: bool
    ) -> None:
        for stream in row.streams:
            difference = _difference(stream, versions)
            if difference is not None and (again := self._again(row.id, stream)) is not None:
                if repair:
                    self._mark(row.id, Attention.OBJECT_MISSING, again)
                report.add(again, row.id, mended=repair)
        left = [version for version in versions if not _is_named(version, row) and self._is_old(version)]
        for version in left:
            report.add(Difference.STREAM_LEFT_BEHIND, version.name, mended=repair)
        if left and repair:
            self._store.delete_versions(left)
            self._audit.note(actor=ACTOR, act=Act.MENDED, target=row.id, detail={"left_behind": len(left)})

    def _again(self, communication_id: str, stream: StreamRecord) -> Difference | None:
        """The row may have gone, and the listing may be older than the row: both are asked again before anything is said."""
        difference = _difference(stream, list(self._store.list_versions(f"{communication_id}/")))
        with self._database.read() as unit:
            found = unit.communications.find([communication_id])
        return difference if found and found[0].state is State.STORED else None

    def _mark(self, communication_id: str, mark: Attention, difference: Difference) -> None:
        with self._database.begin() as unit:
            unit.communications.add_attention(communication_id, [mark])
            self._audit.record(
                unit, actor=ACTOR, act=Act.MENDED, target=communication_id, detail={"marked": difference.value}
            )
            unit.commit()

    def _nameless(self, versions: Iterator[ObjectVersion], report: Reconciliation) -> None:
        """Versions under ids that the rows passed over: nameless unless they are being destroyed, or too young to say."""
        old = by_id(version for version in versions if is_uuid7(id_in(version.name)) and self._is_old(version))
        for one in nameless(self._database, old):
            report.add(Difference.OBJECT_WITHOUT_ROW, one.id)

    def _is_old(self, version: ObjectVersion) -> bool:
        border = self._clock.now() - self._age
        return uuid7_time(id_in(version.name)) < border and version.modified < border

    def _uploads(self, report: Reconciliation) -> None:
        border = self._clock.now() - self._age
        for upload in self._store.list_uploads(""):
            head = id_in(upload.name)
            if is_uuid7(head) and uuid7_time(head) < border:
                report.add(Difference.OPEN_UPLOAD, upload.name)

    # --- keys

    def _keys(self, report: Reconciliation, *, repair: bool) -> None:
        with self._database.read() as unit:
            rows = {key.key_id: key for key in unit.period_keys.living()}
        keys = {key.id: key for prefix in ("day/", "frozen/") for key in self._keyring.list(prefix)}
        report.keys = len(keys)
        for key in keys.values():
            if key.destroyed_at is None and key.kind is KeyKind.WRAP and key.id not in rows and self._settled(key):
                report.add(Difference.KEY_WITHOUT_ROW, key.id, mended=repair and self._adopt(key))
        for key_id in rows.keys() - keys.keys():
            report.add(Difference.KEY_MISSING, key_id)
        late = [row for row in rows.values() if self._is_late(row)]
        ended = set(self._key_ends.close_due()) if late and repair else set()
        for row in late:
            report.add(Difference.KEY_PAST_ITS_DAY, row.key_id, mended=row.key_id in ended)

    def _settled(self, key: KeyInfo) -> bool:
        """Not one whose row is about to be committed."""
        return key.created_at < self._clock.now() - SETTLED

    def _adopt(self, key: KeyInfo) -> bool:
        _kind, period, generation = key.id.split("/")
        row = PeriodKey(key_id=key.id, period=period, generation=int(generation), created_at=key.created_at)
        with self._database.begin() as unit:
            added = unit.period_keys.add_missing(row)
            if added:
                self._audit.record(unit, actor=ACTOR, act=Act.MENDED, target=key.id, detail={"adopted": True})
                unit.commit()
        return added

    def _is_late(self, row: PeriodKey) -> bool:
        if row.key_id.startswith("frozen/"):
            year, month = (int(part) for part in row.period.split("-"))
            last = date(year + month // 12, month % 12 + 1, 1)
        else:
            last = date.fromisoformat(row.period) + timedelta(days=1)
        waits_since = max(
            datetime(last.year, last.month, last.day, tzinfo=self._zone),
            *(moment for moment in (row.vacant_at, row.superseded_at) if moment is not None),
            row.created_at,
        )
        # A key that left survivors behind waits for a verified backup, for a week at most (ADR 0009).
        longest = PATIENCE + (timedelta(days=7) if row.vacant_at or row.superseded_at else timedelta())
        return waits_since + longest < self._clock.now()

    # --- certificates

    def _certificates(self, report: Reconciliation, *, repair: bool) -> None:
        with self._database.read() as unit:
            waiting = unit.destructions.uncertified(self._clock.now() - PATIENCE, BATCH)
        try:
            certified = set(self._purge.certify_left(waiting)) if repair else set()
        except Unavailable:
            certified = set()
        for item in waiting:
            report.add(Difference.CERTIFICATE_MISSING, item.communication_id, mended=item.communication_id in certified)


class _Listing:
    """A listing in order of names, taken by id: what lies before one, and what belongs to one."""

    def __init__(self, versions: Iterator[ObjectVersion]) -> None:
        self._versions = versions
        self._next = next(versions, None)
        self.count = 0

    def before(self, communication_id: str) -> Iterator[ObjectVersion]:
        while self._next is not None and self._next.name < f"{communication_id}/":
            yield self._take()

    def of(self, communication_id: str) -> list[ObjectVersion]:
        found = []
        for _passed in self.before(communication_id):
            pass
        while self._next is not None and self._next.name.startswith(f"{communication_id}/"):
            found.append(self._take())
        return found

    def _take(self) -> ObjectVersion:
        assert self._next is not None
        taken, self._next = self._next, next(self._versions, None)
        self.count += 1
        return taken


def _difference(stream: StreamRecord, versions: Sequence[ObjectVersion]) -> Difference | None:
    there = [version for version in versions if _is_of(version, stream)]
    if not there:
        return Difference.ROW_WITHOUT_OBJECT
    return None if there[0].length == stream.ciphertext_length else Difference.OBJECT_DIFFERS


def _is_named(version: ObjectVersion, row: Communication) -> bool:
    return any(_is_of(version, stream) for stream in row.streams)


def _is_of(version: ObjectVersion, stream: StreamRecord) -> bool:
    return (
        version.name == stream.object_name
        and not version.is_delete_marker
        and (stream.version_id is None or version.version_id == stream.version_id)
    )
