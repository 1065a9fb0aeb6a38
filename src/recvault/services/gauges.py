"""How the archive stands, in ten numbers for whoever watches it at night.

Keeps: numbers only, no id and nothing personal; reading changes nothing. A part that does not answer within the patience
given neither delays the others nor is asked a second time meanwhile: its numbers are missing, and what says whether it is
reachable is 0. A missing number is therefore never to be read as a good one.
The worker's sign of life goes through the database, because worker and API need not stand on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock, Thread

from recvault.domain.backups import VERIFIED
from recvault.domain.communication import Attention
from recvault.domain.errors import RecvaultError, ResidencyViolation
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock
from recvault.services.mailing import LATE
from recvault.services.places import Places

LAST_TICK = "worker-tick"
"""The setting in which the worker leaves the moment of its last sign of life."""

NOT_INTACT = (Attention.KEY_DAMAGED, Attention.FACTS_ALTERED)
"""Marks of rows that somebody or something damaged."""

NEVER = math.inf
"""The age of what never happened."""

Values = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """One number: its name (unit at the end where it has one) and what it tells."""

    name: str
    help: str


GAUGES = (
    Gauge(name="database_reachable", help="1 when the database answers, else 0."),
    Gauge(name="store_reachable", help="1 when the object store answers, else 0."),
    Gauge(name="place_in_order", help="1 when every place is allowed; 0 when nothing is written because one is not."),
    Gauge(name="keyring_in_step", help="1 when every place of the keyring holds its newest state, else 0."),
    Gauge(
        name="backup_verified_age_seconds",
        help="Seconds since the newest backup of the database that was looked through; +Inf if none ever was.",
    ),
    Gauge(name="last_tick_age_seconds", help="Seconds since a worker last gave a sign of life; +Inf if none ever did."),
    Gauge(name="audit_unnumbered_age_seconds", help="Age of the oldest audit entry that is not yet in the tree."),
    Gauge(name="destruction_suspended", help="1 while a person has suspended automatic destruction, else 0."),
    Gauge(name="due", help="Communications whose end has come and that nothing freezes."),
    Gauge(name="overdue", help="Communications still there purge.overdue_alarm_hours after their end, without a hold."),
    Gauge(name="needs_attention", help="Communications that wait for a person to look at them."),
    Gauge(name="not_intact", help="Communications whose data key does not open, or whose facts were altered."),
    Gauge(name="mails_late", help="Mails that have waited for 15 minutes or longer to be sent."),
)


class Gauges:
    """Reads them all. ``overdue_after``: how long after its end a communication counts as overdue."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        keyring: Keyring,
        places: Places,
        clock: Clock,
        overdue_after: timedelta,
    ) -> None:
        self._database = database
        self._store = store
        self._keyring = keyring
        self._places = places
        self._clock = clock
        self._overdue_after = overdue_after
        self._questions = tuple(
            _Question(ask) for ask in (self._of_database, self._of_store, self._of_places, self._of_keyring)
        )

    def beat(self) -> None:
        """The worker's sign of life; DatabaseUnavailable when it cannot be left."""
        with self._database.begin() as unit:
            unit.settings.put(LAST_TICK, {"at": self._clock.now().isoformat()})
            unit.commit()

    def read(self, *, patience_seconds: float = 4.0) -> dict[str, float]:
        """The numbers by name of :data:`GAUGES`, in that order; those of a part that gives no answer are missing."""
        until = time.monotonic() + patience_seconds
        asked = [question.begin() for question in self._questions]
        found = {"database_reachable": 0.0, "store_reachable": 0.0, "keyring_in_step": 0.0}
        for asking in asked:
            found |= asking.answer(until)
        return {gauge.name: found[gauge.name] for gauge in GAUGES if gauge.name in found}

    def _of_database(self) -> Values:
        now = self._clock.now()
        with self._database.read() as unit:
            tick = unit.settings.get(LAST_TICK)
            backup = unit.settings.get(VERIFIED)
            waiting = unit.audit.oldest_waiting()
            suspension = unit.brakes.suspension()
            return {
                "database_reachable": 1,
                "backup_verified_age_seconds": _age_of(backup, "made_at", now),
                "last_tick_age_seconds": _age_of(tick, "at", now),
                "audit_unnumbered_age_seconds": _age(waiting, now) if waiting else 0,
                "destruction_suspended": suspension is not None and suspension.stands(now),
                "due": unit.communications.count_due(now),
                "overdue": unit.communications.count_overdue(now - self._overdue_after),
                "needs_attention": unit.communications.count_attention(),
                "not_intact": unit.communications.count_marked(NOT_INTACT),
                "mails_late": unit.notices.unsent(now - LATE)[0],
            }

    def _of_store(self) -> Values:
        self._store.check()
        return {"store_reachable": 1}

    def _of_places(self) -> Values:
        """Looks anew only when the last look is old."""
        try:
            self._places.require_writable()
        except ResidencyViolation:
            return {"place_in_order": 0}
        return {"place_in_order": 1}

    def _of_keyring(self) -> Values:
        return {
            "keyring_in_step": all(replica.fault is None for replica in self._keyring.replicas()),
        }


class _Asking:
    """One asking in a thread of its own, since a file system or server that hangs cannot be told to answer."""

    def __init__(self, ask: Callable[[], Values]) -> None:
        self._ask = ask
        self._values: Values = {}
        self._thread = Thread(target=self._run, name="gauge", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # What is reachable says so itself; of an error it is the answer that the number is missing.
        with suppress(RecvaultError):
            self._values = self._ask()

    @property
    def under_way(self) -> bool:
        """Whether there is neither an answer nor an error yet."""
        return self._thread.is_alive()

    def answer(self, until: float) -> Values:
        """What was answered by ``until`` (of the monotonic clock); empty when nothing was."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return self._values


class _Question:
    """Something to ask again and again, but not while an earlier asking is still without an answer."""

    def __init__(self, ask: Callable[[], Values]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._asking: _Asking | None = None

    def begin(self) -> _Asking:
        """Asks, or joins an asking under way."""
        with self._lock:
            if self._asking is None or not self._asking.under_way:
                self._asking = _Asking(self._ask)
            return self._asking


def _age_of(fact: Mapping[str, object] | None, name: str, now: datetime) -> float:
    return NEVER if fact is None else _age(datetime.fromisoformat(str(fact[name])), now)


def _age(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())
