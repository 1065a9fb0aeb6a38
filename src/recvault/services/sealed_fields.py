"""Which values of a draft are sealed in its row, and how they are read back.

These die with the data key, in backups too. Nothing else of a draft's words, names and numbers is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from recvault.domain.communication import Draft, Party


def fields_of_draft(draft: Draft) -> dict[str, object]:
    """The identifying values as JSON, those that are absent left out."""
    values: dict[str, object] = {
        "source_ref": draft.source_ref,
        "remote": _party(draft.remote),
        "local": _party(draft.local),
        "agent": draft.agent,
        "subject": draft.subject,
        "filename": draft.filename,
        "customer": {k: v for k, v in asdict(draft.customer).items() if v is not None} or None,
        "participants": [_party(party) for party in draft.participants] or None,
        "extra": dict(draft.extra) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def masked(fields: Mapping[str, object]) -> dict[str, object]:
    """What a trainer may see of them: nothing that names or reaches the customer."""
    return {name: value for name, value in fields.items() if name in ("local", "agent")}


def _party(party: Party | None) -> dict[str, object] | None:
    if party is None:
        return None
    return {k: (v if isinstance(v, str) else str(v)) for k, v in asdict(party).items() if v is not None}
