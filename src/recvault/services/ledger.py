"""The ledger journey: decisions are written outside the database before they count, and a database behind them is mended.

Keeps rule 4. One writer at a time holds the database's ledger head; the entry is durable in every ledger place before
the transaction that relies on it commits. A crash between leaves an entry the database has not followed: the next writer,
or the start of the program, replays it first. Replay destroys nothing by itself: a bare intent makes its items unreadable
by handing them to the normal purge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime

from recvault.domain.audit import Act
from recvault.domain.errors import KeyNotFound, LedgerFailure, NotFound
from recvault.domain.holds import Hold
from recvault.domain.ledger import LedgerEntry, LedgerHead, LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.system import Clock
from recvault.sealing.envelope import seal_envelope, unseal_envelope
from recvault.services.audit_log import AuditLog

SIGNING_KEY = "sign/ledger/1"
PAYLOAD_TYPE = "application/vnd.recvault.ledger+json"


class Ledger:
    """Appends, reads, verifies and replays the signed chain."""

    def __init__(
        self, *, database: Database, store: LedgerStore, keyring: Keyring, clock: Clock, audit: AuditLog
    ) -> None:
        self._database = database
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._audit = audit

    def append(self, unit: UnitOfWork, kind: LedgerKind, body: Mapping[str, object]) -> LedgerEntry:
        """Writes one entry inside the caller's transaction, which must commit for it to count."""
        head = self._caught_up(unit, unit.settings.lock_ledger_head())
        entry = LedgerEntry(
            sequence=head.sequence + 1, previous=head.digest, at=self._clock.now(), kind=kind, body=body
        )
        self._store.append(entry.sequence, self._sign(entry))
        unit.settings.set_ledger_head(LedgerHead(sequence=entry.sequence, digest=entry.digest()))
        return entry

    def write(self, kind: LedgerKind, body: Mapping[str, object]) -> LedgerEntry:
        """The same in a transaction of its own."""
        with self._database.begin() as unit:
            entry = self.append(unit, kind, body)
            unit.commit()
        return entry

    def behind(self) -> int:
        """How many entries the database has not followed; LedgerFailure when the chain contradicts the database."""
        with self._database.read() as unit:
            head = unit.settings.ledger_head()
        last = self._store.last()
        _require_reaching(last, head)
        return last - head.sequence

    def entries_after(self, head: LedgerHead) -> int:
        """How many entries followed a head that stands in a copy of the database; LedgerFailure when the ledger has no
        such entry, or another."""
        self._require_known(head)
        return self._store.last() - head.sequence

    def follow(self, unit: UnitOfWork) -> None:
        """Follows, in the caller's transaction, what a writer left that never committed: a hold that is in the ledger
        counts even when its commit was lost. Guards are locked before (the head comes last)."""
        if self._store.last() != unit.settings.ledger_head().sequence:
            self._caught_up(unit, unit.settings.lock_ledger_head())

    def replay(self) -> int:
        """Follows every entry the database has not seen; returns how many."""
        self._store.heal()
        with self._database.begin() as unit:
            head = unit.settings.lock_ledger_head()
            self._require_known(head)
            after = self._caught_up(unit, head)
            followed = after.sequence - head.sequence
            unit.commit()
        return followed

    def verify(self) -> LedgerHead:
        """Checks signatures, order and digests of the whole chain; LedgerFailure names the first bad entry."""
        head = LedgerHead()
        for entry in self._entries(1):
            head = _follow(head, entry)
        return head

    def _caught_up(self, unit: UnitOfWork, head: LedgerHead) -> LedgerHead:
        last = self._store.last()
        _require_reaching(last, head)
        if last == head.sequence:
            return head
        self._store.heal(head.sequence + 1)
        for entry in self._entries(head.sequence + 1):
            head = _follow(head, entry)
            self._apply(unit, entry)
            self._audit.record(
                unit,
                actor="system:ledger",
                act=Act.LEDGER_REPLAYED,
                detail={"sequence": entry.sequence, "kind": entry.kind.value},
            )
        unit.settings.set_ledger_head(head)
        return head

    def _require_known(self, head: LedgerHead) -> None:
        """The entry the database followed last is still the one it followed."""
        _require_reaching(self._store.last(), head)
        if head.sequence and next(self._entries(head.sequence)).digest() != head.digest:
            raise LedgerFailure(
                f"entry {head.sequence} of the ledger is not the one the database followed: ledger and database belong to "
                "different histories; put the one that was exchanged back from its copy before serving"
            )

    def _apply(self, unit: UnitOfWork, entry: LedgerEntry) -> None:
        if entry.kind is LedgerKind.HOLD_PLACED:
            _place_again(unit, entry)
        elif entry.kind is LedgerKind.HOLD_RELEASED:
            _release_again(unit, entry)
        elif entry.kind is LedgerKind.KEYS_DESTROYED:
            self._close_again(unit, entry)
        # An intent without its shredding leaves the rows as they are: due, and so claimed again by the purge, which
        # checks holds of ledger and database together. Outcomes are facts of the store.

    def _close_again(self, unit: UnitOfWork, entry: LedgerEntry) -> None:
        """A restored database may believe a dead key open: nothing new is wrapped under it, and what still lies under it
        is beyond reach. A key that the keyring still has is left to be closed as always, after its survivors moved."""
        for key_id in _texts(entry.body["keys"]):
            with suppress(NotFound, KeyNotFound):
                if self._keyring.info(key_id).destroyed_at is not None:
                    unit.period_keys.mark_closing(unit.period_keys.lock(key_id).key_id, entry.at)

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


def hold_body(hold: Hold) -> dict[str, object]:
    """A hold for the ledger: ids and dates, no reason in words (words may name a person)."""
    return {
        "id": hold.id,
        "communication": hold.communication_id,
        "customer": hold.customer_id,
        "by": hold.placed_by,
        "at": hold.placed_at.isoformat(),
        "review": hold.review_on.isoformat(),
    }


def _place_again(unit: UnitOfWork, entry: LedgerEntry) -> None:
    body = entry.body
    try:
        unit.holds.get(str(body["id"]))
    except NotFound:
        unit.holds.add(
            Hold(
                id=str(body["id"]),
                communication_id=_text(body["communication"]),
                customer_id=_text(body["customer"]),
                reason="replayed from the ledger",
                authority=None,
                placed_by=str(body["by"]),
                placed_at=datetime.fromisoformat(str(body["at"])),
                review_on=date.fromisoformat(str(body["review"])),
            )
        )


def _release_again(unit: UnitOfWork, entry: LedgerEntry) -> None:
    try:
        hold = unit.holds.get(str(entry.body["id"]))
    except NotFound:
        return
    if hold.released_at is None:
        unit.holds.release(hold.id, by=str(entry.body["by"]), at=entry.at)


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


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return None if value is None else str(value)
