"""Day keys and frozen-month keys: made before first use, shared by writers, closed and destroyed when their time is over.

A data key is wrapped under the key of the day on which its communication is to be destroyed. When the day is over and
purged, what a hold still freezes moves under the key of the current frozen month, and the day's key dies: from then on no
backup opens what that day destroyed. Writers lock the key's row FOR SHARE until they commit; closing locks it FOR UPDATE
and then counts zero. A destroyed key counts as gone only when no process can still hold it (``cache_seconds``).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, tzinfo

from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, KeyDestroyed, KeyNotFound, NotFound
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock
from recvault.sealing.wrapping import wrap_aad
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger

SURVIVOR_BATCH = 500
"""Communications re-wrapped in one transaction."""

PATIENCE = timedelta(hours=24)
"""How long the purge may be late with an item before its data key moves to the frozen month."""

ACTOR = "system:keys"


class PeriodKeys:
    """Chooses, makes, shares and closes the keys that wrap data keys."""

    def __init__(
        self, *, database: Database, keyring: Keyring, ledger: Ledger, audit: AuditLog, clock: Clock, zone: tzinfo
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._zone = zone

    def prepare(self, destroy_at: datetime) -> str:
        """The id of an open key for the day of ``destroy_at``; made, and confirmed by every replica, when there is none."""
        return self._prepare("day", destroy_at.astimezone(self._zone).date().isoformat())

    def prepare_in(self, unit: UnitOfWork, destroy_at: datetime) -> str:
        """The same inside the caller's transaction (which then cannot run beside another maker of the same key)."""
        period = destroy_at.astimezone(self._zone).date().isoformat()
        found = unit.period_keys.open_for(period)
        return found.key_id if found is not None else self._add(unit, "day", period)

    def wrap(self, communication_id: str, key_id: str, data_key: bytes) -> bytes:
        """The data key under ``key_id``, bound to its communication."""
        return self._keyring.wrap(key_id, data_key, wrap_aad(communication=communication_id, key_id=key_id))

    def unwrap(self, communication: Communication) -> bytes:
        """The data key of a stored communication."""
        if communication.wrapped_key is None:
            raise NotFound("this communication has been destroyed")
        aad = wrap_aad(communication=communication.id, key_id=communication.key_id)
        return self._keyring.unwrap(communication.key_id, communication.wrapped_key, aad)

    def share(self, unit: UnitOfWork, key_id: str) -> None:
        """Keeps the key open until the caller's transaction ends; Conflict when it began to close (prepare again)."""
        if unit.period_keys.share(key_id).closing_at is not None:
            raise Conflict("the day's key is closing; the same request works again at once")

    def rewrap(self, unit: UnitOfWork, communication: Communication, key_id: str) -> None:
        """Moves the data key of a locked communication under ``key_id``."""
        if communication.key_id == key_id:
            return
        self.share(unit, key_id)
        wrapped = self.wrap(communication.id, key_id, self.unwrap(communication))
        unit.communications.rewrap(communication.id, key_id=key_id, wrapped_key=wrapped)

    def gone_since(self, key_ids: Collection[str]) -> dict[str, datetime]:
        """Since when each of the keys is gone from every place, by the keyring's own word; those that may still open are
        absent."""
        lease = timedelta(seconds=self._keyring.cache_seconds)
        gone: dict[str, datetime] = {}
        for key_id in key_ids:
            try:
                at = self._keyring.info(key_id).destroyed_at
            except KeyNotFound:
                at = None
            if at is not None and at + lease <= self._clock.now():
                gone[key_id] = at
        return gone

    def close_due(self) -> list[str]:
        """Closes every key whose period is over and that nothing due still needs; returns the ids destroyed now.

        Steps, each repeatable: (1) move survivors to the frozen month, (2) lock, count zero, mark closing, (3) ledger and
        keyring, (4) after ``cache_seconds`` note the key as destroyed.
        """
        now = self._clock.now()
        today = now.astimezone(self._zone).date()
        with self._database.read() as unit:
            keys = unit.period_keys.closable(day_before=today.isoformat(), month_before=f"{today:%Y-%m}")
        for key in keys:
            if key.closing_at is None and self._move_survivors(key, now):
                self._mark_closing(key, now)
        return self._destroy_closing()

    def _prepare(self, kind: str, period: str) -> str:
        found = self._open_for(period)
        if found is not None:
            return found.key_id
        try:
            return self._make(kind, period)
        except Conflict:  # another process made it first
            found = self._open_for(period)
            if found is None:
                raise
            return found.key_id

    def _open_for(self, period: str) -> PeriodKey | None:
        with self._database.read() as unit:
            return unit.period_keys.open_for(period)

    def _make(self, kind: str, period: str) -> str:
        with self._database.begin() as unit:
            key_id = self._add(unit, kind, period)
            unit.commit()
        return key_id

    def _add(self, unit: UnitOfWork, kind: str, period: str) -> str:
        generation = unit.period_keys.last_generation(period) + 1
        key_id = f"{kind}/{period}/{generation}"
        while self._is_spent(key_id):  # a restored database has forgotten generations that the keyring remembers
            generation += 1
            key_id = f"{kind}/{period}/{generation}"
        unit.period_keys.add(
            PeriodKey(key_id=key_id, period=period, generation=generation, created_at=self._clock.now())
        )
        self._audit.record(unit, actor=ACTOR, act=Act.KEY_CREATED, target=key_id)
        return key_id

    def _is_spent(self, key_id: str) -> bool:
        try:
            self._keyring.ensure(key_id, KeyKind.WRAP)
        except KeyDestroyed:
            return True
        return False

    def _move_survivors(self, key: PeriodKey, now: datetime) -> bool:
        """Re-wraps what outlives the period; False when something is still to be purged under this key."""
        month = now.astimezone(self._zone).strftime("%Y-%m")
        all_moved = True
        seen = ""
        while batch := self._under(key, after=seen):
            seen = batch[-1]
            frozen = self._prepare("frozen", month)  # before the transaction below: it has one of its own
            with self._database.begin() as unit:
                held = unit.holds.covering(batch)
                for communication in unit.communications.lock(batch):
                    if communication.key_id != key.key_id or communication.wrapped_key is None:
                        continue
                    if communication.id in held or _purge_was_late(communication, now):
                        self.rewrap(unit, communication, frozen)
                    else:
                        all_moved = False
                unit.commit()
        return all_moved

    def _under(self, key: PeriodKey, after: str) -> list[str]:
        with self._database.read() as unit:
            return unit.communications.ids_under_key(key.key_id, SURVIVOR_BATCH, after=after)

    def _mark_closing(self, key: PeriodKey, now: datetime) -> None:
        with self._database.begin() as unit:
            if unit.period_keys.lock(key.key_id).closing_at is not None:
                return
            if unit.communications.ids_under_key(key.key_id, 1):
                return  # a writer was quicker; the next tick looks again
            unit.period_keys.mark_closing(key.key_id, now)
            unit.commit()

    def _destroy_closing(self) -> list[str]:
        with self._database.read() as unit:
            closing = [key.key_id for key in unit.period_keys.in_closing()]
        fresh = [key_id for key_id in closing if self._keyring.info(key_id).destroyed_at is None]
        if fresh:
            self._ledger.write(LedgerKind.KEYS_DESTROYED, {"keys": fresh})
            self._keyring.destroy(fresh)
        lease = timedelta(seconds=self._keyring.cache_seconds)
        for key_id in closing:
            gone_at = self._keyring.info(key_id).destroyed_at
            if gone_at is not None and gone_at + lease <= self._clock.now():
                self._note_destroyed(key_id, gone_at)
        return fresh

    def _note_destroyed(self, key_id: str, at: datetime) -> None:
        with self._database.begin() as unit:
            if unit.period_keys.lock(key_id).destroyed_at is None:
                unit.period_keys.mark_destroyed(key_id, at)
                self._audit.record(unit, actor=ACTOR, act=Act.KEY_DESTROYED, target=key_id)
                unit.commit()


def _purge_was_late(communication: Communication, now: datetime) -> bool:
    return max(communication.destroy_at, communication.stored_at) + PATIENCE <= now
