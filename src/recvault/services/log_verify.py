"""Verifying the audit log: every entry against its leaf, every leaf against the tree, the tree against what was signed.

Keeps: what is in the database is not believed but computed again, from the entries up; the first index that does not hold
is named. An entry that has ended is verified by its leaf, and only when an entry of the log says that it ended. Memory is
bounded whatever the size. What cannot be seen from the database alone (a history rewritten as a whole) is seen from a
checkpoint that somebody else kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from recvault.domain.audit import Act, TreeHead, leaf_data
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.errors import AuditFailure, Tampered
from recvault.domain.log_tree import BITS, EMPTY_ROOT, WIDTH, Place, ReadTile, grow, levels, root_of, subtree_root
from recvault.domain.merkle import DIGEST
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.database.log import Ended, RawEntry

PORTION = 16 * WIDTH
"""Entries read in one statement: whole tiles."""

T = TypeVar("T")


class LogVerifier:
    """Verifies what one snapshot of the database holds."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def verify(self, since: Checkpoint | None = None) -> TreeHead:
        """The whole log, or what came after ``since`` (whose signatures the caller has verified) and that the log still
        begins with it. AuditFailure names the first bad index."""
        with self._database.read() as unit, ThreadPoolExecutor(1, thread_name_prefix="audit") as reading:
            reader = _Reader(unit, reading)
            head = reader.ask(unit.audit.head)
            first = 0 if since is None else _begins_with(reader, head, since)
            _require_head(reader, head, first, _walk(reader, first, head.size))
        return head


