"""The count at the end: acknowledged = stored = readable, and what was due = gone = certified. Looks past every process at
the database, the store, the keyring and the ledger themselves."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from recvault import bootstrap
from recvault.bootstrap import Archive
from recvault.domain.communication import Communication, State
from recvault.domain.destruction import Stage
from recvault.domain.errors import RecvaultError
from recvault.domain.ids import is_uuid7
from recvault.sealing.manifest import open_manifest
from recvault.services.streams import ORIGINAL, Streams
from tests.soak.installation import Installation
from tests.soak.load import Book
from tests.support.certificates import verified


@dataclass(frozen=True, kw_only=True)
class Count:
    """``rows`` for a table, and every sentence that must not be there."""

    rows: tuple[tuple[str, int], ...]
    wrong: tuple[str, ...]


def come_to_rest(made: Installation, seconds: float) -> None:
    """Purges until nothing is due: leases of killed ones must end first."""
    end = time.monotonic() + seconds
    while True:
        done = made.recvault("purge", "--now")
        with bootstrap.build(made.config()) as archive, archive.database.read() as unit:
            due = unit.communications.count_due(archive.clock.now())
            waiting = due or len(_ids(archive, "communications where state = 'destroying'"))
        if done.returncode == 0 and not waiting:
            return
        assert time.monotonic() < end, f"still due after the faults ended: {due}"
        time.sleep(3)


def _ids(archive: Archive, what: str) -> list[str]:
    from sqlalchemy import text

    with archive.database.schema_reading() as connection:  # type: ignore[attr-defined]
        return [str(row[0]) for row in connection.execute(text(f"select id from {what}"))]


def reckon(made: Installation, book: Book) -> Count:
    """Counts; the faults have ended."""
    wrong = list(book.violations)
    with bootstrap.build(made.config()) as archive:
        archive.audit.sequence()
        archive.audit.verify()
        archive.ledger.verify()
        if archive.ledger.behind():
            wrong.append("the database is behind the ledger")
        with archive.database.read() as unit:
            rows = {row.id: row for row in unit.communications.find(_ids(archive, "communications"))}
            tombstones = {item.communication_id: item for item in unit.destructions.recent(1_000_000)}
        names = {
            v.name.partition("/")[0] for v in archive.store.list_versions("") if is_uuid7(v.name.partition("/")[0])
        }
        living = {key for key, recording in book.acknowledged.items() if not recording.due}
        due = set(book.acknowledged) - living
        readable = _readable(archive, (rows[key] for key in rows), book)
        certified = {key for key, item in tombstones.items() if item.stage is not Stage.SHREDDED}
        for key in certified:
            verified(archive, key)
        kept = {key for key in due if key in rows}
        wrong += _all_in(living - set(rows), "was acknowledged and has no row")
        wrong += _all_in(set(rows) - set(book.acknowledged), "has a row and was never acknowledged")
        wrong += _all_in(set(rows) - readable, "has a row and cannot be read")
        wrong += _all_in(living & set(tombstones), "was destroyed and was not due")
        wrong += _all_in(book.held - set(rows), "was held and is gone")
        wrong += _all_in(kept - book.held - book.perhaps_held, "is due, not held, and still there")
        wrong += _all_in(due - kept - certified, "was due, is gone, and has no certificate")
        wrong += _all_in(certified & names, "is certified and still in the store")
        unseen = certified - due
        if len(unseen) != len({recording.ref for recording in book.destroyed_unseen} - _refs(book)):
            wrong.append(f"{len(unseen)} certificates for what nobody sent")
    table = (
        ("sent and acknowledged", len(book.acknowledged)),
        ("  of these to be kept", len(living)),
        ("    stored", len(living & set(rows))),
        ("    readable, every byte", len(living & readable)),
        ("  of these due", len(due)),
        ("    held, stored and readable", len(kept & readable)),
        ("    destroyed and certified", len((due - kept) & certified)),
        ("    of these complete", sum(tombstones[k].stage is Stage.COMPLETE for k in (due - kept) & certified)),
        ("destroyed before they were acknowledged", len(unseen)),
        ("sent twice", book.sent_twice),
        ("played", book.played),
        ("left in the store for the sweeper", len(names - set(rows))),
        ("wrong", len(wrong)),
    )
    return Count(rows=table, wrong=tuple(wrong))


def _refs(book: Book) -> set[str]:
    return {recording.ref for recording in book.acknowledged.values()}


def _all_in(ids: Iterable[str], text: str) -> list[str]:
    return [f"{found} {text}" for found in sorted(ids)]


def _readable(archive: Archive, rows: Iterable[Communication], book: Book) -> set[str]:
    """Ids whose bytes, opened from the store, are those that were sent."""

    def read(row: Communication) -> str | None:
        recording = book.acknowledged.get(row.id)
        if recording is None or row.state is not State.STORED or row.sealed_manifest is None:
            return None
        try:
            key = archive.period_keys.unwrap(row)
            manifest = open_manifest(key, row.id, row.sealed_manifest)
            reader = Streams(store=archive.store).reader(row.id, manifest.stream(ORIGINAL), key)
            content = b"".join(reader.read_all())
        except RecvaultError as fault:
            book.violation(f"{row.id}: {fault}")
            return None
        return row.id if hashlib.sha256(content).digest() == hashlib.sha256(recording.content).digest() else None

    with ThreadPoolExecutor(4) as readers:
        return {found for found in readers.map(read, rows) if found is not None}
