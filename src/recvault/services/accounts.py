"""Accounts of people: adding, roles, closing.

Keeps: whoever loses or gains a role signs in again, since all their sessions end with the change. Left to others: signing
in (``services.sign_in``), sessions and tokens (``services.sessions``), sources (``services.sources``).
"""

from __future__ import annotations

from dataclasses import replace

from recvault.domain.access import Grant, Role
from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Kind
from recvault.services.audit_log import AuditLog
from recvault.services.passwords import Passwords
from recvault.services.people import named, require_name
from recvault.services.sessions import Sessions


class Accounts:
    """Makes accounts and tells who stands behind a credential."""

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        sessions: Sessions,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._sessions = sessions

    def add_user(
        self,
        name: str,
        *,
        display_name: str,
        password: str | None,
        grants: tuple[Grant, ...],
        by: str,
        agent_id: str | None = None,
        language: str = "fi",
    ) -> User:
        """A new person, who sets a password by an invitation; only the demo and tests give one here. Without a password only
        an API token signs in."""
        if any(grant.role is Role.SOURCE for grant in grants):
            raise InvalidInput("people cannot have the role of a source; add a source instead")
        encoded = None if password is None else self._passwords.hashed(password, names=(name, display_name))
        now = self._clock.now()
        user = User(
            id=uuid7(now, self._entropy.bytes(10)),
            name=require_name(name),
            display_name=display_name,
            password_hash=encoded,
            grants=grants,
            created_at=now,
            agent_id=agent_id,
            language=language,
        )
        with self._database.begin() as unit:
            unit.accounts.add_user(user)
            self._record_grants(unit, user, by)
            unit.commit()
        return user

    def set_grants(self, name: str, grants: tuple[Grant, ...], *, by: str) -> User:
        """Replaces a person's roles; counts from the next act on."""
        with self._database.begin() as unit:
            user = replace(named(unit, name), grants=grants)
            unit.accounts.put_user(user)
            self._sessions.end_all(unit, user.id)
            self._record_grants(unit, user, by)
            unit.commit()
        return user

    def disable(self, name: str, *, by: str) -> User:
        """A leaver: every credential is refused from now on."""
        with self._database.begin() as unit:
            user = replace(named(unit, name), disabled_at=self._clock.now(), grants=())
            unit.accounts.put_user(user)
            unit.sessions.revoke_all(user.id, self._clock.now(), kinds=frozenset(Kind))
            self._record_grants(unit, user, by)
            unit.commit()
        return user

    def users(self) -> list[User]:
        """All people, in name order."""
        with self._database.read() as unit:
            return unit.accounts.users()

    def user_named(self, name: str) -> User:
        """By sign-in name; NotFound."""
        with self._database.read() as unit:
            return named(unit, name)

    def _record_grants(self, unit: UnitOfWork, user: User, by: str) -> None:
        self._audit.record(
            unit,
            actor=by,
            act=Act.ROLE_GRANTED,
            target=user.id,
            detail={
                "roles": sorted(g.role.value for g in user.grants),
                "scopes": sorted(g.scope.kind.value for g in user.grants),
                "disabled": user.disabled_at is not None,
            },
        )