class _Reader:
    """The database, asked by one thread of its own, so that it reads on while what was read is hashed."""

    def __init__(self, unit: UnitOfWork, thread: ThreadPoolExecutor) -> None:
        self.audit = unit.audit
        self._thread = thread

    def ask(self, question: Callable[..., T], *of: Any) -> T:
        """The answer."""
        return self._thread.submit(question, *of).result()

    def tile(self, place: Place) -> bytes:
        """One tile, empty when there is none."""
        return self.ask(self.audit.tiles, [place]).get(place, b"")

    def portions(self, first: int, size: int) -> Iterator[_Portion]:
        """All entries from ``first`` on, one portion ahead."""
        begins = iter(range(first, size, PORTION))
        coming = self._thread.submit(self._portion, first, size) if next(begins, None) is not None else None
        while coming is not None:
            portion = coming.result()
            begin = next(begins, None)
            coming = None if begin is None else self._thread.submit(self._portion, begin, size)
            yield portion

    def _portion(self, first: int, size: int) -> _Portion:
        last = min(first + PORTION, size)
        places = [(0, position) for position in range(first // WIDTH, -(-last // WIDTH))]
        tiles = self.audit.tiles(places)
        return _Portion(
            first=first,
            last=last,
            rows=self.audit.raw(first, last),
            tiles=[tiles.get(place, b"") for place in places],
            ended=self.audit.ended(first, last),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Portion:
    """Entries ``first`` to before ``last``, the tiles of their leaves, and which of them ended."""

    first: int
    last: int
    rows: Sequence[RawEntry]
    tiles: Sequence[bytes]
    ended: Sequence[Ended]


def _begins_with(reader: _Reader, head: TreeHead, since: Checkpoint) -> int:
    """From which leaf on to verify: the first of the tile in which the checkpoint ends."""
    if since.size > head.size:
        raise AuditFailure(
            f"the audit log has {head.size} entries, the checkpoint {since.size}: it was cut or put back; compare the "
            "database with a backup"
        )
    if root_of(since.size, reader.tile) != since.root:
        raise AuditFailure(
            f"the first {since.size} entries are not those of the checkpoint: history was rewritten; 'recvault audit verify' "
            "without --from tells whether the database even agrees with itself, a backup which entries are the true ones"
        )
    return since.size // WIDTH * WIDTH


class Tiles:
    """Reads tiles one at a time and remembers them: for a proof, which takes a few."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit
        self._known: dict[Place, bytes] = {}

    def __call__(self, place: Place) -> bytes:
        if place not in self._known:
            self._known[place] = self._unit.audit.tiles([place]).get(place, b"")
        return self._known[place]


@dataclass(kw_only=True, slots=True)
class _Said:
    """What was taken out and by whose word: how many, and a digest over the indexes in their order."""

    count: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


def _walk(reader: _Reader, first: int, size: int) -> Iterator[bytes]:
    """The tiles of all leaves from ``first`` (which begins a tile) to ``size``, each compared with its entries. What goes
    beyond the head, or is gone without a word, is found too."""
    said: dict[str, _Said] = {}
    for portion in reader.portions(first, size):
        _require_tiles(portion)
        _compare(reader, portion)
        for one in portion.ended:
            words = said.setdefault(one.said_in, _Said())
            words.count += 1
            words.digest.update(one.index.to_bytes(8))
        yield from portion.tiles
    beyond = reader.ask(reader.audit.beyond, size)
    if beyond is not None:
        raise AuditFailure(
            f"the audit log ends at {size} entries, and there is an entry {beyond}: it was put in, or the head was put back; "
            "compare the database with a backup"
        )
    _require_said(reader, said, whole=first == 0)


def _require_tiles(portion: _Portion) -> None:
    """Each holds as many leaves as the size wants."""
    for number, tile in zip(range(portion.first, portion.last, WIDTH), portion.tiles, strict=True):
        wanted, held = min(WIDTH, portion.last - number), len(tile) // DIGEST
        if len(tile) != wanted * DIGEST:
            raise AuditFailure(
                f"the audit tree holds {held} instead of {wanted} leaves from index {number} on: the first bad index is "
                f"{number + min(wanted, held)}; compare the database with a backup"
            )


def _compare(reader: _Reader, portion: _Portion) -> None:
    """Every entry's leaf hash is the one in the tree, at its place; what is missing ended."""
    sha256 = hashlib.sha256
    found = [sha256(b"\x00" + sha256(b"\x00" + said).digest()).digest() for _, said in portion.rows]
    leaves = b"".join(portion.tiles)
    if len(found) == portion.last - portion.first and not portion.ended and b"".join(found) == leaves:
        return
    gone = {one.index for one in portion.ended}
    there = {row[0]: digest for row, digest in zip(portion.rows, found, strict=True)}
    for index in sorted(there.keys() | set(range(portion.first, portion.last))):
        at = (index - portion.first) * DIGEST
        if index not in there:
            if index not in gone:
                raise AuditFailure(
                    f"entry {index} is missing from the audit log: it was deleted; compare the database with a backup"
                )
        elif index in gone or index < portion.first:
            raise AuditFailure(
                f"entry {index} of the audit log should not be there; compare the database with a backup"
            )
        elif there[index] != leaves[at : at + DIGEST]:
            _look_again(reader, index, leaves[at : at + DIGEST])


def _look_again(reader: _Reader, index: int, leaf: bytes) -> None:
    """The database's own writing of an entry may differ from ours where nothing was altered."""
    try:
        (found,) = reader.ask(reader.audit.read, index, 1)
    except Tampered as fault:
        raise AuditFailure(
            f"entry {index} of the audit log is not what its leaf says: its seal does not open, it was altered or stands in "
            "another's place; compare the database with a backup"
        ) from fault
    if hashlib.sha256(b"\x00" + leaf_data(found.entry)).digest() != leaf:
        raise AuditFailure(
            f"entry {index} of the audit log is not what its leaf says: entry or tree was altered, or it stands in another's "
            "place; compare the database with a backup"
        )


def _require_said(reader: _Reader, said: dict[str, _Said], *, whole: bool) -> None:
    """Whatever ended, an entry of the log says so, and of how many and which. Of a part of the log only that it says so."""
    entries = reader.ask(reader.audit.find_all, list(said))
    for entry_id, words in said.items():
        entry = entries.get(entry_id)
        true = entry is not None and entry.act is Act.ENTRIES_ENDED
        if true and whole and entry is not None:
            true = entry.detail.get("count") == words.count and entry.detail.get("indexes") == words.digest.hexdigest()
        if not true:
            raise AuditFailure(
                f"{words.count} entries are missing from the audit log, and entry {entry_id}, which should say so, does not: "
                "they were deleted; compare the database with a backup"
            )


def _require_head(reader: _Reader, head: TreeHead, first: int, tiles: Iterator[bytes]) -> None:
    """Every tile above the leaves follows from those below, and the whole leads to the head."""
    above: dict[int, list[bytes]] = {level: [] for level in range(1, max(levels(head.size), 1))}
    stored = reader.tile
    for level, held in above.items():
        entries = first >> (BITS * level)
        begun = stored((level, entries // WIDTH))[: entries % WIDTH * DIGEST]
        held += [begun[at : at + DIGEST] for at in range(0, len(begun), DIGEST)]
    position = {level: (first >> (BITS * level)) // WIDTH for level in above}
    rest: bytes = b""
    for tile in tiles:
        rest = tile
        level, risen = 1, subtree_root(tile) if len(tile) == WIDTH * DIGEST else None
        while risen is not None:
            above[level].append(risen)
            risen = None
            if len(above[level]) == WIDTH:
                whole = b"".join(above[level])
                _require_tile(stored, (level, position[level]), whole)
                above[level], position[level] = [], position[level] + 1
                risen, level = subtree_root(whole), level + 1
    edge = {(level, position[level]): b"".join(held) for level, held in above.items() if held}
    for place, whole in edge.items():
        _require_tile(stored, place, whole)
    if head.size % WIDTH:
        edge[(0, head.size // WIDTH)] = rest
    root = grow(head.size, edge, []).root if head.size else EMPTY_ROOT
    if root != head.root:
        raise AuditFailure(
            f"the {head.size} entries of the audit log do not lead to the root of its head: the head was altered; compare "
            "the database with a backup"
        )


def _require_tile(stored: ReadTile, place: Place, computed: bytes) -> None:
    if stored(place) != computed:
        width = WIDTH ** place[0]
        held = stored(place)
        bad = next(
            (at for at in range(0, len(computed), DIGEST) if held[at : at + DIGEST] != computed[at : at + DIGEST]),
            len(computed),
        )
        index = (place[1] * WIDTH + bad // DIGEST) * width
        raise AuditFailure(
            f"the audit tree is broken above the leaves from index {index} on: tile {place[1]} of level {place[0]} was "
            "altered; compare the database with a backup"
        )
