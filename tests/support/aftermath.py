"""What must hold after any fault, read from the durable parts alone.

:func:`look` asserts what holds at every moment, whatever was interrupted: no row without its object and a living key,
no certificate for what is still there, no shredded row without its tombstone, a ledger that verifies. :class:`End` is
the state once the archive came to rest, without ids and times, so that two runs can be compared.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text

from recvault.bootstrap import Archive
from recvault.domain.audit import Act, SequencedEntry
from recvault.domain.communication import Communication, State
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.ids import is_uuid7
from recvault.domain.ledger import LedgerKind
from recvault.sealing.manifest import open_manifest
from recvault.services.streams import ORIGINAL, Streams
from tests.support.archives import Parts
from tests.support.certificates import verified

ONCE = (Act.STORED, Act.CONFLICT, Act.SHREDDED, Act.INACCESSIBLE, Act.COMPLETE)
"""Acts that happen once to a communication."""


@dataclass(frozen=True, kw_only=True)
class End:
    """``rows``: digest of the content, whether it is kept aside, and the kind of key it lies under; ``destroyed``: stages
    of the tombstones; ``acts``: how often the acts of ``ONCE`` stand in the log; ``intended``, ``done``: how many items
    the ledger names; ``living``, ``dead``: kinds of wrapping keys by the keyring."""

    rows: tuple[tuple[str, bool, str], ...]
    objects: int
    uploads: int
    destroyed: tuple[str, ...]
    acts: tuple[tuple[str, int], ...]
    points: int
    intended: int
    done: int
    living: tuple[str, ...]
    dead: tuple[str, ...]


def rows_of(parts: Parts) -> list[Communication]:
    """Every row."""
    ids = _column(parts, "select id from communications")
    with parts.database.read() as unit:
        return unit.communications.find(ids)


def tombstones_of(parts: Parts) -> dict[str, Destruction]:
    """Every tombstone, by id."""
    with parts.database.read() as unit:
        return unit.destructions.find([item.communication_id for item in unit.destructions.recent(10_000)])


def content_of(parts: Parts, archive: Archive, row: Communication) -> bytes:
    """The recording, opened from row, keyring and store."""
    key = archive.period_keys.unwrap(row)
    assert row.sealed_manifest is not None
    manifest = open_manifest(key, row.id, row.sealed_manifest)
    (stream,) = (stream for stream in row.streams if stream.name == ORIGINAL)
    content = b"".join(Streams(store=parts.store).reader(row.id, stream, key).read_all())
    assert hashlib.sha256(content).hexdigest() == manifest.plaintext_sha256
    return content


def objects_of(parts: Parts) -> list[str]:
    """Names of all versions of communications' objects."""
    names = (version.name for version in parts.store.list_versions(""))
    return [name for name in names if is_uuid7(name.split("/", 1)[0])]


def look(parts: Parts, archive: Archive) -> None:
    """Asserts what holds at every moment. ``archive`` is a process without faults."""
    rows, tombstones, named = rows_of(parts), tombstones_of(parts), set(objects_of(parts))
    for row in rows:
        if row.state is State.STORED:
            assert row.wrapped_key is not None and row.id not in tombstones
            assert parts.keyring.info(row.key_id).destroyed_at is None, "a row lies under a destroyed key"
            assert {stream.object_name for stream in row.streams} <= named, "a row has no object"
            content_of(parts, archive, row)
        else:
            assert row.wrapped_key is None and row.sealed_fields is None and row.customer_id is None
            assert tombstones[row.id].stage is Stage.SHREDDED
    alive = {row.id for row in rows}
    for item in tombstones.values():
        _look_at_tombstone(parts, archive, item, named, alive)
    archive.ledger.verify()
    assert archive.ledger.behind() in (0, 1)


