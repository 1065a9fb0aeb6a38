"""Accounts: sources and their tokens, people, sign-in, sessions, API tokens.

Keeps: secrets are shown once and stored hashed (tokens are 32 random bytes, so SHA-256 suffices; passwords Argon2id);
unknown users cost as much time as known ones; a role taken away counts from the next act on, because the actor is loaded
at every request. Second factors, OIDC and lock-out are left to a later step (see CHANGELOG).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import Source, Token, User
from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, NotAuthenticated, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog

SOURCE_PREFIX = "rvs_"
API_PREFIX = "rvt_"
SESSION_PREFIX = "rvw_"
PASSWORD_MINIMUM = 12
PASSWORD_MAXIMUM = 1024
SESSION = "session"
API = "api"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLimits:
    """How long a browser session lives: without use, and at most."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=10)
    api: timedelta = timedelta(days=90)


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
        limits: SessionLimits,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._limits = limits

    # --- sources

    def add_source(
        self, name: str, *, by: str, notice_ref: str | None = None, balancing_ref: str | None = None
    ) -> tuple[Source, str]:
        """A new source and its token, which is shown only now."""
        now = self._clock.now()
        token = self._secret(SOURCE_PREFIX)
        source = Source(
            id=uuid7(now, self._entropy.bytes(10)),
            name=_require_name(name),
            token_hash=token_hash(token),
            notice_ref=notice_ref,
            balancing_ref=balancing_ref,
            created_at=now,
        )
        with self._database.begin() as unit:
            unit.accounts.add_source(source)
            self._audit.record(unit, actor=by, act=Act.SOURCE_ADDED, target=source.id)
            unit.commit()
        return source, token

    def revoke_source(self, name: str, *, by: str) -> Source:
        """Refuses the source's token from now on, uploads under way included."""
        with self._database.begin() as unit:
            source = unit.accounts.source_by_name(name)
            if source is None:
                raise NotFound("there is no source of this name; see 'recvault source list'")
            if source.revoked_at is None:
                unit.accounts.revoke_source(source.id, self._clock.now())
                self._audit.record(unit, actor=by, act=Act.SOURCE_REVOKED, target=source.id)
            unit.commit()
        return source

    def sources(self) -> list[Source]:
        """All sources, in name order."""
        with self._database.read() as unit:
            return unit.accounts.sources()

    def source_of(self, token: str) -> Source:
        """The source behind a bearer token; NotAuthenticated when unknown or revoked."""
        with self._database.look() as unit:
            source = unit.accounts.source_by_token(token_hash(token))
        if source is None or source.revoked_at is not None:
            raise NotAuthenticated("the source's token is unknown or revoked; ask for a new one")
        return source

    # --- people

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
            name=_require_name(name),
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
            user = replace(_named(unit, name), grants=grants)
            unit.accounts.put_user(user)
            self._record_grants(unit, user, by)
            unit.commit()
        return user

    def disable(self, name: str, *, by: str) -> User:
        """A leaver: every credential is refused from now on."""
        with self._database.begin() as unit:
            user = replace(_named(unit, name), disabled_at=self._clock.now(), grants=())
            unit.accounts.put_user(user)
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
            return _named(unit, name)

    # --- sign-in and credentials

    def sign_in(self, name: str, password: str) -> tuple[User, str]:
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
            secret = self._add_token(unit, user, SESSION, SESSION_PREFIX, self._limits.absolute)
            self._audit.record(unit, actor=user.id, act=Act.SIGNED_IN)
            unit.commit()
        return user, secret

    def sign_out(self, secret: str) -> None:
        """Ends the session; ending it twice is harmless."""
        with self._database.begin() as unit:
            token = unit.accounts.token(token_hash(secret))
            if token is not None and token.revoked_at is None:
                unit.accounts.revoke_token(token.hash, self._clock.now())
                self._audit.record(unit, actor=token.user_id, act=Act.SIGNED_OUT)
            unit.commit()

    def issue_api_token(self, name: str, *, by: str) -> str:
        """An API token of a person; shown only now."""
        with self._database.begin() as unit:
            user = _named(unit, name)
            secret = self._add_token(unit, user, API, API_PREFIX, self._limits.api)
            self._audit.record(unit, actor=by, act=Act.USER_ADDED, target=user.id, detail={"token": API})
            unit.commit()
        return secret

    def person_of(self, secret: str) -> User:
        """The person behind a session or API token, with the roles of this moment; NotAuthenticated otherwise."""
        now = self._clock.now()
        with self._database.look() as unit:
            token = unit.accounts.token(token_hash(secret))
            if token is None or not self._live(token, now):
                raise NotAuthenticated("the session has ended; sign in again")
            user = unit.accounts.user(token.user_id)
        if user.disabled_at is not None:
            raise NotAuthenticated("this account is closed")
        self._touch(token, now)
        return user

    def _live(self, token: Token, now: datetime) -> bool:
        idle_over = token.kind == SESSION and token.last_used_at + self._limits.idle <= now
        return token.revoked_at is None and now < token.expires_at and not idle_over

    def _touch(self, token: Token, now: datetime) -> None:
        if now - token.last_used_at < timedelta(minutes=1):
            return  # once a minute is enough for the idle limit, and spares a write at every range
        with self._database.begin() as unit:
            unit.accounts.touch_token(token.hash, now)
            unit.commit()

    def _add_token(self, unit: UnitOfWork, user: User, kind: str, prefix: str, life: timedelta) -> str:
        now = self._clock.now()
        secret = self._secret(prefix)
        unit.accounts.add_token(
            Token(
                hash=token_hash(secret),
                user_id=user.id,
                kind=kind,
                created_at=now,
                expires_at=now + life,
                last_used_at=now,
            )
        )
        return secret

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

    def _secret(self, prefix: str) -> str:
        return prefix + base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")


def actor_of(user: User) -> Actor:
    """The person as access control sees them."""
    return Actor(
        id=user.id, grants=user.grants, agent_id=user.agent_id, person=user.person, agent_until=user.agent_until
    )


def token_hash(secret: str) -> bytes:
    """SHA-256 of a random secret: what is stored and looked up."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _named(unit: UnitOfWork, name: str) -> User:
    user = unit.accounts.user_by_name(name)
    if user is None:
        raise NotFound("there is no account of this name; see 'recvault user list'")
    return user


def _require_name(name: str) -> str:
    if not 1 <= len(name) <= 64 or not all(ch.isalnum() or ch in "._-@" for ch in name):
        raise InvalidInput("a name has 1 to 64 letters, digits, dots, dashes, underscores or @")
    return name


def require_password(password: str) -> str:
    """The password; InvalidInput when it is too short or too long."""
    if not PASSWORD_MINIMUM <= len(password) <= PASSWORD_MAXIMUM:
        raise InvalidInput(f"a password has {PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters; longer is better")
    return password
