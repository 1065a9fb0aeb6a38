"""A table as bytes and back: canonical JSON with the secrets in base64, only ever inside a seal.

Invariant: what an earlier version wrote is read; what a later one wrote is not read at all (``sealed`` tells the
versions apart), so that nothing it noted is lost by writing the table back.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recvault.adapters.keyring.records import CONFIRMED, KeyRecord, KeyTable, Note
from recvault.domain.errors import Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.keyring import KeyKind


def encode(table: KeyTable) -> bytes:
    """Canonical JSON of a table."""
    return canonical_json(
        {
            "serial": table.serial,
            "keys": [
                {
                    "id": record.id,
                    "kind": record.kind.value,
                    "created_at": record.created_at.isoformat(),
                    "destroyed_at": None if record.destroyed_at is None else record.destroyed_at.isoformat(),
                    "secret": None if record.secret is None else base64.b64encode(record.secret).decode(),
                }
                for _, record in sorted(table.keys.items())
            ],
            "notes": {name: {"value": note.value, "serial": note.serial} for name, note in table.notes.items()},
        }
    )


def decode(body: bytes) -> KeyTable:
    """The table of :func:`encode`; Tampered when it is none (being authentic, another program wrote it)."""
    try:
        value = json.loads(body)
        records = [_record(item) for item in value["keys"]]
        serial = int(value["serial"])
        return KeyTable(serial=serial, keys={record.id: record for record in records}, notes=_notes(value, serial))
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as fault:
        raise Tampered(
            "the keyring opens, but this version cannot read what it holds; use the version that wrote it"
        ) from fault


def _record(item: Mapping[str, Any]) -> KeyRecord:
    destroyed_at, secret = item["destroyed_at"], item["secret"]
    return KeyRecord(
        id=item["id"],
        kind=KeyKind(item["kind"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        destroyed_at=None if destroyed_at is None else datetime.fromisoformat(destroyed_at),
        secret=None if secret is None else base64.b64decode(secret, validate=True),
    )


def _notes(value: Mapping[str, Any], serial: int) -> dict[str, Note]:
    if "notes" not in value:  # version 1 knew one note only, in a field of its own
        confirmed = value["backup_confirmed_at"]
        return {} if confirmed is None else {CONFIRMED: Note(value=str(confirmed), serial=serial)}
    return {name: Note(value=str(note["value"]), serial=int(note["serial"])) for name, note in value["notes"].items()}
