"""What is authenticated of a communication: the facts its end follows from, the end itself, and how often they changed.

Whoever writes the database alone can edit a fact and the end together, and both would fit the policy. So a keyed digest over
this message is written with every change, under a key that the database does not have (``services.fact_digests``). Times are
in UTC; every part has a name, so that no two rows have the same message.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recvault.domain.ids import canonical_json

if TYPE_CHECKING:
    from recvault.domain.communication import Communication

SCHEMA = "recvault/facts/v1"


def attested(row: Communication) -> bytes:
    """Canonical JSON of a stored row's facts, ends and version. Overrides and releases beside the row are not in it: they
    show in the end, which is."""
    return canonical_json(
        {
            "schema": SCHEMA,
            "id": row.id,
            "version": row.facts_version,
            "source": row.source_id,
            "conflict_of": row.conflict_of,
            "channel": row.channel.value,
            "direction": row.direction.value,
            "started_at": _text(row.started_at),
            "ended_at": _text(row.ended_at),
            "stored_at": _text(row.stored_at),
            "customer": row.customer_id,
            "customer_kind": row.customer_kind,
            "team": row.team,
            "queue": row.queue,
            "case": row.case_ref,
            "tags": sorted(row.tags),
            "answered": row.answered,
            "length": row.length,
            "do_not_keep_at": _text(row.do_not_keep_at),
            "case_closed_at": _text(row.case_closed_at),
            "relationship_ended_at": _text(row.relationship_ended_at),
            "policy": row.policy_version,
            "destroy_at": _text(row.destroy_at),
            "purposes": [
                [p.purpose, _text(p.needed_until), p.rule, _text(p.cap_until), _text(p.ended_at)] for p in row.purposes
            ],
        }
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
