"""Backups of the database: written under a key that dies with them, looked through, put back.

Keeps: a backup opens only with a key of the keyring (``backup/<day>/<n>``) that is destroyed when its keeping time is over,
so that rows of long ago do not come back (the horizon for index data); a backup counts as verified only when it was opened
whole, its ledger position is part of the ledger, and recordings that its rows name were read from their first byte to
their last. The newest verified one stands in the database, for whoever may then let an older key die.

Left to others: copies of the keyring (``recvault keys``), the object store's own copies, and the replay after a restore.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from recvault.domain.audit import Act
from recvault.domain.backups import MADE, VERIFIED, BackupFile, CopyReport
from recvault.domain.communication import Communication, State
from recvault.domain.errors import BackupFailure, LedgerFailure, NotFound, RecvaultError
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.sealing.manifest import open_manifest
from recvault.services.audit_log import AuditLog
from recvault.services.backup_files import PREFIX, SealedBackups
from recvault.services.gauges import LAST_TICK
from recvault.services.ledger import Ledger
from recvault.services.period_keys import PeriodKeys
from recvault.services.streams import ORIGINAL, Streams

ACTOR = "system:backup"
BATCH = 500
"""Rows of a copy looked at together."""


class Backups:
    """Makes, verifies and ends backups."""

    def __init__(
        self,
        *,
        database: Database,
        sealed: SealedBackups,
        keyring: Keyring,
        period_keys: PeriodKeys,
        streams: Streams,
        ledger: Ledger,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        keep: timedelta,
        sample: int,
    ) -> None:
        self._database = database
        self.sealed = sealed
        self._keyring = keyring
        self._period_keys = period_keys
        self._streams = streams
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._keep = keep
        self._sample = sample

    def create(self) -> BackupFile:
        """Copies the SQLite database while it works and seals it into the backup directory."""
        with self._database.read() as unit:
            followed = unit.settings.ledger_head().sequence
        made = self.sealed.create(ledger_sequence=followed)
        with self._database.begin() as unit:
            unit.settings.put(MADE, {"made_at": made.header.made_at.isoformat(), "id": made.header.id})
            self._audit.record(
                unit, actor=ACTOR, act=Act.BACKUP_MADE, target=made.header.id, detail={"length": made.length}
            )
            unit.commit()
        return made

    # --- looking through

    def verify(self, name: str) -> CopyReport:
        """Opens the backup whole, beside the live database, and looks through it; notes it when nothing is wrong."""
        header, chunks = self.sealed.database_in(name)
        with self.sealed.file.opened(chunks) as copy:
            return self._conclude(copy, CopyReport(made_at=header.made_at), header.id)

    def verify_copy(self, copy: Database) -> CopyReport:
        """The same for a database that was restored elsewhere by its own tools. It is as old as the worker's last sign of
        life in it, which is never later than what it holds."""
        with copy.read() as unit:
            beat = unit.settings.get(LAST_TICK)
        if beat is None:
            raise BackupFailure("no worker ever ran on the copied database, so nobody can tell how old it is")
        return self._conclude(copy, CopyReport(made_at=datetime.fromisoformat(str(beat["at"]))), "restored-elsewhere")

    def _conclude(self, copy: Database, report: CopyReport, backup_id: str) -> CopyReport:
        self._follow_ledger(copy, report)
        for row in self._drawn(copy, report):
            self._look_at(row, report)
        if not report.faults:
            with self._database.begin() as unit:
                known = unit.settings.get(VERIFIED)
                if known is None or datetime.fromisoformat(str(known["made_at"])) < report.made_at:
                    unit.settings.put(VERIFIED, {"made_at": report.made_at.isoformat(), "id": backup_id})
                self._audit.record(
                    unit,
                    actor=ACTOR,
                    act=Act.BACKUP_VERIFIED,
                    target=backup_id,
                    detail={"rows": report.rows, "opened": len(report.opened)},
                )
                unit.commit()
        return report

    def _follow_ledger(self, copy: Database, report: CopyReport) -> None:
        with copy.read() as unit:
            head = unit.settings.ledger_head()
        try:
            report.entries_behind = self._ledger.entries_after(head)
        except LedgerFailure as fault:
            report.faults.append(f"ledger: {fault}")

    def _drawn(self, copy: Database, report: CopyReport) -> list[Communication]:
        """A random sample of the rows, every one with the same chance (reservoir sampling; memory as large as the
        sample)."""
        drawn: list[Communication] = []
        for row in rows_of(copy):
            report.rows += 1
            if len(drawn) < self._sample:
                drawn.append(row)
            elif (at := int.from_bytes(self._entropy.bytes(8)) % report.rows) < self._sample:
                drawn[at] = row
        return drawn

    def _look_at(self, row: Communication, report: CopyReport) -> None:
        """Whether the recording that the copied row names opens, by the keyring of today and from the store of today."""
        report.sampled += 1
        with self._database.read() as unit:
            lives = [one for one in unit.communications.find([row.id]) if one.state is State.STORED]
        if not lives:
            report.destroyed_since.append(row.id)
            return
        try:
            self._read_whole(row)
        except RecvaultError as fault:
            report.faults.append(f"{row.id}: {fault.code}: {fault}")
        else:
            report.opened.append(row.id)

    def _read_whole(self, row: Communication) -> None:
        key = self._period_keys.unwrap(row)
        manifest = open_manifest(key, row.id, row.sealed_manifest or b"")
        digest, length = hashlib.sha256(), manifest.stream(ORIGINAL).plaintext_length
        if length:
            for piece in self._streams.reader(row.id, manifest.stream(ORIGINAL), key).read(0, length - 1):
                digest.update(piece)
        if digest.hexdigest() != manifest.plaintext_sha256:
            raise BackupFailure("the recording is not the one that was stored; look at the object store")

    # --- ending

    def expire(self) -> list[str]:
        """Destroys the keys of backups whose keeping time is over, and removes their files; returns the key ids."""
        before = (self._clock.now() - self._keep).date()
        over = [key.id for key in self._keyring.list(PREFIX) if key.destroyed_at is None and _day(key.id) < before]
        for key_id in over:  # first the entry: without a trace nothing is destroyed, and repeating both is harmless
            self._audit.note(actor=ACTOR, act=Act.KEY_DESTROYED, target=key_id)
        if over:
            self._keyring.destroy(over)
        if self.sealed.configured:
            for backup in self.sealed.listed():
                if _day(backup.header.key_id) < before:
                    self.sealed.place.remove(backup.name)
        return over

    def nightly(self) -> tuple[BackupFile, CopyReport] | None:
        """The worker's night: a backup, looked through, and the end of old ones; None where none is configured."""
        if not self.sealed.configured:
            self.expire()
            return None
        made = self.create()
        report = self.verify(made.name)
        self.expire()
        return made, report


def rows_of(database: Database) -> Iterator[Communication]:
    """Every stored communication of a copy, in id order, some hundred at a time."""
    after = ""
    while True:
        with database.read() as unit:
            batch = unit.communications.stored_after(after, BATCH)
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1].id


def _day(key_id: str) -> date:
    try:
        return date.fromisoformat(key_id.removeprefix(PREFIX).partition("/")[0])
    except ValueError:
        raise NotFound(f"{key_id} is no key of a backup; run 'recvault doctor'") from None
