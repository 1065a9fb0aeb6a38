"""Signing in by password where people sign in at an issuer: only accounts kept for the day the issuer is away.

Keeps: where the configuration says so, nobody else's password opens anything, and the refusal is that of a wrong password;
every such sign-in is an act of its own and an alarm that people are told of anew. Left to others: checking the password.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import NotAuthenticated, NotFound
from recvault.domain.federation import BreakGlass
from recvault.domain.notices import AlarmCode
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.people import named

SHOWN = timedelta(hours=24)
"""How long such a sign-in is an alarm."""


class LocalSignIn:
    """``only_break_glass``: whether the configuration leaves passwords to such accounts."""

    def __init__(self, *, database: Database, audit: AuditLog, clock: Clock, only_break_glass: bool) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._only = only_break_glass

    @property
    def only_break_glass(self) -> bool:
        """Whether passwords are left to break-glass accounts."""
        return self._only

    def open_to(self, unit: UnitOfWork, user: User | None) -> User | None:
        """The person, None when no password of theirs opens anything: they are then treated as unknown, whatever they
        typed, so that the answer tells nothing of the password."""
        if user is None or not self._only or unit.federation.break_glass(user.id) is not None:
            return user
        return None

    def enter(self, unit: UnitOfWork, user: User) -> None:
        """Called with a password that was right, in the transaction that opens the session. NotAuthenticated, in the words
        of a wrong password, for an account that may not (any more); else the act and the alarm."""
        if not self._only:
            return
        account = unit.federation.break_glass(user.id)
        if account is None:
            raise NotAuthenticated("name or password is wrong")
        unit.federation.mark_break_glass(replace(account, last_used_at=self._clock.now()))
        for alarm in unit.notices.alarms():
            if alarm.name == AlarmCode.BREAK_GLASS_SIGN_IN:
                unit.notices.end(alarm)  # it begins again, so that people hear of each
        self._audit.record(unit, actor=user.id, act=Act.BREAK_GLASS_USED, target=user.id)

    def mark(self, name: str, *, by: str) -> BreakGlass:
        """Makes it an account for emergencies."""
        with self._database.begin() as unit:
            user = named(unit, name)
            account = BreakGlass(user_id=user.id, marked_at=self._clock.now(), marked_by=by)
            unit.federation.mark_break_glass(account)
            self._audit.record(unit, actor=by, act=Act.BREAK_GLASS_MARKED, target=user.id)
            unit.commit()
        return account

    def unmark(self, name: str, *, by: str) -> None:
        """It is one no more. NotFound when it was none."""
        with self._database.begin() as unit:
            user = named(unit, name)
            if not unit.federation.unmark_break_glass(user.id):
                raise NotFound("this account is no break-glass account; see 'recvault oidc list'")
            self._audit.record(unit, actor=by, act=Act.BREAK_GLASS_UNMARKED, target=user.id)
            unit.commit()

    def accounts(self) -> list[tuple[User, BreakGlass]]:
        """Those there are."""
        with self._database.read() as unit:
            return [(unit.accounts.user(one.user_id), one) for one in unit.federation.break_glass_accounts()]


def used_lately(unit: UnitOfWork, now: datetime) -> int:
    """How many break-glass accounts signed in within SHOWN."""
    accounts = unit.federation.break_glass_accounts()
    return sum(one.last_used_at is not None and now - one.last_used_at < SHOWN for one in accounts)