def _look_at_tombstone(
    parts: Parts, archive: Archive, item: Destruction, named: Collection[str], alive: Collection[str]
) -> None:
    if item.stage is Stage.SHREDDED:
        assert item.inaccessible_in is None and item.communication_id in alive
        return
    assert item.communication_id not in alive
    assert not any(name.startswith(f"{item.communication_id}/") for name in named), "certified, and still there"
    body = verified(archive, item.communication_id)
    assert (body["item"], body["stage"]) == (item.communication_id, Stage.INACCESSIBLE)
    if item.stage is Stage.COMPLETE:
        body = verified(archive, item.communication_id, Stage.COMPLETE)
        assert (body["item"], body["stage"]) == (item.communication_id, Stage.COMPLETE)
        assert all(parts.keyring.info(key).destroyed_at is not None for key in item.key_ids)


def end_of(parts: Parts, archive: Archive) -> End:
    """The state at rest; verifies the audit log too."""
    look(parts, archive)
    archive.audit.sequence()
    archive.audit.verify()
    entries = audit_of(parts)
    for act in ONCE:
        targets = Counter(item.entry.target for item in entries if item.entry.act is act)
        assert all(count == 1 for count in targets.values()), f"{act} happened twice to one communication"
    certified = {Act.INACCESSIBLE: Counter[str | None](), Act.COMPLETE: Counter[str | None]()}
    for item in tombstones_of(parts).values():
        certified[Act.INACCESSIBLE][item.inaccessible_in] += item.stage is not Stage.SHREDDED
        certified[Act.COMPLETE][item.complete_in] += item.stage is Stage.COMPLETE
    for act, counts in certified.items():
        assert +counts == _counts(entries, act), f"{act}: certificates, tombstones and log do not agree"
    rows = rows_of(parts)
    wrapping = [key for key in parts.keyring.list() if key.kind == "wrap"]
    return End(
        rows=tuple(
            sorted(
                (
                    hashlib.sha256(content_of(parts, archive, row)).hexdigest(),
                    row.conflict_of is not None,
                    row.key_id.split("/", maxsplit=1)[0],
                )
                for row in rows
            )
        ),
        objects=len(objects_of(parts)),
        uploads=len(list(parts.store.list_uploads(""))),
        destroyed=tuple(sorted(item.stage.value for item in tombstones_of(parts).values())),
        acts=tuple((act.value, sum(_counts(entries, act).values())) for act in ONCE),
        points=len(_column(parts, "select id from contact_points")),
        intended=len(ledger_items(parts, LedgerKind.INTENT)),
        done=len(ledger_items(parts, LedgerKind.DONE)),
        living=tuple(sorted(key.id.split("/", 1)[0] for key in wrapping if key.destroyed_at is None)),
        dead=tuple(sorted(key.id.split("/", 1)[0] for key in wrapping if key.destroyed_at is not None)),
    )


def _counts(entries: list[SequencedEntry], act: Act) -> Counter[str | None]:
    """How many communications each entry of the act is about, by its target."""
    counts: Counter[str | None] = Counter()
    for item in entries:
        if item.entry.act is act:
            count = item.entry.detail.get("count", 1)
            assert isinstance(count, int)
            counts[item.entry.target] += count
    return counts


def audit_of(parts: Parts) -> list[SequencedEntry]:
    """The whole numbered log."""
    with parts.database.read() as unit:
        return unit.audit.read(0, 100_000)


def ledger_of(parts: Parts, kind: LedgerKind) -> list[dict[str, object]]:
    """Bodies of the ledger's entries of a kind, in order."""
    payloads = [json.loads(base64.b64decode(json.loads(raw)["payload"])) for _, raw in parts.ledger.read()]
    return [payload["body"] for payload in payloads if payload["kind"] == kind.value]


def ledger_items(parts: Parts, kind: LedgerKind) -> set[str]:
    """Ids named by entries of the kind."""
    found: set[str] = set()
    for body in ledger_of(parts, kind):
        items = body["items"]
        assert isinstance(items, list)
        found.update(items)
    return found


def _column(parts: Parts, statement: str) -> list[str]:
    with parts.database.schema_reading() as connection:
        return [str(row[0]) for row in connection.execute(text(statement))]
