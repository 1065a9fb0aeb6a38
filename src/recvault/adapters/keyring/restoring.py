"""The way back: a keyring put into places that hold none, from a copy; or under another root key, with the recovery key.

Invariants: a place whose file opens is never thrown away, it is merged (gone beats present), so a copy brings no key back
that a surviving place knows as destroyed; a file that does not open stays as it is; a place of the copy that no longer
holds anything is noted as lost, since nobody confirmed what became of it; a copy past its expiry is taken only on a
person's word. What a copy cannot know is left to the ledger: which keys died after it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recvault.adapters.keyring.lock import exclusive
from recvault.adapters.keyring.place import Place
from recvault.adapters.keyring.places import LOCK
from recvault.adapters.keyring.records import KeyTable, merge
from recvault.adapters.keyring.register import (
    RootChange,
    members,
    offline_copies,
    with_loss,
    with_places,
    with_root_change,
)
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import open_table, open_with_recovery, read_header, seal_table
from recvault.domain.errors import KeyringError
from recvault.domain.ports.keyring import Loss
from recvault.domain.ports.system import Clock, Entropy


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What was done: whether the own place was written, whether its former stay was noted as lost, and the copy's id when
    it was an offline copy."""

    written: bool = False
    lost: bool = False
    copy: str | None = None


def put_back(
    copy: bytes, *, root: RootKey, places: Mapping[str, Path], clock: Clock, entropy: Entropy, expired: bool
) -> Restored:
    """Puts a sealed copy under the same root key into the own place, the first of ``places``, unless that holds one. Other
    places are read, and left for ``ceremonies``: whether their disks are mounted nobody knows here."""

    def opened(sealed: bytes) -> KeyTable:
        return open_table(sealed, root=root)

    with _locked(places) as (own, held):
        if own.holds():
            return Restored()
        table, copy_id = _of_copy(copy, opened, clock, expired=expired)
        table, lost = _placed_anew(_merged([table, *map(opened, held)]), own.name, clock)
        own.write(seal_table(table, root=root, entropy=entropy))
    return Restored(written=True, lost=lost, copy=copy_id)


def put_under(
    root: RootKey,
    *,
    private: bytes,
    copy: bytes | None,
    recovery: bytes | None,
    places: Mapping[str, Path],
    clock: Clock,
    entropy: Entropy,
    expired: bool,
) -> Restored:
    """Puts the keyring under ``root``, opened with the recovery key ``private`` from the places and the copy together.
    ``recovery`` is the next recovery key. The own place is written; the others follow as after a change of the root key. A
    place whose file is under ``root`` already was written by an attempt before."""
    former: list[str] = []

    def opened(sealed: bytes) -> KeyTable:
        if read_header(sealed).root == root.id:
            return open_table(sealed, root=root)
        table = open_with_recovery(sealed, private)
        former.append(read_header(sealed).root)
        return table

    with _locked(places) as (own, held):
        tables = list(map(opened, held))
        copy_id = None
        if copy is not None:
            table, copy_id = _of_copy(copy, opened, clock, expired=expired)
            tables.append(table)
        if not tables:
            raise KeyringError("no place holds a keyring; name the newest copy of it: --from FILE")
        table, lost = _merged(tables), False
        if not own.holds():
            table, lost = _placed_anew(table, own.name, clock)
        if former:
            now = clock.now()  # the former root key is lost already: nothing of it is left to end
            table = with_root_change(table, RootChange(before=former[0], after=root.id, at=now, ended_at=now), recovery)
        own.write(seal_table(table, root=root, entropy=entropy))
    return Restored(written=True, lost=lost, copy=copy_id)


@contextmanager
def _locked(places: Mapping[str, Path]) -> Iterator[tuple[Place, list[bytes]]]:
    """The own place, its directory made, and what all places hold, under the keyring's lock."""
    found = [Place(name, directory) for name, directory in places.items()]
    own = found[0]
    own.prepare()
    with exclusive(own.directory / LOCK):
        yield own, [place.read() for place in found if place.holds()]


def _of_copy(
    copy: bytes, opened: Callable[[bytes], KeyTable], clock: Clock, *, expired: bool
) -> tuple[KeyTable, str | None]:
    table, copy_id = opened(copy), read_header(copy).copy
    known = next((each for each in offline_copies(table) if each.id == copy_id), None)
    if known is not None and known.expires_at <= clock.now() and not expired:
        raise KeyringError(
            f"the offline copy {known.id} expired on {known.expires_at.date()} and should be destroyed; take a newer one, or, "
            "if there is none, say --expired: keys destroyed since come back with it until they are destroyed again"
        )
    return table, copy_id


def _merged(tables: Sequence[KeyTable]) -> KeyTable:
    table = tables[0]
    for other in tables[1:]:
        table = merge(table, other)
    return table


def _placed_anew(table: KeyTable, name: str, clock: Clock) -> tuple[KeyTable, bool]:
    """With a new stay of the place; the former one, of which nobody knows what became, is lost."""
    lost = name in members(table)
    if lost:
        table = with_loss(table, name, Loss.MISSING, clock.now())
    return with_places(table, [name], clock.now()), lost
