"""What people do with the keyring: places come and go, copies are taken away, the root key is changed.

Invariants: a place comes in or goes only by a person's word; one that is wiped when it goes leaves nothing behind, one
that is lost stays on the register; a copy is on the register, durable in every live place, before it is written.

Changing the root key, step by step; a crash after any step leaves a keyring that opens by exactly one of the two:

1. every live place is in step, or nothing is changed;
2. the table notes the change, the new recovery key, and that its kit is not confirmed; it is sealed under the new root
   key and opened again by it;
3. the own place takes it: **from here on the new root key counts**, before the old one did. A process with the old one
   refuses to serve, and changes nothing in any place;
4. every other place takes it. One that could not is brought up by whoever opens the keyring with the new root key;
5. when all have it, the old root key is made an end of (``require_root_changed`` says so), by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from recvault.adapters.keyring.place import SEALED
from recvault.adapters.keyring.places import SealedPlaces, Standing
from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.register import (
    RootChange,
    Stay,
    last_stay,
    members,
    offline_copies,
    recovery_public,
    root_change,
    stays,
    with_copy,
    with_loss,
    with_places,
    with_recovery,
    with_root_change,
    with_root_ended,
    without_place,
)
from recvault.adapters.keyring.root import RootKey
from recvault.adapters.keyring.sealed import open_table, seal_table
from recvault.adapters.root_keyfile import make_directory, write_private
from recvault.domain.errors import InvalidInput, KeyringError
from recvault.domain.ports.keyring import Loss, OfflineCopy

COPY_DAYS = 14
"""How long an offline copy is kept unless told otherwise; MOST_COPY_DAYS at the most."""

MOST_COPY_DAYS = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterEntry:
    """A stay on the register, or a configured place that is not on it (``stay`` is None). ``fault``: why a live place is
    not in step."""

    place: str
    stay: Stay | None
    configured: bool
    fault: str | None = None


class Ceremonies(SealedPlaces):
    """See the module."""

    def register(self) -> tuple[RegisterEntry, ...]:
        """Every place that ever was, and those that are configured only; looks at them now."""
        with self._lock:
            if self._stopped or self._any_out_of_step():
                self._refresh()
            configured = {standing.place.name: standing for standing in self._standings}
            known = [self._entry(stay, configured.get(stay.place)) for stay in stays(self._table)]
            live = members(self._table)
            away = dict(self._absent())
            known = [replace(e, fault=e.fault or away.get(e.place)) if _is_live(e) else e for e in known]
            fresh = [RegisterEntry(place=name, stay=None, configured=True) for name in configured if name not in live]
            return (*known, *fresh)

    def add_place(self, name: str) -> None:
        """Writes the keyring into a configured place and puts it on the register; KeyringError when it is there already,
        or when the directory holds something else than this keyring.

        Never done by itself: a directory is also empty while its disk is not mounted, and a keyring
        written beneath the mount point would be forgotten there with keys that are destroyed later.
        """
        standing = self._configured(name)
        if standing is self._own:
            standing.place.prepare()  # the lock lies in it
        with self._changing() as table:
            if name in members(table):
                raise KeyringError(
                    f"the place {name} is on the register; if its disk is away, mount it; if it is lost, first run "
                    "recvault keys replica drop --lost"
                )
            self._require_free(standing, last_stay(table, name))
            standing.place.prepare()
            added = with_places(table, [name], self._clock.now())
            sealed = seal_table(added, root=self._root, entropy=self._entropy)
            # First the place, then the register: a crash in between leaves a place that holds what is not counted on.
            self._write_one(standing, added, sealed)
            if standing.fault is not None:
                raise standing.fault
            for other in self._live():
                if other.fault is None:
                    self._write_one(other, added, sealed)
            self._table = added
            self._require_every_place("note the new place")

    def drop_place(self, name: str) -> None:
        """Takes a place off the register and wipes its file; of a lost one that was found again, too. KeyringError when it
        cannot be reached. The own place stays.
        """
        with self._changing() as table:
            stay = last_stay(table, name)
            if stay is None or stay.ended_at is not None:
                raise KeyringError(f"the place {name} is not on the keyring's register; see recvault keys replica list")
            standing = self._configured(name)
            if standing is self._own and stay.live:
                raise KeyringError(
                    "the keyring's own place cannot be dropped; make another one keyring.directory first"
                )
            if len(members(table) - {name}) == 0:
                raise KeyringError(f"{name} is the last place of the keyring; add another one first")
            # First wiped, then off the register: a crash in between leaves a place that counts as away.
            standing.place.clear()
            self._write_others(without_place(table, name, self._clock.now()), "note that the place is gone")

    def lose_place(self, name: str, loss: Loss) -> None:
        """Notes that a place is lost, without having confirmed anything. Keys need it no longer; certificates name it as
        long as it is not found. KeyringError when it can be reached, or is the last one.
        """
        if name == self._own.place.name:
            self._own.place.prepare()  # the lock lies in it
        with self._changing() as table:
            lost = with_loss(table, name, loss, self._clock.now())
            if lost is table:
                return
            standing = next((each for each in self._standings if each.place.name == name), None)
            if standing is not None and standing.fault is None:
                raise KeyringError(
                    f"the place {name} is there and in step; it is not lost: recvault keys replica drop wipes it"
                )
            if not members(lost):
                raise KeyringError(
                    f"{name} is the last place of the keyring; restore it from a copy: recvault keys restore"
                )
            self._write_others(lost, "note the loss")

    def take_copy(self, directory: Path, *, days: int = COPY_DAYS) -> OfflineCopy:
        """Writes a sealed copy into a new file of ``directory`` and puts it on the register first; KeyringError,
        InvalidInput.
        """
        if not 1 <= days <= MOST_COPY_DAYS:
            raise InvalidInput(f"an offline copy lives 1 to {MOST_COPY_DAYS} days, not {days}; take a new one later")
        if any(directory.resolve().is_relative_to(s.place.directory.resolve()) for s in self._standings):
            raise InvalidInput(f"{directory} lies in a place of the keyring; take the copy away from it")
        with self._changing() as table:
            now = self._clock.now().replace(microsecond=0)
            copy = OfflineCopy(
                id=_copy_id(table, now.strftime("%Y-%m-%d")), made_at=now, expires_at=now + timedelta(days=days)
            )
            self._require_every_place("note the copy")
            self._write(with_copy(table, copy))
            self._require_every_place("note the copy")
            sealed = seal_table(self._table, root=self._root, entropy=self._entropy, copy=copy.id)
            path = directory / copy_name(copy.id)
            try:
                make_directory(directory)
                write_private(path, sealed)
            except OSError as fault:
                self._write(with_copy(self._table, replace(copy, ended_at=now)))
                raise KeyringError(f"cannot write {path}: {fault.strerror}; name a writable directory") from fault
            return copy

    def end_copy(self, copy_id: str) -> OfflineCopy:
        """Notes that a person has destroyed an offline copy; KeyringError when there is none of that id."""
        with self._changing() as table:
            copy = next((each for each in offline_copies(table) if each.id == copy_id), None)
            if copy is None:
                raise KeyringError(f"no offline copy {copy_id} is on the register; see recvault keys copies")
            if copy.ended_at is None:
                copy = replace(copy, ended_at=self._clock.now())
                self._write(with_copy(table, copy))
                self._require_every_place("note the end of the copy")
            return copy

    def set_recovery(self, public: bytes) -> None:
        """Has every file sealed to a recovery key as well, from now on, in every live place on return; its kit is not
        confirmed."""
        with self._changing() as table:
            if recovery_public(table) == public:
                return
            self._require_every_place("take the recovery key")
            self._write(with_recovery(table, public))
            self._require_every_place("take the recovery key")

    @property
    def recovery_public(self) -> bytes | None:
        """The public half of the recovery key, None when the root key itself is on the kit."""
        return recovery_public(self._current())

    @property
    def last_root_change(self) -> RootChange | None:
        """The last change of the root key, None when there never was one."""
        return root_change(self._current())

    def change_root(self, new: RootKey, *, recovery: bytes | None) -> None:
        """Puts the keyring under another root key; the steps stand above. KeyringError when a place is not in step before
        (nothing is changed then), or could not be reached after (repeating, or opening with the new one, completes it).
        """
        with self._changing() as table:
            if new.id == self._root.id:
                self._require_every_place("take the new root key")
                return
            self._require_every_place("take the new root key")  # 1
            change = RootChange(before=self._root.id, after=new.id, at=self._clock.now())
            changed = with_root_change(table, change, recovery)
            sealed = seal_table(changed, root=new, entropy=self._entropy)  # 2
            if open_table(sealed, root=new) != changed:
                raise KeyringError(
                    "the new root key does not open what it sealed; nothing was changed, take another one"
                )
            self._write_one(self._own, changed, sealed)  # 3
            if self._own.fault is not None:
                self._stopped = True  # whichever it is, the next use looks
                raise self._own.fault
            self._root, self._table = new, changed
            for standing in self._live():
                if standing is not self._own:
                    self._write_one(standing, changed, sealed)  # 4
            self._require_every_place("take the new root key")

    def require_root_changed(self, old: RootKey) -> None:
        """KeyringError unless ``old`` is the root key before the last change and no live place needs it any more, and the
        kit of the new one is confirmed."""
        with self._changing() as table:
            change = root_change(table)
            if old.id == self._root.id or change is None or change.before != old.id:
                raise KeyringError(f"{old.place} is not the root key before the last change; name that one")
            self._require_every_place("take the new root key")
            if table.backup_confirmed_at is None:
                raise KeyringError(
                    "the new recovery kit is not confirmed; lock it away and run 'recvault keys confirm-backup', before the "
                    "old root key is destroyed"
                )

    def note_root_destroyed(self) -> None:
        """Notes that the root key before the last change is no more."""
        with self._changing() as table:
            change = root_change(table)
            if change is not None and change.ended_at is None:
                self._write(with_root_ended(table, replace(change, ended_at=self._clock.now())))

    def _write_others(self, table: KeyTable, purpose: str) -> None:
        """Writes a table to the places that are live in it."""
        self._table = table
        self._write(table)
        self._require_every_place(purpose)

    def _require_free(self, standing: Standing, stay: Stay | None) -> None:
        """A new place holds nothing, or this keyring from an addition that broke off, which is written over."""
        if not standing.place.holds():
            return
        self._look(standing, {}, sweep=True)
        if stay is not None and stay.lost_at is not None and stay.ended_at is None:
            raise KeyringError(
                f"{standing.place.directory} holds a {SEALED}, and {stay.place} is noted as lost: it is found, then; run "
                "recvault keys replica drop, which wipes it, and add it again"
            )
        if standing.fault is not None:
            raise KeyringError(
                f"{standing.place.directory} holds a {SEALED} that is not this keyring's; move it away ({standing.fault})"
            )

    def _configured(self, name: str) -> Standing:
        found = next((standing for standing in self._standings if standing.place.name == name), None)
        if found is None:
            known = ", ".join(standing.place.name for standing in self._standings)
            raise KeyringError(
                f"the configuration names no keyring place {name} (it names: {known}); add it to keyring.replicas"
            )
        return found

    def _entry(self, stay: Stay, standing: Standing | None) -> RegisterEntry:
        fault = None
        if stay.live and standing is not None and standing.fault is not None:
            fault = str(standing.fault)
        return RegisterEntry(place=stay.place, stay=stay, configured=standing is not None, fault=fault)


def copy_name(copy_id: str) -> str:
    """The file name of an offline copy."""
    return f"keyring-copy-{copy_id}.sealed"


def _is_live(entry: RegisterEntry) -> bool:
    return entry.stay is not None and entry.stay.live


def _copy_id(table: KeyTable, day: str) -> str:
    taken = {copy.id for copy in offline_copies(table)}
    return next(copy_id for number in range(1, len(taken) + 2) if (copy_id := f"{day}-{number}") not in taken)
