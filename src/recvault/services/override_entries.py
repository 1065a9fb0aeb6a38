"""Statutory overrides in the ledger: a restored database must not forget what the law keeps.

An entry holds ids, the statute's terms and moments; reasons in words stay in the database. Following one puts the override
back (or ends it) and notes it in a setting, from which ``services.retention_overrides`` moves the ends of what it covers.
Until that is done the purge finds row and policy to differ and destroys nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from recvault.domain.durations import parse
from recvault.domain.errors import NotFound
from recvault.domain.ledger import LedgerEntry
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.retention.statutes import Basis, Override, Statute

REPLAYED = "retention/replayed-overrides"
"""The setting that lists overrides whose communications are to be computed again."""

REASON = "replayed from the ledger"


def placed_body(override: Override) -> dict[str, object]:
    """An override for the ledger."""
    return {
        "id": override.id,
        "communication": override.communication_id,
        "customer": override.customer_id,
        "statute": override.statute.document(),
        "year_end": override.year_end,
        "by": override.placed_by,
        "approved_by": override.approved_by,
        "at": override.placed_at.isoformat(),
    }


def place_again(unit: UnitOfWork, entry: LedgerEntry) -> bool:
    """Puts the override back unless it is there; whether it did."""
    override = _read(entry.body)
    try:
        unit.retention.override(override.id)
    except NotFound:
        unit.retention.add_override(override)
        _note(unit, override.id)
        return True
    return False


def end_again(unit: UnitOfWork, entry: LedgerEntry) -> bool:
    """Ends the override if it stands; whether it did."""
    try:
        override = unit.retention.override(str(entry.body["id"]))
    except NotFound:
        return False
    if override.ended_at is not None:
        return False
    unit.retention.end_override(override.id, by=str(entry.body["by"]), at=entry.at)
    _note(unit, override.id)
    return True


def noted(unit: UnitOfWork) -> list[str]:
    """Overrides that a replay placed or ended and whose communications are still to be computed again."""
    found = (unit.settings.get(REPLAYED) or {}).get("ids")
    return [str(one) for one in found] if isinstance(found, list) else []


def _note(unit: UnitOfWork, override_id: str) -> None:
    unit.settings.put(REPLAYED, {"ids": sorted({*noted(unit), override_id})})


def _read(body: Mapping[str, object]) -> Override:
    terms = body["statute"]
    assert isinstance(terms, dict)  # an entry that this program wrote and signed
    return Override(
        id=str(body["id"]),
        communication_id=_text(body["communication"]),
        customer_id=_text(body["customer"]),
        statute=Statute(
            code=str(terms["code"]),
            name=str(terms["name"]),
            keep=parse(str(terms["keep"])),
            basis=Basis(terms["from"]),
            source=str(terms["source"]),
            mandatory=bool(terms["mandatory"]),
        ),
        year_end=_text(body["year_end"]),
        reason=REASON,
        placed_by=str(body["by"]),
        approved_by=str(body["approved_by"]),
        placed_at=datetime.fromisoformat(str(body["at"])),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
