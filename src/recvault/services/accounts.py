"""Accounts of people: adding, roles, closing, and signing in by password.

Keeps: passwords are stored hashed (Argon2id); unknown users cost as much time as known ones; whoever loses or gains a role
signs in again, since all their sessions end with the change. Left to others: sessions and tokens (``services.sessions``),
sources (``services.sources``).
"""

from __future__ import annotations

from dataclasses import replace

from recvault.domain.access import Grant, Role
from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, NotAuthenticated
from recvault.domain.ids import uuid7
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Kind, Method
from recvault.services.audit_log import AuditLog
from recvault.services.people import named, require_name
from recvault.services.sessions import Sessions

PASSWORD_MINIMUM = 12
PASSWORD_MAXIMUM = 1024


class Accounts:
    """Makes accounts and tells who stands behind a credential."""

    def __init__(
        self,
        *,
        database: Database,
        hasher: PasswordHasher,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        sessions: Sessions,
    ) -> None:
        self._database = database
        self._hasher = hasher
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
        """A new person. Without a password only an API token signs in."""
        if any(grant.role is Role.SOURCE for grant in grants):
            raise InvalidInput("people cannot have the role of a source; add a source instead")
        now = self._clock.now()
        user = User(
            id=uuid7(now, self._entropy.bytes(10)),
            name=require_name(name),
            display_name=display_name,
            password_hash=None if password is None else self._hasher.hash(require_password(password)),
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

    # --- sign-in

    def sign_in(self, name: str, password: str, *, label: str = "") -> tuple[User, str]:
        """Checks the password and opens a browser session; returns its secret, which is stored hashed."""
        with self._database.read() as unit:
            user = unit.accounts.user_by_name(name)
        encoded = user.password_hash if user is not None and user.password_hash else self._hasher.dummy()
        try:
            self._hasher.verify(encoded, password[:PASSWORD_MAXIMUM])
            if user is None or user.password_hash is None or user.disabled_at is not None:
                raise NotAuthenticated("name or password is wrong")
        except NotAuthenticated:
            self._audit.note(actor="system:sign-in", act=Act.SIGN_IN_FAILED, target=None if user is None else user.id)
            raise
        newer = self._hasher.hash(password) if self._hasher.needs_rehash(encoded) else None
        with self._database.begin() as unit:
            if newer is not None:  # the hash alone: roles or closing may have changed while the password was checked
                unit.accounts.replace_password_hash(user.id, encoded, newer)
            user = unit.accounts.user(user.id)
            if user.disabled_at is not None:
                raise NotAuthenticated("this account is closed")
            secret = self._sessions.open(unit, user, methods=(Method.PASSWORD,), label=label, now=self._clock.now())
            self._audit.record(unit, actor=user.id, act=Act.SIGNED_IN)
            unit.commit()
        return user, secret

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


def require_password(password: str) -> str:
    """The password; InvalidInput when it is too short or too long."""
    if not PASSWORD_MINIMUM <= len(password) <= PASSWORD_MAXIMUM:
        raise InvalidInput(f"a password has {PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters; longer is better")
    return password
