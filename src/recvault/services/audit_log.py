"""Audit: every act leaves its entry in the act's own transaction; a sequencer numbers and links entries afterwards.

Keeps rule 2 (no entry, no act: the entry rides in the same commit) and rule 9 (entries hold no personal data; callers
pass ids, classes and counts). Several sequencers may run: the head moves by compare-and-set, the loser starts over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from recvault.domain.audit import GENESIS, Act, ChainHead, Entry, SequencedEntry, leaf_hash, link_hash
from recvault.domain.errors import AuditFailure, Conflict
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy

BATCH = 1000
"""Entries numbered or verified at a time."""


class AuditLog:
    """Writes entries, numbers them, verifies the chain."""

    def __init__(self, *, database: Database, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy

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
        unit.audit.append([(entry, leaf_hash(entry))])
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
        unit.audit.append([(entry, leaf_hash(entry)) for entry in entries])

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
        total = 0
        while count := self._sequence_batch():
            total += count
        return total

    def _sequence_batch(self) -> int:
        with self._database.begin() as unit:
            head = unit.audit.head()
            pending = unit.audit.unsequenced(BATCH)
            if not pending:
                return 0
            items: list[SequencedEntry] = []
            link = head.link
            for index, (entry, leaf) in enumerate(pending, start=head.size):
                link = link_hash(link, index, leaf)
                items.append(SequencedEntry(entry=entry, index=index, leaf=leaf, link=link))
            try:
                unit.audit.sequence(head, items, ChainHead(size=head.size + len(items), link=link))
                unit.commit()
            except Conflict:  # another sequencer was first: its work is as good, look again
                return len(items)
        return len(items)

    def verify(self) -> ChainHead:
        """Recomputes every leaf and link and compares with head; raises AuditFailure naming the first bad index."""
        with self._database.read() as unit:
            head = unit.audit.head()
            link, size = GENESIS, 0
            for item in _all(unit):
                if item.index != size:
                    raise AuditFailure(f"entry {size} is missing from the audit log; compare with a backup")
                if leaf_hash(item.entry) != item.leaf:
                    raise AuditFailure(f"entry {size} of the audit log was altered; compare with a backup")
                link = link_hash(link, size, item.leaf)
                if link != item.link:
                    raise AuditFailure(f"the chain breaks at entry {size} of the audit log; compare with a backup")
                size += 1
            if (size, link) != (head.size, head.link):
                raise AuditFailure(
                    f"the audit log ends at {size} entries, its head says {head.size}; compare with a backup"
                )
        return head


def _all(unit: UnitOfWork) -> Iterator[SequencedEntry]:
    first = 0
    while batch := unit.audit.read(first, BATCH):
        yield from batch
        first = batch[-1].index + 1
