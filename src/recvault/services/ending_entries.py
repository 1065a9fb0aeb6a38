"""Ended purposes in the ledger: what a person or an objection ended does not come back with a restored database.

An entry holds ids and moments; reasons in words stay in the database. Following one puts the end back (or takes it back) and
notes it in a setting, from which ``services.retention_endings`` moves the ends of the communications it concerns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recvault.domain.errors import NotFound
from recvault.domain.ledger import LedgerEntry
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.retention.endings import EndingKind, PurposeEnding

REPLAYED = "retention/replayed-endings"
"""The setting that lists ends whose communications are to be computed again."""

REASON = "replayed from the ledger"


def ended_body(ending: PurposeEnding, communication_ids: Sequence[str]) -> dict[str, object]:
    """An end for the ledger; ``items`` are the chosen recordings, none for a customer's."""
    return {
        "id": ending.id,
        "purpose": ending.purpose,
        "kind": ending.kind.value,
        "customer": ending.customer_id,
        "items": list(communication_ids),
        "by": ending.placed_by,
        "approved_by": ending.approved_by,
        "at": ending.placed_at.isoformat(),
        "ends_at": ending.ends_at.isoformat(),
    }


def stands(unit: UnitOfWork, ending_id: str) -> bool:
    """Whether the database knows the end, withdrawn or not."""
    try:
        unit.retention.ending(ending_id)
    except NotFound:
        return False
    return True


def end_again(unit: UnitOfWork, entry: LedgerEntry) -> None:
    """Puts the end back unless it is there."""
    body = entry.body
    if stands(unit, str(body["id"])):
        return
    items = body["items"]
    ending = PurposeEnding(
        id=str(body["id"]),
        purpose=str(body["purpose"]),
        kind=EndingKind(str(body["kind"])),
        customer_id=None if body["customer"] is None else str(body["customer"]),
        reason=REASON,
        placed_by=str(body["by"]),
        approved_by=None if body["approved_by"] is None else str(body["approved_by"]),
        placed_at=datetime.fromisoformat(str(body["at"])),
        ends_at=datetime.fromisoformat(str(body["ends_at"])),
    )
    unit.retention.add_ending(ending, [str(item) for item in items] if isinstance(items, list) else [])
    _note(unit, ending.id)


def withdraw_again(unit: UnitOfWork, entry: LedgerEntry) -> None:
    """Takes the end back unless that is done."""
    ending_id = str(entry.body["id"])
    if stands(unit, ending_id) and unit.retention.ending(ending_id).withdrawn_at is None:
        unit.retention.withdraw_ending(ending_id, by=str(entry.body["by"]), at=entry.at)
        _note(unit, ending_id)


def noted(unit: UnitOfWork) -> list[str]:
    """Ends that a replay set or took back and whose communications are still to be computed again."""
    found = (unit.settings.get(REPLAYED) or {}).get("ids")
    return [str(one) for one in found] if isinstance(found, list) else []


def _note(unit: UnitOfWork, ending_id: str) -> None:
    unit.settings.put(REPLAYED, {"ids": sorted({*noted(unit), ending_id})})
