"""All places of one keyring together: read, merged, brought into step.

Invariants: one change at a time (a thread lock, and between processes a lock in the keyring's own directory); a change
starts from what all live places hold together (``records.merge``: gone beats present), so a place that was rolled back
or lagged is brought up when it is seen, and never brings a destroyed key back; a file that does not open is never
written over, save one under the root key before the last change, once that change has been decided.

Live are the places on the keyring's own register; the configuration says where they are. One that is on the register and
not configured counts as away, one that is configured and not on the register is left alone.

The root key is the one that the own place is sealed under. Under any other nothing is served, whatever other places
hold: a process that was started before a change of the root key stops at its next use.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from recvault.adapters.keyring.lock import exclusive
from recvault.adapters.keyring.place import Place
from recvault.adapters.keyring.records import KeyTable, merge
from recvault.adapters.keyring.register import members, root_change, with_places
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import OtherRoot, open_table, seal_table
from recvault.adapters.keyring.uses import KeyUses
from recvault.domain.errors import ConfigurationError, KeyringError, Tampered
from recvault.domain.ports.system import Clock, Entropy

CACHE_LIMIT = 60
"""Seconds; the most that ``cache_seconds`` may be (rule of the port)."""

LOCK = "keyring.lock"

_UNCONFIGURED = (
    "the place {name} is on the keyring's register and not in the configuration; put it back into keyring.replicas "
    "(and start again what runs); if it is gone, run recvault keys replica drop --lost"
)


@dataclass(kw_only=True, slots=True)
class Standing:
    """A configured place, the table read from it last, and why it is out of step (None when it is not)."""

    place: Place
    table: KeyTable
    fault: KeyringError | Tampered | None = None


class SealedPlaces(KeyUses):
    """The table over all places. ``directory`` is the own place (named ``place``), ``replicas`` the others by name."""

    def __init__(
        self,
        *,
        directory: Path,
        root: RootKey,
        clock: Clock,
        entropy: Entropy,
        replicas: Mapping[str, Path] | None = None,
        place: str = "primary",
        cache_seconds: int = CACHE_LIMIT,
        create: bool = False,
    ) -> None:
        super().__init__(current=self._current, entropy=entropy)
        if not 0 <= cache_seconds <= CACHE_LIMIT:
            raise ConfigurationError(f"cache_seconds is 0 to {CACHE_LIMIT}, not {cache_seconds}; set it so")
        self._root = root
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._lock_file = directory / LOCK
        self._lock = threading.RLock()
        self._table = KeyTable()
        self._standings = _standings({place: directory}, replicas or {})
        self._own = self._standings[0]
        self._looked_at = clock.now()
        self._stopped = False
        if create:
            self._create()
        self._refresh()

    @property
    def root_id(self) -> str:
        """The id of the root key that opens the sealed files."""
        return self._root.id

    @property
    def root_place(self) -> str:
        """Where that root key is."""
        return self._root.place

    def close(self) -> None:
        """Lets go of the files. The keyring opens them again if it is used again."""
        with self._lock:
            for standing in self._standings:
                standing.place.forget()

    def _current(self) -> KeyTable:
        with self._lock:
            if self._stopped or self._own.place.changed() or (self._time_to_look() and self._any_out_of_step()):
                self._refresh()
            return self._table

    def _time_to_look(self) -> bool:
        now = self._clock.now()
        # A clock that was set back must not put the look off.
        if timedelta(0) <= now - self._looked_at < timedelta(seconds=self._cache_seconds):
            return False
        self._looked_at = now
        return True

    def _any_out_of_step(self) -> bool:
        return any(standing.fault is not None or standing.place.changed() for standing in self._live())

    def _live(self) -> tuple[Standing, ...]:
        """The configured places that keys need."""
        names = members(self._table)
        return tuple(standing for standing in self._standings if not names or standing.place.name in names)

    def _absent(self) -> list[tuple[str, str]]:
        """The live places that the configuration does not name, and what to do about each."""
        configured = {standing.place.name for standing in self._standings}
        return [(name, _UNCONFIGURED.format(name=name)) for name in sorted(members(self._table) - configured)]

    @contextmanager
    def _changing(self) -> Iterator[KeyTable]:
        """Holds both locks and gives what all places hold together."""
        with self._lock, exclusive(self._lock_file):
            if self._stopped or self._any_out_of_step():
                self._load(mend=True)
            yield self._table

    def _refresh(self) -> None:
        if self._own.place.directory.is_dir():
            with exclusive(self._lock_file):
                self._load(mend=True)
        else:  # without its own directory there is no lock: others still serve, nothing is changed
            self._load(mend=False)

    def _load(self, *, mend: bool) -> None:
        self._stopped = True  # unless this comes to its end
        opened: dict[bytes, KeyTable] = {}
        for standing in self._standings:
            self._look(standing, opened, sweep=mend)
        sound = [standing for standing in self._standings if standing.fault is None]
        newest = max((s.table for s in sound), key=lambda table: table.serial, default=self._table)
        if self._own.place.name in (members(newest) or {self._own.place.name}):
            self._refuse_other_root(newest)
        merged = self._merge([s for s in sound if not members(newest) or s.place.name in members(newest)])
        self._table = self._enrolled(merged) if mend else merged
        self._stopped = False
        self._follow_root_change()
        if mend:
            self._write(self._table)

    def _merge(self, sound: list[Standing]) -> KeyTable:
        if not sound:
            raise self._worst_fault()
        # What this process knew counts as one more place: rolling all files back at once changes nothing.
        merged = self._table
        for standing in sound:
            merged = merge(merged, standing.table)
        return merged

    def _enrolled(self, table: KeyTable) -> KeyTable:
        """With a register, if it comes from a version that had none: then everything configured was live."""
        if members(table):
            return table
        return with_places(table, [standing.place.name for standing in self._standings], self._clock.now())

    def _refuse_other_root(self, newest: KeyTable) -> None:
        fault = self._own.fault
        if isinstance(fault, OtherRoot) and not self._is_former(fault, newest):
            raise fault

    def _is_former(self, fault: OtherRoot, table: KeyTable) -> bool:
        change = root_change(table)
        return change is not None and (change.before, change.after) == (fault.root_id, self._root.id)

    def _follow_root_change(self) -> None:
        """What is still under the former root key was in step when the change was decided, and is written over."""
        for standing in self._live():
            if isinstance(standing.fault, OtherRoot) and self._is_former(standing.fault, self._table):
                standing.fault, standing.table = None, KeyTable()

    def _create(self) -> None:
        if self._holds_something():
            return
        for standing in self._standings:
            standing.place.prepare()
        with exclusive(self._lock_file):
            if self._holds_something():  # another process was quicker
                return
            empty = with_places(KeyTable(), [s.place.name for s in self._standings], self._clock.now())
            for standing in self._standings:
                standing.place.write(seal_table(empty, root=self._root, entropy=self._entropy))

    def _holds_something(self) -> bool:
        """Whether any place holds keys, or a file that opening must judge. Empty ones are of a creation cut short."""
        try:
            return any(
                standing.place.holds() and open_table(standing.place.read(), root=self._root).keys
                for standing in self._standings
            )
        except (KeyringError, Tampered):
            return True

    def _worst_fault(self) -> KeyringError | Tampered:
        if not any(standing.place.holds() for standing in self._standings):
            return KeyringError(
                f"there is no keyring in {self._own.place.directory} nor in any other place; run recvault "
                "init, or mount the disks it lies on"
            )
        faults = [standing.fault for standing in self._standings if standing.fault is not None]
        return next((fault for fault in faults if isinstance(fault, Tampered)), faults[0])

    def _look(self, standing: Standing, opened: dict[bytes, KeyTable], *, sweep: bool) -> None:
        """Reads a place; ``opened`` remembers what equal bytes held, so that a token is asked once."""
        standing.fault = None
        try:
            sealed = standing.place.read()
            if sealed not in opened:
                opened[sealed] = open_table(sealed, root=self._root)
            standing.table = opened[sealed]
            if sweep:
                standing.place.sweep()
        except (KeyringError, Tampered) as fault:
            standing.fault = fault

    def _write(self, table: KeyTable) -> None:
        """Brings every sound live place that holds something else to ``table``; one that fails is at fault then."""
        behind = [s for s in self._live() if s.fault is None and s.table != table]
        if not behind:
            return
        sealed = seal_table(table, root=self._root, entropy=self._entropy)
        if open_table(sealed, root=self._root) != table:
            raise KeyringError("the root key does not open what it sealed; check the token or key file")
        for standing in behind:
            self._write_one(standing, table, sealed)
        if any(standing.table is table for standing in behind):
            self._table = table

    def _write_one(self, standing: Standing, table: KeyTable, sealed: bytes) -> None:
        standing.fault = None
        try:
            standing.place.write(sealed)
            standing.table = table
        except KeyringError as fault:
            standing.fault = fault

    def _require_every_place(self, purpose: str) -> None:
        faults = [str(standing.fault) for standing in self._live() if standing.fault is not None]
        faults += [fault for _, fault in self._absent()]
        if faults:
            raise KeyringError(
                f"not every place of the keyring could {purpose}; mend it and repeat: " + "; ".join(faults)
            )


def _standings(own: Mapping[str, Path], replicas: Mapping[str, Path]) -> tuple[Standing, ...]:
    places = {**own, **replicas}
    directories = {directory.resolve() for directory in places.values()}
    if len(places) != len(own) + len(replicas) or len(directories) != len(places):
        raise ConfigurationError("two places of the keyring have the same name or directory; give each its own")
    return tuple(Standing(place=Place(name, directory), table=KeyTable()) for name, directory in places.items())
