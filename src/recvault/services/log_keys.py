"""The keys that entries of the audit log are sealed under: made ahead, given to entries of earlier versions, destroyed.

Keeps: a key dies only when its month is over and nothing stands under it, or waits to, any more; before it dies the ledger and
the log say so. From then on no backup of the database opens an entry of that month, whatever keyring of today is beside it.
Left to others: sealing itself (the database's adapter), and which entries end (``log_life``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from recvault.domain.audit import Act
from recvault.domain.ledger import LedgerKind
from recvault.domain.log_keys import SERIES, coming, is_over
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger

ACTOR = "system:log"

PORTION = 500
"""Clear entries sealed in one transaction, which others who write wait for on SQLite."""


class LogKeys:
    """Makes and ends log keys. ``obstacle``: why nothing may be destroyed at a moment, None when nothing is in the way."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        ledger: Ledger,
        audit: AuditLog,
        clock: Clock,
        obstacle: Callable[[datetime], str | None],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._obstacle = obstacle

    def prepare(self) -> None:
        """Makes the keys of this month and the next, so that a place of the keyring that is away when the month turns stops
        no act. KeyringError when one is away now."""
        for key_id in coming(self._clock.now()):
            if self._keyring.ensure(key_id, KeyKind.MAC):
                self._audit.note(actor=ACTOR, act=Act.KEY_CREATED, target=key_id)

    def seal_old(self, most: int | None = None) -> int:
        """Seals what earlier versions wrote in clear, in portions, each a transaction: whoever interrupts it loses one, and
        any number of processes may be at it. How many, at most about ``most``."""
        total = 0
        while most is None or total < most:
            with self._database.begin() as unit:
                done = unit.audit.seal_clear(PORTION)
                unit.commit()
            total += done
            if done < PORTION:
                break
        return total

    def end(self) -> list[str]:
        """Destroys the keys that keep nothing any more; returns their ids. Repeating it after a crash is harmless."""
        now = self._clock.now()
        living = [one.id for series in SERIES for one in self._keyring.list(series) if one.destroyed_at is None]
        with self._database.read() as unit:
            over = [key_id for key_id in living if is_over(key_id, now) and not unit.audit.any_under(key_id)]
        if not over or self._obstacle(now) is not None:
            return []
        with self._database.begin() as unit:  # first the word: without a trace nothing is destroyed
            self._ledger.append(unit, LedgerKind.KEYS_DESTROYED, {"keys": over})
            for key_id in over:
                self._audit.record(unit, actor=ACTOR, act=Act.KEY_DESTROYED, target=key_id)
            unit.commit()
        self._keyring.destroy(over)
        return over
