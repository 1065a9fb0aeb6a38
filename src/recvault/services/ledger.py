"""The ledger journey: decisions are written outside the database before they count, and a database behind them is mended.

Keeps rule 4. One writer at a time holds the database's ledger head; the entry is durable in every ledger place, and what
acknowledges something is anchored in the keyring, before the transaction that relies on it commits. A crash between leaves
the entries of one transaction that the database has not followed: the next writer, or the start of the program, follows
them first. A database that is behind by more than that, or is not the incarnation that served last, was put back or lags:
it is served nothing until it was replayed (``services.restore``); so is one that has fewer audit entries than were published.
A ledger shorter than its anchor was rolled back together
with the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from recvault.domain.audit import Act
from recvault.domain.errors import DatabaseBehind, LedgerFailure
from recvault.domain.incarnation import Outlook, Witness
from recvault.domain.ledger import LedgerEntry, LedgerHead, LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.system import Clock
from recvault.sealing.envelope import seal_envelope, unseal_envelope
from recvault.services.audit_log import AuditLog
from recvault.services.checkpoints import published
from recvault.services.following import Followed, apply, hold_body

__all__ = ["ANCHOR", "PAYLOAD_TYPE", "SIGNING_KEY", "Ledger", "hold_body"]

SIGNING_KEY = "sign/ledger/1"
PAYLOAD_TYPE = "application/vnd.recvault.ledger+json"

ANCHOR = "ledger"
"""Name of the keyring's anchor: ``<sequence>:<digest>`` of the last entry."""

PORTIONS = frozenset({"hold-items"})
"""Kinds that go before another entry in the same transaction."""


UNANCHORED = PORTIONS | {"destruction-intended", "destruction-dropped", "keys-destroyed"}
"""Kinds that wait for the next anchor, which covers them: writing the keyring costs more than all the rest of an entry, and
nothing is acknowledged by these (a destruction is by its outcome, a key's end by the keyring itself)."""


