"""The proof of destruction: what somebody holding an old copy of the database and today's keyring can open.

For an auditor who believes nothing. Every data key that stands in the copy is tried with the keyring of today: what the
archive has destroyed must not open, neither under the key it names nor (for a sample) under any other living key; what
lives must open, unless the archive has put it under a newer key since. What is destroyed while its certificate is not yet
complete is told apart, with the keys whose end it waits for. Nothing is changed; no content is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from recvault.domain.audit import Act
from recvault.domain.backups import ProofReport
from recvault.domain.communication import Communication, State
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import KeyDestroyed, KeyNotFound, Tampered
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.sealing.wrapping import wrap_aad
from recvault.services.audit_log import AuditLog
from recvault.services.backup import BATCH, rows_of

EVERY_KEY = 25
"""Destroyed communications on which every living wrapping key is tried."""


class Proof:
    """Tries to open what a copy of the database holds."""

    def __init__(self, *, database: Database, keyring: Keyring, audit: AuditLog) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit

    def examine(self, copy: Database, *, actor: str) -> ProofReport:
        """Goes through every stored communication of the copy; memory does not grow with their number."""
        report = ProofReport()
        living = [k.id for k in self._keyring.list() if k.kind is KeyKind.WRAP and k.destroyed_at is None]
        rows = rows_of(copy)
        while batch := list(islice(rows, BATCH)):
            self._examine(batch, living, report)
        self._audit.note(
            actor=actor,
            act=Act.DESTRUCTION_PROVED,
            detail={"copied": report.copied, "violations": len(report.violations)},
        )
        return report

    def _examine(self, rows: Sequence[Communication], living: Sequence[str], report: ProofReport) -> None:
        ids = [row.id for row in rows]
        with self._database.read() as unit:
            now = {row.id: row for row in unit.communications.find(ids) if row.state is State.STORED}
            gone = unit.destructions.find(ids)
        for row in rows:
            report.copied += 1
            if row.id in now:
                self._living_one(row, now[row.id], report)
            elif row.id in gone:
                self._destroyed_one(row, gone[row.id], living, report)
            else:
                report.violations.append(f"{row.id}: neither stored nor destroyed in the archive")

    def _living_one(self, row: Communication, today: Communication, report: ProofReport) -> None:
        if self._opens(row, row.key_id):
            report.opens += 1
        elif today.key_id != row.key_id and self._opens(today, today.key_id):
            report.rekeyed_since += 1
        else:
            report.violations.append(f"{row.id}: lives, and neither the copy nor the archive opens it")

    def _destroyed_one(
        self, row: Communication, destruction: Destruction, living: Sequence[str], report: ProofReport
    ) -> None:
        if self._opens(row, row.key_id):
            if destruction.stage is Stage.COMPLETE:
                report.violations.append(f"{row.id}: certified complete, and the copy opens it under {row.key_id}")
            else:
                report.until_its_keys_die += 1
                report.waiting_keys.add(row.key_id)
            return
        if report.tried_with_every_key < EVERY_KEY:
            report.tried_with_every_key += 1
            report.keys_tried += len(living)
            if any(self._opens(row, key_id) for key_id in living):
                report.violations.append(f"{row.id}: destroyed, and a living key opens it")
                return
        report.beyond_reach += 1

    def _opens(self, row: Communication, key_id: str) -> bool:
        """Whether the key opens the data key, bound to the key the row names or to the one that is tried."""
        if row.wrapped_key is None:
            return False
        for bound_to in {row.key_id, key_id}:
            with suppress(KeyDestroyed, KeyNotFound, Tampered):
                self._keyring.unwrap(key_id, row.wrapped_key, wrap_aad(communication=row.id, key_id=bound_to))
                return True
        return False
