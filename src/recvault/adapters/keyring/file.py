"""The keyring over all its places.

Invariants, beyond the port's:

* one change at a time: a thread lock, and between processes a lock in the keyring's own directory;
* a change starts from what all places hold together (``records.merge``: gone beats present), so a place that
  was rolled back or lagged is brought up when it is seen, and never brings a destroyed key back;
* ``ensure`` returns when every place has the key, ``destroy`` when every place has lost it. Until then
  ``info`` shows no ``destroyed_at``, though this keyring refuses the key already; repeating either completes
  it;
* a file that does not open is never written over: it may be another archive's, or evidence. Its place stays
  at fault, with the mend in ``replicas()``, and blocks new keys until a person has looked.

Another process's change is seen at the next use (one stat of the own directory's file; of the other places
at least every ``cache_seconds``). All processes of an archive must be given the same places in the same
order.

Left to others: the root key, disk encryption, copies of the sealed file and when they expire.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from recvault.adapters.keyring.lock import exclusive
from recvault.adapters.keyring.place import Place
from recvault.adapters.keyring.records import KeyTable, KeyUses, existing, merge, new_record
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import open_table, seal_table
from recvault.domain.errors import ConfigurationError, KeyringError, Tampered
from recvault.domain.ports.keyring import KeyKind, ReplicaStatus
from recvault.domain.ports.system import Clock, Entropy

CACHE_LIMIT = 60
"""Seconds; the most that ``cache_seconds`` may be (rule of the port)."""

LOCK = "keyring.lock"


@dataclass(kw_only=True, slots=True)
class _Standing:
    """A place, the table read from it last, and why it is out of step (None when it is not)."""

    place: Place
    table: KeyTable
    fault: KeyringError | Tampered | None = None


class FileKeyring(KeyUses):
    """See ``domain.ports.keyring.Keyring``.

    ``directory`` is the keyring's own place (named ``place``), ``replicas`` the others by declared name. Opening
    raises KeyringError when no place can be read or the root key is another, Tampered when what is there does not
    authenticate. ``create`` makes directories and an empty keyring in every place, unless any of them holds one: then
    it only opens. ``adopt_place`` brings a new or emptied place in.
    """

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
        if create:
            self._create()
        self._refresh()

    @property
    def cache_seconds(self) -> int:
        """See the port."""
        return self._cache_seconds

    @property
    def root_id(self) -> str:
        """The id of the root key that opens the sealed files."""
        return self._root.id

    def ensure(self, key_id: str, kind: KeyKind) -> bool:
        """See the port; KeyringError names the place that could not confirm, and the key is not to be used
        yet.
        """
        with self._changing() as table:
            made = existing(table, key_id, kind) is None
            self._require_every_place("have the new key")
            if made:
                record = new_record(key_id, kind, now=self._clock.now(), entropy=self._entropy)
                self._write(table.with_new(record))
                self._require_every_place("have the new key")
            return made

    def destroy(self, key_ids: Collection[str]) -> None:
        """See the port. What can be reached loses the keys even when KeyringError tells of a place that could
        not.

        Two steps: (1) every place loses the secrets, (2) every place notes since when they have all been
        gone.
        """
        with self._changing() as table:
            records = [table.find(key_id) for key_id in key_ids]  # all of them known, before any is touched
            if all(record.destroyed_at is not None for record in records):
                return
            self._write(table.without_secrets(key_ids))
            self._require_every_place("lose the keys")
            self._write(self._table.confirmed_gone(key_ids, self._clock.now()))
            self._require_every_place("note that the keys are gone")

    def set_anchor(self, name: str, value: str) -> None:
        """See the port. A place that cannot be reached gets the value when it is back: what is newer wins there."""
        with self._changing() as table:
            anchored = table.with_anchor(name, value)
            if anchored is table:
                return
            self._write(anchored)
            if self._table is not anchored:
                self._require_every_place("take the anchor")

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """See the port; looks at every place now."""
        with self._lock:
            if self._any_out_of_step():
                self._refresh()
            return tuple(_status(standing, self._table) for standing in self._standings)

    def confirm_backup(self) -> None:
        """See the port."""
        with self._changing() as table:
            self._require_every_place("note the confirmation")
            self._write(table.with_backup_confirmed(self._clock.now()))
            self._require_every_place("note the confirmation")

    def adopt_place(self, name: str) -> None:
        """Writes the keyring into a configured place that holds none (a new disk); KeyringError otherwise.

        Never done by itself: a directory is also empty while its disk is not mounted, and a keyring
        written beneath the mount point would be forgotten there with keys that are destroyed later.
        """
        with self._changing() as table:
            for standing in self._standings:
                if standing.place.name == name and not standing.place.holds():
                    standing.place.prepare()
                    self._write_one(standing, table, seal_table(table, root=self._root, entropy=self._entropy))
                    if standing.fault is not None:
                        raise standing.fault
                    return
        raise KeyringError(
            f"no configured place {name!r} without a keyring; check its name, and move a file that does not "
            "open away from it first"
        )

    def close(self) -> None:
        """Lets go of the files. The keyring opens them again if it is used again."""
        with self._lock:
            for standing in self._standings:
                standing.place.forget()

    def _current(self) -> KeyTable:
        with self._lock:
            if self._own.place.changed() or (self._time_to_look() and self._any_out_of_step()):
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
        return any(standing.fault is not None or standing.place.changed() for standing in self._standings)

    @contextmanager
    def _changing(self) -> Iterator[KeyTable]:
        """Holds both locks and gives what all places hold together."""
        with self._lock, exclusive(self._lock_file):
            if self._any_out_of_step():
                self._load(mend=True)
            yield self._table

    def _refresh(self) -> None:
        if self._own.place.directory.is_dir():
            with exclusive(self._lock_file):
                self._load(mend=True)
        else:  # without its own directory there is no lock: others still serve, nothing is changed
            self._load(mend=False)

    def _load(self, *, mend: bool) -> None:
        for standing in self._standings:
            self._look(standing, sweep=mend)
        sound = [standing for standing in self._standings if standing.fault is None]
        if not sound:
            raise self._worst_fault()
        # What this process knew counts as one more place: rolling all files back at once changes nothing.
        merged = self._table
        for standing in sound:
            merged = merge(merged, standing.table)
        self._table = merged
        if mend:
            self._write(merged)

    def _create(self) -> None:
        if self._holds_something():
            return
        for standing in self._standings:
            standing.place.prepare()
        with exclusive(self._lock_file):
            if self._holds_something():  # another process was quicker
                return
            for standing in self._standings:
                standing.place.write(seal_table(KeyTable(serial=1), root=self._root, entropy=self._entropy))

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

    def _look(self, standing: _Standing, *, sweep: bool) -> None:
        standing.fault = None
        try:
            sealed = standing.place.read()
            standing.table = open_table(sealed, root=self._root)
            if sweep:
                standing.place.sweep()
        except (KeyringError, Tampered) as fault:
            standing.fault = fault

    def _write(self, table: KeyTable) -> None:
        """Brings every sound place that holds something else to ``table``; a place that fails is at fault
        then.
        """
        behind = [s for s in self._standings if s.fault is None and s.table != table]
        if not behind:
            return
        sealed = seal_table(table, root=self._root, entropy=self._entropy)
        if open_table(sealed, root=self._root) != table:
            raise KeyringError("the root key does not open what it sealed; check the token or key file")
        for standing in behind:
            self._write_one(standing, table, sealed)
        if any(standing.table is table for standing in behind):
            self._table = table

    def _write_one(self, standing: _Standing, table: KeyTable, sealed: bytes) -> None:
        standing.fault = None
        try:
            standing.place.write(sealed)
            standing.table = table
        except KeyringError as fault:
            standing.fault = fault

    def _require_every_place(self, purpose: str) -> None:
        faults = [str(standing.fault) for standing in self._standings if standing.fault is not None]
        if faults:
            raise KeyringError(
                f"not every place of the keyring could {purpose}; mend it and repeat: " + "; ".join(faults)
            )


def _standings(own: Mapping[str, Path], replicas: Mapping[str, Path]) -> tuple[_Standing, ...]:
    places = {**own, **replicas}
    directories = {directory.resolve() for directory in places.values()}
    if len(places) != len(own) + len(replicas) or len(directories) != len(places):
        raise ConfigurationError("two places of the keyring have the same name or directory; give each its own")
    return tuple(_Standing(place=Place(name, directory), table=KeyTable()) for name, directory in places.items())


def _status(standing: _Standing, table: KeyTable) -> ReplicaStatus:
    fault = None if standing.fault is None else str(standing.fault)
    if fault is None and standing.table != table:
        fault = "it lags behind the others; it is brought up as soon as the keyring's own directory is there"
    return ReplicaStatus(place=standing.place.name, serial=standing.table.serial, fault=fault)
