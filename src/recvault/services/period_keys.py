"""Day keys and frozen-month keys, for those who wrap under them: made before first use, shared until the writer commits.

A data key is wrapped under the key of the day on which its communication is to be destroyed; a day has generations, of
which the newest open one takes what is new. Writers lock the key's row FOR SHARE until they commit, so that it cannot close
under them. A destroyed key counts as gone only when no process can still hold it (``cache_seconds``). How keys are
superseded, emptied and destroyed is left to :mod:`key_ends`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, tzinfo

from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, KeyDestroyed, KeyNotFound, NotFound
from recvault.domain.period_keys import KeyState, state_of
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock
from recvault.sealing.wrapping import wrap_aad
from recvault.services.audit_log import AuditLog

ACTOR = "system:keys"

REMEMBERED = 4096
"""Days whose open key a process remembers."""


class PeriodKeys:
    """Chooses, makes and shares the keys that wrap data keys."""

    def __init__(self, *, database: Database, keyring: Keyring, audit: AuditLog, clock: Clock, zone: tzinfo) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit
        self._clock = clock
        self._zone = zone
        self._remembered: dict[str, str] = {}

    def prepare(self, destroy_at: datetime) -> str:
        """The id of an open key for the day of ``destroy_at``; made, and confirmed by every replica, when there is none.
        It is remembered, and may have been superseded since: :meth:`share` is the truth, and :meth:`forget` what to do
        then."""
        period = self._day(destroy_at)
        known = self._remembered.get(period)
        if known is None:
            known = self.open_key("day", period)
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[period] = known
        return known

    def forget(self, destroy_at: datetime) -> None:
        """The next :meth:`prepare` asks the database again."""
        self._remembered.pop(self._day(destroy_at), None)

    def prepare_in(self, unit: UnitOfWork, destroy_at: datetime) -> str:
        """The same inside the caller's transaction (another maker of the same key then waits for its end)."""
        return self._open_in(unit, "day", self._day(destroy_at))

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
        """Keeps the key open until the caller's transaction ends; Conflict when it began to close or is not there
        (prepare again)."""
        try:
            key = unit.period_keys.share(key_id)
        except NotFound as fault:  # remembered from before the database was restored
            raise Conflict("the day's key is not known any more; the same request works again at once") from fault
        if state_of(key) is not KeyState.OPEN:
            raise Conflict("the day's key is closing; the same request works again at once")

    def rewrap(self, unit: UnitOfWork, communication: Communication, key_id: str) -> None:
        """Moves the data key of a locked communication under ``key_id``."""
        if communication.key_id == key_id:
            return
        self.share(unit, key_id)
        wrapped = self.wrap(communication.id, key_id, self.unwrap(communication))
        unit.communications.rewrap(communication.id, key_id=key_id, wrapped_key=wrapped)
        unit.period_keys.depart(communication.key_id, self._clock.now())

    def _day(self, destroy_at: datetime) -> str:
        return destroy_at.astimezone(self._zone).date().isoformat()

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

    def open_key(self, kind: str, period: str) -> str:
        """The id of the open key of a period (kind ``day`` or ``frozen``), made when there is none. Several that make it at
        once get the same one."""
        with self._database.read() as unit:
            found = unit.period_keys.open_for(period)
        if found is not None:
            return found.key_id
        with self._database.begin() as unit:
            key_id = self._open_in(unit, kind, period)
            unit.commit()
        return key_id

    def add_generation(self, unit: UnitOfWork, kind: str, period: str, *, after: int) -> str | None:
        """The next generation of a period ``after`` another, in every place of the keyring before its row; None when
        another transaction has just added it."""
        generation = after + 1
        key_id = f"{kind}/{period}/{generation}"
        while self._is_spent(key_id):  # a restored database has forgotten generations that the keyring remembers
            generation += 1
            key_id = f"{kind}/{period}/{generation}"
        key = PeriodKey(key_id=key_id, period=period, generation=generation, created_at=self._clock.now())
        if not unit.period_keys.add_missing(key):
            return None
        self._audit.record(unit, actor=ACTOR, act=Act.KEY_CREATED, target=key_id)
        return key_id

    def _open_in(self, unit: UnitOfWork, kind: str, period: str) -> str:
        while True:
            last = unit.period_keys.last_generation(period)  # before the look for an open one: or two would be made
            found = unit.period_keys.open_for(period)
            made = found.key_id if found is not None else self.add_generation(unit, kind, period, after=last)
            if made is not None:
                return made

    def _is_spent(self, key_id: str) -> bool:
        try:
            self._keyring.ensure(key_id, KeyKind.WRAP)
        except KeyDestroyed:
            return True
        return False
