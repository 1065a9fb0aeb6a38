"""What following one ledger entry does to the database. Every entry may be followed again; nothing is destroyed here.

Holds are placed and released as decided. A destruction that was done and whose row is here again marks the row: it opens
for nobody, and is destroyed again (``services.restore``). One that was only intended marks the row too, until the purge
or a hold settles it. A key that died is not used again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime

from recvault.domain.destruction import Destruction, Stage, Trigger
from recvault.domain.errors import KeyNotFound, NotFound
from recvault.domain.holds import Hold, HoldKind
from recvault.domain.ledger import LedgerEntry, LedgerKind
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.services import ending_entries, override_entries

RETENTION: Mapping[LedgerKind, Callable[[UnitOfWork, LedgerEntry], object]] = {
    LedgerKind.OVERRIDE_PLACED: override_entries.place_again,
    LedgerKind.OVERRIDE_ENDED: override_entries.end_again,
    LedgerKind.PURPOSE_ENDED: ending_entries.end_again,
    LedgerKind.PURPOSE_END_WITHDRAWN: ending_entries.withdraw_again,
}
"""What moves retention beside the rows."""


@dataclass(kw_only=True, slots=True)
class Followed:
    """What following did; ids are random and may be logged. ``intended`` and ``destroyed``: rows that are unreadable from here
    on; ``dropped``: readable again; ``forgotten``: destroyed, and this database has neither row nor tombstone of them."""

    entries: int = 0
    holds_placed: list[str] = field(default_factory=list)
    holds_released: list[str] = field(default_factory=list)
    intended: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    forgotten: dict[str, LedgerEntry] = field(default_factory=dict)
    keys_closed: list[str] = field(default_factory=list)


def hold_body(hold: Hold) -> dict[str, object]:
    """A hold for the ledger: ids and dates, no reason in words (words may name a person)."""
    return {
        "id": hold.id,
        "communication": hold.communication_id,
        "customer": hold.customer_id,
        "by": hold.placed_by,
        "at": hold.placed_at.isoformat(),
        "review": hold.review_on.isoformat(),
        "snapshot": hold.snapshot,
        "owner": hold.owner,
        "kind": hold.kind.value,
    }


def done_body(tombstones: Sequence[Destruction]) -> dict[str, object]:
    """An outcome for the ledger: what a tombstone lost in a restore is made of again. ``keys`` are those of all of them."""
    return {
        "items": [item.communication_id for item in tombstones],
        "sources": [item.source_id for item in tombstones],
        "refs": [None if item.source_ref_hash is None else item.source_ref_hash.hex() for item in tombstones],
        "keys": sorted({key_id for item in tombstones for key_id in item.key_ids}),
    }


def tombstones_in(entry: LedgerEntry, wanted: Collection[str]) -> list[Destruction]:
    """Tombstones of wanted items made of an outcome; none where the entry (of an earlier program) tells too little."""
    body = entry.body
    items, sources, refs = (body.get(name) for name in ("items", "sources", "refs"))
    if not isinstance(items, list) or not isinstance(sources, list) or not isinstance(refs, list):
        return []
    return [
        Destruction(
            communication_id=str(item),
            source_id=str(source),
            source_ref_hash=None if ref is None else bytes.fromhex(str(ref)),
            batch=f"ledger/{entry.sequence}",
            trigger=Trigger.REPLAY,
            stage=Stage.SHREDDED,
            facts={"made_again_from": {"ledger_entry": entry.sequence, "sha256": entry.digest()}},
            key_ids=tuple(texts(body.get("keys"))),
            shredded_at=entry.at,
        )
        for item, source, ref in zip(items, sources, refs, strict=True)
        if item in wanted
    ]


def apply(unit: UnitOfWork, entry: LedgerEntry, keyring: Keyring, told: Followed) -> None:
    """Does what the entry says, inside the caller's transaction."""
    told.entries += 1
    if entry.kind is LedgerKind.HOLD_PLACED:
        _place_again(unit, entry, told)
    elif entry.kind is LedgerKind.HOLD_ITEMS:
        # Portions come before the hold they belong to: alone they hold nothing.
        unit.holds.add_items(str(entry.body["hold"]), texts(entry.body["items"]))
    elif entry.kind is LedgerKind.HOLD_RELEASED:
        _release_again(unit, entry, told)
    elif entry.kind is LedgerKind.INTENT:
        told.intended += unit.restoration.mark_intended(texts(entry.body["items"]), entry.at)
    elif entry.kind is LedgerKind.KEPT:
        told.dropped += unit.restoration.unmark(texts(entry.body["items"]))
    elif entry.kind is LedgerKind.DONE:
        _destroyed(unit, entry, told)
    elif entry.kind is LedgerKind.KEYS_DESTROYED:
        _close_again(unit, entry, keyring, told)
    elif entry.kind in RETENTION:
        RETENTION[entry.kind](unit, entry)


def _destroyed(unit: UnitOfWork, entry: LedgerEntry, told: Followed) -> None:
    items = texts(entry.body["items"])
    told.destroyed += unit.restoration.mark_destroyed(items)
    known = unit.communications.existing_ids(items) | set(unit.destructions.find(items))
    told.forgotten |= {item: entry for item in items if item not in known}


def _close_again(unit: UnitOfWork, entry: LedgerEntry, keyring: Keyring, told: Followed) -> None:
    """A restored database may believe a dead key open: nothing new is wrapped under it, and what still lies under it
    is beyond reach. A key that the keyring still has is left to be closed as always, after its survivors moved."""
    for key_id in texts(entry.body["keys"]):
        with suppress(NotFound, KeyNotFound):
            if keyring.info(key_id).destroyed_at is not None:
                unit.period_keys.mark_closing(unit.period_keys.lock(key_id).key_id, entry.at)
                told.keys_closed.append(key_id)


def _place_again(unit: UnitOfWork, entry: LedgerEntry, told: Followed) -> None:
    body = entry.body
    try:
        unit.holds.get(str(body["id"]))
    except NotFound:
        told.holds_placed.append(str(body["id"]))
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
                snapshot=_text(body.get("snapshot")),
                owner=_text(body.get("owner")),
                kind=HoldKind(str(body.get("kind", HoldKind.HOLD.value))),
            )
        )


def _release_again(unit: UnitOfWork, entry: LedgerEntry, told: Followed) -> None:
    try:
        hold = unit.holds.get(str(entry.body["id"]))
    except NotFound:
        return
    if hold.released_at is None:
        unit.holds.release(hold.id, by=str(entry.body["by"]), at=entry.at)
        unit.holds.note_release(hold.id, entry.at)
        told.holds_released.append(hold.id)


def texts(value: object) -> list[str]:
    """The texts of a JSON list; none for anything else."""
    return [str(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return None if value is None else str(value)
