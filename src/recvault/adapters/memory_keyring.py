"""A keyring in memory, for tests and trials; it passes the same contract as the one on disk.

Nothing survives the process, and there is no other process that could hold a destroyed key. It destroys in
one step.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.register import with_copy, with_loss, with_places
from recvault.adapters.keyring.uses import KeyUses, anchored, existing, new_record
from recvault.domain.ports.keyring import KeyKind, Loss, OfflineCopy, ReplicaStatus
from recvault.domain.ports.system import Clock, Entropy


class MemoryKeyring(KeyUses):
    """See ``domain.ports.keyring.Keyring``. ``cache_seconds`` is only told, for services to be tried on."""

    def __init__(self, *, clock: Clock, entropy: Entropy, cache_seconds: int = 60) -> None:
        super().__init__(current=lambda: self._table, entropy=entropy)
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._began_at = clock.now()
        self._table = KeyTable()

    @property
    def cache_seconds(self) -> int:
        """See the port."""
        return self._cache_seconds

    def ensure(self, key_id: str, kind: KeyKind) -> bool:
        """See the port."""
        with self._lock:
            if existing(self._table, key_id, kind) is not None:
                return False
            record = new_record(key_id, kind, now=self._clock.now(), entropy=self._entropy)
            self._table = self._table.with_new(record)
            return True

    def destroy(self, key_ids: Collection[str]) -> None:
        """See the port."""
        with self._lock:
            for key_id in key_ids:
                self._table.find(key_id)
            gone = self._table.without_secrets(key_ids)
            self._table = gone.confirmed_gone(key_ids, self._clock.now())

    def set_anchor(self, name: str, value: str) -> None:
        """See the port."""
        with self._lock:
            self._table = anchored(self._table, name, value)

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """See the port."""
        return (ReplicaStatus(place="memory", serial=self._table.serial),)

    def confirm_backup(self) -> None:
        """See the port."""
        with self._lock:
            self._table = self._table.with_backup_confirmed(self._clock.now())

    def note_copy(self, copy: OfflineCopy) -> None:
        """Puts an offline copy on the register, or what became of it."""
        with self._lock:
            self._table = with_copy(self._table, copy)

    def note_loss(self, place: str, loss: Loss) -> None:
        """Puts a place on the register that had everything until now, and is lost."""
        with self._lock:
            added = with_places(self._table, [place], self._began_at)
            self._table = with_loss(added, place, loss, self._clock.now())
