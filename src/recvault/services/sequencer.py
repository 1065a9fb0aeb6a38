"""The sequencer: gives committed entries their index and puts their leaves into the tree, in batches.

Keeps: an index is given once, in the transaction that moves the head by compare-and-set and writes the tiles; so any number
of sequencers may run, and the loser starts over. A tree that does not lead to its own head is not grown further: the
database was altered, and what is wrong must be found before it is covered. A batch reads and writes as much whatever the
size of the tree.
"""

from __future__ import annotations

from recvault.domain.errors import AuditFailure, Conflict
from recvault.domain.log_tree import edge, grow, leaf_hashes, root_at_edge
from recvault.domain.ports.database import Database

BATCH = 4096
"""Entries numbered in one transaction."""


class Sequencer:
    """Numbers entries; holds nothing between two runs."""

    def __init__(self, *, database: Database, batch: int = BATCH) -> None:
        self._database = database
        self._batch = batch

    def run(self) -> int:
        """Numbers what has been committed; how many entries that were. 0 as well while another sequencer is at it."""
        total = 0
        while count := self._numbered():
            total += count
            if count < self._batch:
                break
        return total

    def _numbered(self) -> int:
        with self._database.begin() as unit:
            if not unit.audit.alone():
                return 0
            head = unit.audit.head()
            waiting = unit.audit.waiting(self._batch)
            if not waiting:
                return 0
            tiles = unit.audit.tiles(edge(head.size))
            if root_at_edge(head.size, tiles) != head.root:
                raise AuditFailure(
                    f"the tiles of the audit log do not lead to its head at {head.size} entries: the database was altered; "
                    "'recvault audit verify' names the place, compare it with a backup"
                )
            growth = grow(head.size, tiles, leaf_hashes(one.leaf for one in waiting))
            try:
                unit.audit.sequence(head, [one.id for one in waiting], growth)
                unit.commit()
            except Conflict:  # another sequencer was first: its work is as good, look again
                pass
        return len(waiting)