class Ledger:
    """Appends, reads, verifies and follows the signed chain; judges whether a database may be served."""

    def __init__(
        self, *, database: Database, store: LedgerStore, keyring: Keyring, clock: Clock, audit: AuditLog
    ) -> None:
        self._database = database
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._audit = audit
        self._seen = 0  # the highest head this process knew the database to have

    # --- writing

    def append(self, unit: UnitOfWork, kind: LedgerKind, body: Mapping[str, object]) -> LedgerEntry:
        """Writes one entry inside the caller's transaction, which must commit for it to count."""
        head = self._caught_up(unit, unit.settings.lock_ledger_head(), Followed())
        entry = LedgerEntry(
            sequence=head.sequence + 1, previous=head.digest, at=self._clock.now(), kind=kind, body=body
        )
        self._store.append(entry.sequence, self._sign(entry))
        head = LedgerHead(sequence=entry.sequence, digest=entry.digest())
        if kind.value not in UNANCHORED:
            self._keyring.set_anchor(ANCHOR, f"{head.sequence}:{head.digest}")
        unit.settings.set_ledger_head(head)
        return entry

    def write(self, kind: LedgerKind, body: Mapping[str, object]) -> LedgerEntry:
        """The same in a transaction of its own."""
        with self._database.begin() as unit:
            entry = self.append(unit, kind, body)
            unit.commit()
        return entry

    # --- judging

    def outlook(self) -> Outlook:
        """What a database must at least know of; LedgerFailure when the ledger itself was rolled back."""
        seen, anchored, last = self._seen, self._anchored(), self._store.last()
        _require_not_rolled_back(last, anchored)
        log = published(self._keyring)
        return Outlook(last=last, seen=seen, logged=0 if log is None else log.head.size)

    def judge(self, witness: Witness, outlook: Outlook) -> None:
        """DatabaseBehind for a database that was put back or lags, LedgerFailure for one that knows more than the ledger."""
        head = witness.head.sequence
        if head > outlook.last:  # it may have grown since
            _require_reaching(self._store.last(), witness.head)
        behind = outlook.last - head
        if witness.logged < outlook.logged:
            raise DatabaseBehind(
                f"the database has {witness.logged} audit entries, and {outlook.logged} were published: it was put back or "
                "lags, and acts are missing from it: nothing is served until 'recvault ledger replay' has run"
            )
        lost = witness.put_back or head < outlook.seen
        if lost or (behind > 0 and (witness.is_another or not self._of_one_transaction(head, outlook.last))):
            raise DatabaseBehind(
                f"the database is {max(behind, 0)} entries behind the ledger and was put back or lags: nothing is served until "
                "'recvault ledger replay' has run"
            )
        self._seen = max(self._seen, head)

    def _of_one_transaction(self, head: int, last: int) -> bool:
        """Whether what was not followed is what a crash can leave: the head is locked until commit, so the entries of one
        transaction, which is one, or portions and what they belong to."""
        for entry in self._entries(head + 1):
            if entry.sequence >= last:
                break
            if entry.kind.value not in PORTIONS:
                return False
        return True

    def require_servable(self) -> Witness:
        """Judges the database as it is now and returns its witness."""
        outlook = self.outlook()
        witness = self._database.witness()
        self.judge(witness, outlook)
        return witness

    def behind(self) -> int:
        """How many entries the database has not followed; LedgerFailure when the chain contradicts the database."""
        head = self._database.witness().head
        last = self._store.last()
        _require_reaching(last, head)
        return last - head.sequence

    def entries_after(self, head: LedgerHead) -> int:
        """How many entries followed a head that stands in a copy of the database; LedgerFailure when the ledger has no
        such entry, or another."""
        self._require_known(head)
        return self._store.last() - head.sequence

    # --- following

    def follow(self, unit: UnitOfWork) -> None:
        """Follows, in the caller's transaction, what a writer left that never committed: a hold that is in the ledger
        counts even when its commit was lost. Guards are locked before (the head comes last)."""
        if self._store.last() != unit.settings.ledger_head().sequence:
            # What a crash left between ledger and keyring is anchored here: nothing that was followed is ever without.
            self._require_anchored(self._caught_up(unit, unit.settings.lock_ledger_head(), Followed()))

    def keyring_is_older(self, head: LedgerHead) -> bool:
        """Whether the keyring's anchor lacks an entry that a database followed to ``head``: every entry that acknowledges
        something is anchored before it counts, so the keyring was put back to a copy from before."""
        anchored = self._anchored()
        for entry in () if anchored is None else self._entries(anchored.sequence + 1):
            if entry.sequence > head.sequence:
                break
            if entry.kind.value not in UNANCHORED:
                return True
        return False

    def anchor(self, head: LedgerHead) -> None:
        """Anchors what a database has followed, in a keyring that was put back; LedgerFailure when the two contradict."""
        self._require_known(head)
        self._require_anchored(head)

    def ends(self) -> tuple[int, int]:
        """The last entry there is, and the last that the keyring remembers."""
        anchored = self._anchored()
        return self._store.last(), 0 if anchored is None else anchored.sequence

    def go_on_after_loss(self, unit: UnitOfWork, body: Mapping[str, object]) -> LedgerEntry:
        """In the caller's transaction: the ledger goes on after its last entry although later ones are known to have been.
        A database that followed those is put to the new entry; one that did not is left to be replayed."""
        followed = unit.settings.lock_ledger_head()
        self._store.heal()
        head = LedgerHead()
        for known in self._entries(1):
            head = _follow(head, known)
        entry = LedgerEntry(
            sequence=head.sequence + 1,
            previous=head.digest,
            at=self._clock.now(),
            kind=LedgerKind.LOSS_ACCEPTED,
            body=body,
        )
        self._store.append(entry.sequence, self._sign(entry))
        self._keyring.set_anchor(ANCHOR, f"{entry.sequence}:{entry.digest()}")
        self._seen = 0
        if followed.sequence > head.sequence:
            unit.settings.set_ledger_head(LedgerHead(sequence=entry.sequence, digest=entry.digest()))
        return entry

    def follow_all(self, unit: UnitOfWork) -> Followed:
        """Follows every entry the database has not seen, in the caller's transaction, and tells what that did."""
        self.outlook()
        head = unit.settings.lock_ledger_head()
        self._require_known(head)
        told = Followed()
        self._require_anchored(self._caught_up(unit, head, told))
        return told

    def replay(self) -> Followed:
        """The same in a transaction of its own, whatever the database was judged to be; both places are made equal first."""
        self._store.heal()
        with self._database.unjudged(), self._database.begin() as unit:
            told = self.follow_all(unit)
            unit.commit()
        return told

    def heal(self) -> int:
        """Copies what one place lacks from the other; returns how many entries."""
        return self._store.heal()

    def verify(self) -> LedgerHead:
        """Checks signatures, order, digests and the anchor of the whole chain; LedgerFailure names the first bad entry."""
        self.outlook()
        anchored = self._anchored()
        head = LedgerHead()
        for entry in self._entries(1):
            head = _follow(head, entry)
            if anchored is not None and head.sequence == anchored.sequence:
                self._require_anchored(head)
        return head

    def entry(self, sequence: int) -> LedgerEntry:
        """One entry, its signature verified; LedgerFailure when it is not there."""
        for entry in self._entries(sequence):
            return entry
        raise LedgerFailure(f"the ledger has no entry {sequence}; run 'recvault ledger verify'")

    def _caught_up(self, unit: UnitOfWork, head: LedgerHead, told: Followed) -> LedgerHead:
        anchored, last = self._anchored(), self._store.last()
        _require_not_rolled_back(last, anchored)
        _require_reaching(last, head)
        self._seen = max(self._seen, head.sequence)
        if last == head.sequence:
            return head
        self._store.heal(head.sequence + 1)
        for entry in self._entries(head.sequence + 1):
            head = _follow(head, entry)
            apply(unit, entry, self._keyring, told)
            self._audit.record(
                unit,
                actor="system:ledger",
                act=Act.LEDGER_REPLAYED,
                detail={"sequence": entry.sequence, "kind": entry.kind.value},
            )
        unit.settings.set_ledger_head(head)
        return head

    def _anchored(self) -> LedgerHead | None:
        value = self._keyring.anchor(ANCHOR)
        if value is None:
            return None
        sequence, _, digest = value.partition(":")
        return LedgerHead(sequence=int(sequence), digest=digest)

    def _require_anchored(self, head: LedgerHead) -> None:
        """Anchors a head that goes further; refuses one that contradicts the anchor."""
        anchored = self._anchored()
        if anchored is not None and anchored.sequence == head.sequence and anchored.digest != head.digest:
            raise LedgerFailure(
                f"entry {head.sequence} of the ledger is not the one that the keyring remembers: the ledger was rolled back "
                "and continued; put its places back from their newest copies"
            )
        if head.sequence and (anchored is None or anchored.sequence < head.sequence):
            self._keyring.set_anchor(ANCHOR, f"{head.sequence}:{head.digest}")

    def _require_known(self, head: LedgerHead) -> None:
        """The entry the database followed last is still the one it followed."""
        _require_reaching(self._store.last(), head)
        if head.sequence and self.entry(head.sequence).digest() != head.digest:
            raise LedgerFailure(
                f"entry {head.sequence} of the ledger is not the one the database followed: ledger and database belong to "
                "different histories; put the one that was exchanged back from its copy before serving"
            )

    def _entries(self, first: int) -> Iterator[LedgerEntry]:
        public = self._keyring.public(SIGNING_KEY)
        for sequence, envelope in self._store.read(first):
            payload = unseal_envelope(envelope, PAYLOAD_TYPE, public)
            entry = _parse(payload)
            if entry.sequence != sequence:
                raise LedgerFailure(f"ledger entry {sequence} carries another number; restore it from the other place")
            yield entry

    def _sign(self, entry: LedgerEntry) -> bytes:
        return seal_envelope(
            entry.payload(), PAYLOAD_TYPE, SIGNING_KEY, lambda message: self._keyring.sign(SIGNING_KEY, message)
        )


