"""Audit: every act leaves its entry in the act's own transaction.

Keeps rule 2 (no entry, no act: the entry rides in the same commit) and rule 9 (entries hold no personal data; callers
pass ids, classes and counts). What numbers entries and grows the tree is ``services.sequencer``, what verifies them
``services.log_verify``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from recvault.domain.audit import Act, Entry, TreeHead, leaf_data
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.log_verify import LogVerifier
from recvault.services.sequencer import Sequencer


class AuditLog:
    """Writes entries; numbers and verifies them through those who do."""

    def __init__(self, *, database: Database, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._sequencer = Sequencer(database=database)
        self._verifier = LogVerifier(database=database)

    def record(
        self,
        unit: UnitOfWork,
        *,
        actor: str,
        act: Act,
        target: str | None = None,
        purpose: str | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> str:
        """Adds an entry to the caller's transaction and returns its id."""
        entry = self._entry(actor, act, target, purpose, detail)
        unit.audit.append([(entry, leaf_data(entry))])
        return entry.id

    def record_each(
        self,
        unit: UnitOfWork,
        *,
        actor: str,
        act: Act,
        targets: Iterable[str],
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Adds an entry for each of the targets."""
        entries = [self._entry(actor, act, target, None, detail) for target in targets]
        unit.audit.append([(entry, leaf_data(entry)) for entry in entries])

    def _entry(
        self, actor: str, act: Act, target: str | None, purpose: str | None, detail: Mapping[str, object] | None
    ) -> Entry:
        now = self._clock.now()
        return Entry(
            id=uuid7(now, self._entropy.bytes(10)),
            at=now,
            actor=actor,
            act=act,
            target=target,
            purpose=purpose,
            detail=detail or {},
            salt=self._entropy.bytes(16),
        )

    def note(
        self, *, actor: str, act: Act, target: str | None = None, detail: Mapping[str, object] | None = None
    ) -> None:
        """Records an act that changes nothing else (a refusal, a failed sign-in) in a transaction of its own."""
        with self._database.begin() as unit:
            self.record(unit, actor=actor, act=act, target=target, detail=detail)
            unit.commit()

    def sequence(self) -> int:
        """Numbers what has been committed since the last time; returns how many entries were numbered."""
        return self._sequencer.run()

    def verify(self, since: Checkpoint | None = None) -> TreeHead:
        """Every entry, every tile and the head, or what came after a checkpoint; AuditFailure names the first bad index."""
        return self._verifier.verify(since)
