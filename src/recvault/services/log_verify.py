"""Verifying the audit log: every entry against its leaf, every leaf against the tree, the tree against what was signed.

Keeps: what is in the database is not believed but computed again, from the entries up; the first index that does not hold
is named. An entry that has ended is verified by its leaf, and only when an entry of the log says that it ended. Memory is
bounded whatever the size. What cannot be seen from the database alone (a history rewritten as a whole) is seen from a
checkpoint that somebody else kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from recvault.domain.audit import Act, TreeHead, leaf_data
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.errors import AuditFailure
from recvault.domain.log_tree import BITS, EMPTY_ROOT, WIDTH, Place, grow, levels, root_of, subtree_root
from recvault.domain.merkle import DIGEST
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.database.log import RawEntry

TILES = 64
"""Tiles of leaves read in one statement."""

ENDED = 1000
"""Ended entries read in one statement."""


class LogVerifier:
    """Verifies what one snapshot of the database holds."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def verify(self, since: Checkpoint | None = None) -> TreeHead:
        """The whole log, or what came after ``since`` (whose signatures the caller has verified) and that the log still
        begins with it. AuditFailure names the first bad index."""
        with self._database.read() as unit:
            head = unit.audit.head()
            first = 0 if since is None else _begins_with(unit, head, since)
            roots = _walk(unit, first, head.size)
            _require_head(unit, head, first, roots)
        return head


def _begins_with(unit: UnitOfWork, head: TreeHead, since: Checkpoint) -> int:
    """From which leaf on to verify: the first of the tile in which the checkpoint ends."""
    if since.size > head.size:
        raise AuditFailure(
            f"the audit log has {head.size} entries, the checkpoint {since.size}: it was cut or put back; compare the "
            "database with a backup"
        )
    if root_of(since.size, Tiles(unit)) != since.root:
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


def _walk(unit: UnitOfWork, first: int, size: int) -> Iterator[bytes]:
    """The hashes of all leaves from ``first`` (which begins a tile) to ``size``, a tile at a time, each compared with its
    entry. What goes beyond the head, or ended without a word, is found too."""
    rows = (row for portion in unit.audit.raw(first) for row in portion)
    said: dict[str, _Said] = {}
    gone = _ended(unit, first, said)
    row, out = next(rows, None), next(gone, -1)
    for number, tile in _leaf_tiles(unit, first, size):
        last = number + len(tile) // DIGEST
        held: list[RawEntry] = []
        while row is not None and row[0] < last:
            held.append(row)
            row = next(rows, None)
        if len(held) == last - number:
            _compare(unit, number, tile, held)
        else:
            missing = _missing(number, last, held)
            for place in missing:
                if place != out:
                    raise AuditFailure(
                        f"entry {place} is missing from the audit log: it was deleted; compare the database with a backup"
                    )
                out = next(gone, -1)
            for one in held:
                at = (one[0] - number) * DIGEST
                _compare(unit, one[0], tile[at : at + DIGEST], [one])
        if 0 <= out < last:
            raise AuditFailure(
                f"entry {out} of the audit log is told to have ended and is there; compare with a backup"
            )
        yield tile
    if row is not None:
        raise AuditFailure(
            f"the audit log ends at {size} entries, and there is an entry {row[0]}: it was put in, or the head was put back; "
            "compare the database with a backup"
        )
    _require_said(unit, said, whole=first == 0)


def _compare(unit: UnitOfWork, first: int, tile: bytes, rows: Sequence[RawEntry]) -> None:
    """The rows' leaf hashes are those of the tile, one after the other."""
    sha256 = hashlib.sha256
    found = b"".join([sha256(b"\x00" + sha256(b"\x00" + salt + body).digest()).digest() for _, salt, body in rows])
    if found == tile:
        return
    for place, row in enumerate(rows, first):
        if row[0] != place:
            raise AuditFailure(f"entry {place} of the audit log stands elsewhere; compare the database with a backup")
        at = (place - first) * DIGEST
        # The database's own writing of an entry may differ from ours where nothing was altered.
        (entry,) = unit.audit.read(place, 1)
        if hashlib.sha256(b"\x00" + leaf_data(entry.entry)).digest() != tile[at : at + DIGEST]:
            raise AuditFailure(
                f"entry {place} of the audit log is not what its leaf says: entry or tree was altered; compare the database "
                "with a backup"
            )


def _missing(first: int, last: int, rows: Sequence[RawEntry]) -> list[int]:
    there = {row[0] for row in rows}
    return [place for place in range(first, last) if place not in there]


def _leaf_tiles(unit: UnitOfWork, first: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The tiles of the leaves with the index of their first leaf, as long as the size wants them."""
    ends = range(first // WIDTH, -(-size // WIDTH))
    for begin in range(ends.start, ends.stop, TILES):
        places = [(0, position) for position in range(begin, min(begin + TILES, ends.stop))]
        found = unit.audit.tiles(places)
        for place in places:
            number = place[1] * WIDTH
            tile = found.get(place, b"")
            wanted = min(WIDTH, size - number)
            if len(tile) != wanted * DIGEST:
                raise AuditFailure(
                    f"the audit tree holds {len(tile) // DIGEST} instead of {wanted} leaves from index {number} on: the "
                    f"first bad index is {number + min(wanted, len(tile) // DIGEST)}; compare the database with a backup"
                )
            yield number, tile


def _ended(unit: UnitOfWork, first: int, said: dict[str, _Said]) -> Iterator[int]:
    """Indexes of what was taken out, in order, counted by whose word it was."""
    while found := unit.audit.ended(first, ENDED):
        for one in found:
            words = said.setdefault(one.said_in, _Said())
            words.count += 1
            words.digest.update(one.index.to_bytes(8))
            yield one.index
        first = found[-1].index + 1


def _require_said(unit: UnitOfWork, said: dict[str, _Said], *, whole: bool) -> None:
    """Whatever ended, an entry of the log says so, and of how many and which. Of a part of the log only that it says so."""
    entries = unit.audit.find_all(list(said))
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


def _require_head(unit: UnitOfWork, head: TreeHead, first: int, tiles: Iterator[bytes]) -> None:
    """Every tile above the leaves follows from those below, and the whole leads to the head."""
    above: dict[int, list[bytes]] = {level: [] for level in range(1, max(levels(head.size), 1))}
    stored = Tiles(unit)
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


def _require_tile(stored: Tiles, place: Place, computed: bytes) -> None:
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