def _require_not_rolled_back(last: int, anchored: LedgerHead | None) -> None:
    if anchored is not None and last < anchored.sequence:
        raise LedgerFailure(
            f"the ledger ends at entry {last}, the keyring remembers entry {anchored.sequence}: ledger and database were put "
            "back together, and entries are missing; put the ledger's places (the object store's ledger/ and "
            "ledger.second_directory) back from their newest copies, then run 'recvault ledger replay'"
        )


def _require_reaching(last: int, head: LedgerHead) -> None:
    if last < head.sequence:
        raise LedgerFailure(
            f"the ledger ends at entry {last}, the database has followed it to {head.sequence}: entries are missing; "
            "put the ledger's places back from their copies before serving"
        )


def _follow(head: LedgerHead, entry: LedgerEntry) -> LedgerHead:
    if entry.sequence != head.sequence + 1 or entry.previous != head.digest:
        raise LedgerFailure(
            f"ledger entry {entry.sequence} does not follow entry {head.sequence}: the chain was altered or belongs to "
            "another archive; restore the ledger's places from their copies"
        )
    return LedgerHead(sequence=entry.sequence, digest=entry.digest())


def _parse(payload: bytes) -> LedgerEntry:
    value = json.loads(payload)
    return LedgerEntry(
        sequence=value["sequence"],
        previous=value["previous"],
        at=datetime.fromisoformat(value["at"]),
        kind=LedgerKind(value["kind"]),
        body=value["body"],
    )
