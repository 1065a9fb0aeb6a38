"""The import journey: an old recorder's files, with their original times, into the archive through the ordinary ingest.

Keeps: nothing is stored whose retention has already ended, unless that was asked for, and then it is marked as any
overdue upload is; nothing is passed over in silence: each row, and each file that no row names, comes out as an
:class:`Item`. Repeating an import stores nothing twice (source and source id, and the announced digest), so an
interrupted one is simply run again. Memory is flat: one row and one block at a time, and eight bytes (in a set) for
each path and source id seen. The files stay where they are.

Protocol steps, labelled in :meth:`ArchiveImport.run`: 1. the row is read, and its file is there; 2. neither file nor
source id came before; 3. the end of its retention is foreseen; 4. hash, then ingest; 5. files that no row named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.accounts import Source
from recvault.domain.communication import Draft, contact_moment
from recvault.domain.errors import Conflict, Destroyed, InvalidInput, NotFound
from recvault.domain.ports.database import Database
from recvault.domain.ports.files import Folder
from recvault.domain.ports.system import Clock
from recvault.domain.register_records import RowFault
from recvault.domain.retention import Facts
from recvault.intake.archive_map import MapRow
from recvault.intake.submission import parse_submission
from recvault.services.customers import Customers
from recvault.services.ingest import Ingest
from recvault.services.retention import Retention


class Outcome(StrEnum):
    """What became of a row or a file."""

    STORED = "stored"
    ALREADY_STORED = "already_stored"
    WOULD_BE_TAKEN = "would_be_taken"
    OVERDUE = "overdue"
    ROW_WITHOUT_FILE = "row_without_file"
    FILE_WITHOUT_ROW = "file_without_row"
    REFUSED = "refused"
    REMARK = "remark"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One row or file. ``line`` of the map; ``reason`` says what to do and repeats nothing of the row; ``late``: its
    retention had already ended; ``needs_attention``: stored (or to be stored) with something odd about it."""

    outcome: Outcome
    line: int | None = None
    file: str | None = None
    reason: str | None = None
    channel: str | None = None
    year: int | None = None
    length: int = 0
    late: bool = False
    needs_attention: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportLimits:
    """How metadata is read: the region of telephone numbers without a country, and how far ahead a clock may be."""

    region: str
    future_tolerance: timedelta


class ArchiveImport:
    """Takes a folder of recordings in."""

    def __init__(
        self,
        *,
        database: Database,
        ingest: Ingest,
        customers: Customers,
        retention: Retention,
        clock: Clock,
        limits: ImportLimits,
    ) -> None:
        self._database = database
        self._ingest = ingest
        self._customers = customers
        self._retention = retention
        self._clock = clock
        self._limits = limits

    def run(
        self,
        source: Source,
        rows: Iterable[tuple[int, MapRow | RowFault]],
        folder: Folder,
        *,
        include_overdue: bool = False,
        dry_run: bool = False,
    ) -> Iterator[Item]:
        """What becomes of each row, as it happens, then the files without a row. A dry run only looks. Raises what
        would stop every further upload as well (Unavailable, NotAuthenticated, ResidencyViolation): run it again."""
        files, ids = set[int](), set[int]()
        for line, row in rows:
            if isinstance(row, RowFault):
                yield Item(outcome=Outcome.REFUSED if row.skipped else Outcome.REMARK, line=line, reason=row.reason)
                continue
            again = not _first(files, row.file)
            try:
                draft, length = self._read(row, folder)  # 1
                if again or not _first(ids, draft.source_ref):  # 2
                    raise InvalidInput("an earlier row has the same file or source id; give each its own")
                seen = self._foreseen(source, draft, length)  # 3
                item = replace(seen, line=line, file=row.file)
                yield (
                    item
                    if dry_run or (seen.late and not include_overdue)
                    else self._store(source, draft, row, folder, replace(item, outcome=Outcome.STORED))
                )  # 4
            except NotFound as fault:
                yield Item(outcome=Outcome.ROW_WITHOUT_FILE, line=line, file=row.file, reason=str(fault))
            except (InvalidInput, Conflict, Destroyed) as fault:
                yield Item(outcome=Outcome.REFUSED, line=line, file=row.file, reason=str(fault))
        for parts in folder.walk():  # 5
            if _mark("/".join(parts)) not in files:
                yield Item(outcome=Outcome.FILE_WITHOUT_ROW, file="/".join(parts))

    def _read(self, row: MapRow, folder: Folder) -> tuple[Draft, int]:
        draft = parse_submission(
            json.dumps(row.said).encode(),
            now=self._clock.now(),
            region=self._limits.region,
            future_tolerance=self._limits.future_tolerance,
        )
        return draft, folder.size(row.parts)

    def _foreseen(self, source: Source, draft: Draft, length: int) -> Item:
        """The item as it would be stored now, by the same facts that ingest decides from."""
        now = self._clock.now()
        with self._database.read() as unit:
            parties = self._customers.resolve(unit, draft)
        ended = draft.ended_at
        facts = Facts(
            channel=draft.channel,
            direction=draft.direction,
            queue=draft.queue,
            team=draft.team or parties.team,
            tags=draft.tags,
            source=source.id,
            customer_kind=parties.customer_kind,
            has_case=draft.case_ref is not None,
            contact_at=contact_moment(draft.started_at, ended, now),
            stored_at=now,
            duration_seconds=None if ended is None or ended < draft.started_at else _seconds(ended, draft.started_at),
            answered=draft.answered,
            empty=length == 0,
            relationship_ended_at=parties.relationship_ended_at,
            do_not_keep_at=now if self._retention.asks_not_to_keep(draft.tags) else None,
        )
        end = self._retention.foresee(facts)
        late = end <= now
        return Item(
            outcome=Outcome.OVERDUE if late else Outcome.WOULD_BE_TAKEN,
            reason=f"its retention ended on {end:%Y-%m-%d}; with --include-overdue it is stored all the same, until the "
            "next purge"
            if late
            else None,
            channel=draft.channel.value,
            year=draft.started_at.year,
            length=length,
            late=late,
            needs_attention=bool(draft.attention or parties.marks),
        )

    def _store(self, source: Source, draft: Draft, row: MapRow, folder: Folder, item: Item) -> Item:
        """Announcing the digest makes a file that is stored already a matter of one look-up."""
        digest, length = hashlib.sha256(), 0
        for block in folder.read(row.parts):
            digest.update(block)
            length += len(block)
        announced = replace(
            draft, sha256=draft.sha256 or digest.hexdigest(), length=length if draft.length is None else draft.length
        )
        receipt = self._ingest.accept(source, announced, folder.read(row.parts))
        return replace(
            item,
            outcome=Outcome.ALREADY_STORED if receipt.already_stored else Outcome.STORED,
            reason=None,
            length=receipt.length,
            needs_attention=bool(receipt.needs_attention),
        )


def _seconds(end: datetime, start: datetime) -> float:
    return (end - start).total_seconds()


def _mark(text: str) -> int:
    """Eight bytes for a text: among a million of them the chance that two are alike is 1 in 37 million."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _first(seen: set[int], text: str) -> bool:
    mark = _mark(text)
    if mark in seen:
        return False
    seen.add(mark)
    return True
