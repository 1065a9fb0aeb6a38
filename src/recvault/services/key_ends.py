"""How period keys end: superseded or over, emptied, waited for, destroyed in every place.

Keeps what the certificate *complete* rests on: a key dies only after nothing was found under it with its row locked, so no
neighbour is lost; what left it alive is in a verified backup by then, or the longest wait is over (``domain.period_keys``,
ADR 0009); and it counts as destroyed only when no process can still hold it. Every step can be repeated, by any number of
workers at once, while uploads, moved ends and purges go on.

Protocol steps, labelled in :meth:`KeyEnds.close_due`:

 1. a key that once wrapped something destroyed before its day is superseded: its row locked, the next generation made;
 2. what must leave a superseded key, or one whose period is over, is re-wrapped in short transactions; 3. its row locked,
 nothing found under it: vacant; 4. nothing to wait for: closing; 5. one entry in the ledger; 6. the keyring destroys it in
 every place; 7. ``cache_seconds`` later the row says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, tzinfo

from recvault.domain.access import Action, Actor
from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act
from recvault.domain.backups import VERIFIED
from recvault.domain.communication import Attention
from recvault.domain.errors import Conflict, InvalidInput, KeyDestroyed, NotFound
from recvault.domain.ledger import LedgerKind
from recvault.domain.period_keys import KeyStanding, KeyState, WaitLimits, WrappedKey, dies_by, may_die, state_of
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock
from recvault.sealing.wrapping import wrap_aads
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger
from recvault.services.period_keys import ACTOR, PeriodKeys

PORTION = 3000
"""Data keys read at once."""

EACH = 1000
"""Data keys moved in one transaction: their rows are locked for less than 100 ms."""

PASSES = 3
"""How often one tick goes back to data keys that another transaction had locked."""

PATIENCE = timedelta(hours=24)
"""How long the purge may be late with an item before its data key moves to the frozen month."""

_REASON = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class KeyEnds:
    """Supersedes, empties and destroys period keys."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        period_keys: PeriodKeys,
        ledger: Ledger,
        audit: AuditLog,
        access: Access,
        clock: Clock,
        zone: tzinfo,
        limits: WaitLimits,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._period_keys = period_keys
        self._ledger = ledger
        self._audit = audit
        self._access = access
        self._clock = clock
        self._zone = zone
        self._limits = limits
        self._damaged: set[str] = set()

    def close_due(self) -> list[str]:
        """Takes every key as far as it may go; returns the ids destroyed now."""
        now = self._clock.now()
        self._supersede_demanded(now)  # 1
        for key in self._leaving(now):
            self._empty_out(key, now)  # 2, 3
        self._let_die(now)  # 4
        return self._destroy_closing()  # 5, 6, 7

    def rekey(self, actor: Actor, period: str, *, reason: str = "by-hand") -> None:
        """Supersedes every open key of a day (``2026-11-22``) or month (``2026-11``) that is not over, and re-wraps what
        lies under them. Repeating it after an interruption goes on where it stopped. ``reason`` is a code."""
        self._access.require(actor, Action.KEY_REKEY)
        if not _REASON.fullmatch(reason):
            raise InvalidInput("a reason is a short code of a-z, 0-9 and -, since it stands in the audit log")
        now = self._clock.now()
        keys = self._of_period(period)
        if not keys:
            raise NotFound("no key of this period is alive; see 'recvault keys status'")
        if self._is_over(period, now):
            raise Conflict("this period is over: its keys end by themselves when what is due has been purged")
        if not any(state_of(key) is KeyState.SUPERSEDED for key in keys):
            for key in keys:
                if state_of(key) is KeyState.OPEN:
                    self._supersede(key, demanded_at=now, by=actor.id, reason=reason)
        for key in self._of_period(period):
            if state_of(key) is KeyState.SUPERSEDED:
                self._empty_out(key, now)

    def status(self) -> list[KeyStanding]:
        """Every key that is not destroyed, with how much lies under it and when it dies at the latest."""
        with self._database.read() as unit:
            counts = unit.period_keys.counts()
            return [
                KeyStanding(
                    key=key,
                    state=state_of(key),
                    under=counts.get(key.key_id, 0),
                    dies_by=dies_by(key, unit.period_keys.last_departure(key.key_id), self._limits),
                )
                for key in unit.period_keys.living()
            ]

    # --- 1: superseding

    def _supersede_demanded(self, now: datetime) -> None:
        """While an older generation of the day still waits, destructions are gathered, so that one re-keying does for
        several; but not for so long that the first of them would wait past the limit."""
        with self._database.read() as unit:
            demanded = unit.period_keys.demanded(day_after=self._today(now).isoformat())
            waiting = {key.period for key in unit.period_keys.superseded() if key.closing_at is None}
        for key, first in demanded:
            if key.period not in waiting or first + self._limits.gather <= now:
                self._supersede(key, demanded_at=first, by=ACTOR, reason="early-destruction")

    def _supersede(self, key: PeriodKey, *, demanded_at: datetime, by: str, reason: str) -> None:
        with self._database.begin() as unit:
            if state_of(unit.period_keys.lock(key.key_id)) is not KeyState.OPEN:
                return  # another worker was quicker
            newest = unit.period_keys.open_for(key.period)
            if newest is None or newest.key_id == key.key_id:
                last = unit.period_keys.last_generation(key.period)
                self._period_keys.add_generation(unit, _kind(key), key.period, after=last)
            unit.period_keys.supersede(key.key_id, at=self._clock.now(), demanded_at=demanded_at)
            self._audit.record(unit, actor=by, act=Act.KEY_SUPERSEDED, target=key.key_id, detail={"reason": reason})
            unit.commit()

    # --- 2 and 3: emptying

    def _leaving(self, now: datetime) -> list[PeriodKey]:
        """Superseded keys and those whose period is over, until they are seen vacant."""
        today = self._today(now)
        with self._database.read() as unit:
            found = unit.period_keys.closable(day_before=today.isoformat(), month_before=f"{today:%Y-%m}")
            found += unit.period_keys.superseded()
        keys = {key.key_id: key for key in found if state_of(key) in (KeyState.OPEN, KeyState.SUPERSEDED)}
        return list(keys.values())

    def _empty_out(self, key: PeriodKey, now: datetime) -> None:
        for _ in range(PASSES):
            moved, locked, staying = self._pass(key, now)
            if not locked and not staying:
                return self._mark_vacant(key)
            if not locked or not moved:
                return None
        return None

    def _pass(self, key: PeriodKey, now: datetime) -> tuple[int, int, int]:
        """Once through what lies under the key: how many moved, how many could not just now, how many are to be purged."""
        moved = locked = staying = 0
        seen = ""
        with ThreadPoolExecutor(1, thread_name_prefix="rewrap") as aside:
            while portion := self._under(key, after=seen):
                seen = portion[-1].communication_id
                leaving = self._survivors(portion, now) if self._is_over(key.period, now) else portion
                done = self._move(key, leaving, now, aside)
                moved, locked = moved + done, locked + len(leaving) - done
                staying += len(portion) - len(leaving)
        return moved, locked, staying

    def _under(self, key: PeriodKey, after: str) -> list[WrappedKey]:
        with self._database.read() as unit:
            return unit.period_keys.wrapped_under(key.key_id, PORTION, after=after)

    def _survivors(self, portion: Sequence[WrappedKey], now: datetime) -> list[WrappedKey]:
        """What outlives its period: held, or stuck in the purge for so long that the others' key must not wait."""
        with self._database.read() as unit:
            ids = [item.communication_id for item in portion]
            surviving = unit.period_keys.late(ids, now - PATIENCE).union(unit.holds.covering(ids))
        return [item for item in portion if item.communication_id in surviving]

    def _move(self, key: PeriodKey, items: Sequence[WrappedKey], now: datetime, aside: ThreadPoolExecutor) -> int:
        """Re-wraps outside the transactions, the next data keys while the database moves those before them."""
        if self._is_over(key.period, now):
            new = self._period_keys.open_key("frozen", f"{self._today(now):%Y-%m}")
        else:
            new = self._period_keys.open_key(_kind(key), key.period)
        parts = [items[first : first + EACH] for first in range(0, len(items), EACH)]
        wrapping = [aside.submit(self._rewrapped, key.key_id, new, part) for part in parts]
        moved = 0
        for part, wrapped in zip(parts, wrapping, strict=True):
            try:
                rewrapped = wrapped.result()
            except KeyDestroyed:
                if self._under(key, after=""):
                    raise
                break  # another worker was quicker: nothing is left under the key, and it has ended
            self._tell_damaged(key.key_id, [one for one in _ids(part) if one not in rewrapped])
            moved += self._put(key.key_id, new, rewrapped, now) if rewrapped else 0
        return moved

    def _put(self, old: str, new: str, rewrapped: Mapping[str, bytes], now: datetime) -> int:
        """In one transaction, which changes only what still lies under the old key."""
        try:
            with self._database.begin() as unit:
                self._period_keys.share(unit, new)
                moved = unit.period_keys.move(rewrapped, old=old, new=new)
                unit.period_keys.depart(old, now)
                unit.commit()
        except Conflict:  # the other key began to close meanwhile; the next pass takes another
            return 0
        return moved

    def _rewrapped(self, old: str, new: str, items: Sequence[WrappedKey]) -> dict[str, bytes]:
        """By communication; those that do not open are absent. Looks at no row."""
        ids = _ids(items)
        before, after = (wrap_aads(communications=ids, key_id=key_id) for key_id in (old, new))
        keys = [item.wrapped_key for item in items]
        found = zip(ids, self._keyring.rewrap_many(old, new, list(zip(keys, before, after, strict=True))), strict=True)
        return {communication_id: wrapped for communication_id, wrapped in found if wrapped is not None}

    def _tell_damaged(self, key_id: str, ids: list[str]) -> None:
        """A data key that does not open keeps its period key alive until the row is mended or destroyed: told once."""
        fresh = [one for one in ids if one not in self._damaged]
        self._damaged.update(fresh)
        for one in fresh:
            with self._database.begin() as unit:
                unit.communications.add_attention(one, [Attention.KEY_DAMAGED])
                detail: dict[str, object] = {"reason": "key-opens-not", "key": key_id}
                self._audit.record(unit, actor=ACTOR, act=Act.STOPPED, target=one, detail=detail)
                unit.commit()

    def _mark_vacant(self, key: PeriodKey) -> None:
        with self._database.begin() as unit:
            if state_of(unit.period_keys.lock(key.key_id)) not in (KeyState.OPEN, KeyState.SUPERSEDED):
                return
            if unit.communications.ids_under_key(key.key_id, 1):
                return  # a writer was quicker; the next tick looks again
            unit.period_keys.mark_vacant(key.key_id, self._clock.now())
            unit.commit()

    # --- 4: waiting

    def _let_die(self, now: datetime) -> None:
        with self._database.read() as unit:
            waiting = [key for key in unit.period_keys.living() if state_of(key) is KeyState.WAITING]
            verified_at = _verified_at(unit)
            ready = [
                key
                for key in waiting
                if may_die(key, unit.period_keys.last_departure(key.key_id), verified_at, now, self._limits)
            ]
        for key in ready:
            with self._database.begin() as unit:
                unit.period_keys.mark_closing(unit.period_keys.lock(key.key_id).key_id, now)
                unit.commit()

    # --- 5 to 7: dying

    def _destroy_closing(self) -> list[str]:
        with self._database.read() as unit:
            closing = unit.period_keys.in_closing()
        living = [key for key in closing if self._keyring.info(key.key_id).destroyed_at is None]
        try:
            if living:
                self._write_down([key.key_id for key in living if key.noted_at is None])
                self._keyring.destroy([key.key_id for key in living])
        finally:  # a place of the keyring that is away holds back what it has yet to lose, and nothing else
            self._note_gone(closing)
        return [key.key_id for key in living]

    def _write_down(self, key_ids: list[str]) -> None:
        """In the ledger, once: what could not be destroyed at once is not told again."""
        with self._database.begin() as unit:
            untold = [key_id for key_id in sorted(key_ids) if unit.period_keys.lock(key_id).noted_at is None]
            if untold:
                unit.period_keys.mark_noted(untold, self._clock.now())
                self._ledger.append(unit, LedgerKind.KEYS_DESTROYED, {"keys": untold})
                unit.commit()

    def _note_gone(self, closing: Sequence[PeriodKey]) -> None:
        lease = timedelta(seconds=self._keyring.cache_seconds)
        for key in closing:
            gone_at = self._keyring.info(key.key_id).destroyed_at
            if gone_at is not None and gone_at + lease <= self._clock.now():
                self._note_destroyed(key.key_id, gone_at)

    def _note_destroyed(self, key_id: str, at: datetime) -> None:
        with self._database.begin() as unit:
            if unit.period_keys.lock(key_id).destroyed_at is None:
                unit.period_keys.mark_destroyed(key_id, at)
                self._audit.record(unit, actor=ACTOR, act=Act.KEY_DESTROYED, target=key_id)
                unit.commit()

    # --- the calendar

    def _of_period(self, period: str) -> list[PeriodKey]:
        with self._database.read() as unit:
            return [key for key in unit.period_keys.living() if key.period == period]

    def _today(self, now: datetime) -> date:
        return now.astimezone(self._zone).date()

    def _is_over(self, period: str, now: datetime) -> bool:
        return period < self._today(now).isoformat()[: len(period)]


def _ids(items: Sequence[WrappedKey]) -> list[str]:
    return [item.communication_id for item in items]


def _kind(key: PeriodKey) -> str:
    return key.key_id.partition("/")[0]


def _verified_at(unit: UnitOfWork) -> datetime | None:
    told = unit.settings.get(VERIFIED)
    return None if told is None else datetime.fromisoformat(str(told["made_at"]))
