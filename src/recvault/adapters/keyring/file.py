"""The keyring on disk, over all its places: the port's changes.

Invariants, beyond the port's and those of ``places``:

* ``ensure`` returns when every live place has the key, ``destroy`` when every live place has lost it. Until then
  ``info`` shows no ``destroyed_at``, though this keyring refuses the key already; repeating either completes it;
* a place at fault blocks new keys until it is back, or a person has declared it lost (``ceremonies``).

Another process's change is seen at the next use (one stat of the own directory's file; of the other places
at least every ``cache_seconds``). All processes of an archive must be given the same places in the same
order.

Left to others: the root key, disk encryption, where offline copies lie.
"""

from __future__ import annotations

from collections.abc import Collection

from recvault.adapters.keyring.ceremonies import Ceremonies
from recvault.adapters.keyring.places import Standing
from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.uses import anchored, existing, new_record
from recvault.domain.ports.keyring import KeyKind, ReplicaStatus


class FileKeyring(Ceremonies):
    """See ``domain.ports.keyring.Keyring``.

    Opening raises KeyringError when no place can be read or the root key is another, Tampered when what is there does not
    authenticate. ``create`` makes directories and an empty keyring in every place, unless any of them holds one: then
    it only opens.
    """

    @property
    def cache_seconds(self) -> int:
        """See the port."""
        return self._cache_seconds

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
            changed = anchored(table, name, value)
            if changed is table:
                return
            self._write(changed)
            if self._table is not changed:
                self._require_every_place("take the anchor")

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """See the port; looks at every live place now."""
        with self._lock:
            if self._stopped or self._any_out_of_step():
                self._refresh()
            away = [ReplicaStatus(place=place, serial=0, fault=fault) for place, fault in self._absent()]
            return (*(_status(standing, self._table) for standing in self._live()), *away)

    def confirm_backup(self) -> None:
        """See the port."""
        with self._changing() as table:
            self._require_every_place("note the confirmation")
            self._write(table.with_backup_confirmed(self._clock.now()))
            self._require_every_place("note the confirmation")


def _status(standing: Standing, table: KeyTable) -> ReplicaStatus:
    fault = None if standing.fault is None else str(standing.fault)
    if fault is None and standing.table != table:
        fault = "it lags behind the others; it is brought up as soon as the keyring's own directory is there"
    return ReplicaStatus(place=standing.place.name, serial=standing.table.serial, fault=fault)
