"""Signing in: a password, then a second factor where the person's roles need one; proving oneself again; changing one's
own password.

Keeps: an unknown name, a closed account and a wrong password are one answer, after the same looks, the same counting and
the same hashing; nothing is hashed for who must wait (``services.throttle``); the session's secret changes with every
proof; every failed try stands in the log without a word of what was typed. Left to others: what a role needs
(``domain.sessions``), codes (``services.second_factors``), passkeys (``services.passkeys``), cookies (interfaces).
"""

from __future__ import annotations

from dataclasses import dataclass

from recvault.domain.accounts import User
from recvault.domain.attempts import Secret
from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, NotAuthenticated
from recvault.domain.factors import Change
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Kind, Method
from recvault.services.audit_log import AuditLog
from recvault.services.break_glass import LocalSignIn
from recvault.services.passwords import MAXIMUM, Passwords
from recvault.services.second_factors import Held, SecondFactors, tell
from recvault.services.sessions import Sessions, SignedIn
from recvault.services.throttle import ACTOR, Client, Throttle, Try

_WRONG = "name or password is wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """How far signing in has come. ``secret``: of the session, in place of any earlier one; ``complete``: whether it opens
    what the person may; ``held``: the factors to go on with (none: one is to be added first); ``device``: a token by which
    this device is known from now on, None before it is complete."""

    user: User
    secret: str
    complete: bool
    held: Held
    device: str | None


class SignIn:
    """See above."""

    def __init__(
        self,
        *,
        database: Database,
        hasher: PasswordHasher,
        passwords: Passwords,
        sessions: Sessions,
        factors: SecondFactors,
        throttle: Throttle,
        local: LocalSignIn,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._passwords = passwords
        self._sessions = sessions
        self._factors = factors
        self._throttle = throttle
        self._local = local
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    def password(self, name: str, password: str, *, client: Client) -> Step:
        """Checks the password and opens a session. NotAuthenticated, TooManyAttempts."""
        tried = self._throttle.admit(Secret.PASSWORD, name, client)
        with self._database.read() as unit:
            user = self._local.open_to(unit, unit.accounts.user_by_name(name))
        encoded = self._right(user, password, tried)
        newer = self._hasher.hash(password) if self._hasher.needs_rehash(encoded) else None
        with self._database.begin() as unit:
            known = unit.accounts.user_by_name(name)
            if known is None or known.disabled_at is not None or known.password_hash != encoded:
                raise NotAuthenticated(_WRONG)  # closed, or the password replaced, while it was checked
            if newer is not None:  # the hash alone: roles may have changed meanwhile
                unit.accounts.replace_password_hash(known.id, encoded, newer)
            self._local.enter(unit, known)
            now = self._clock.now()
            secret = self._sessions.open(unit, known, methods=(Method.PASSWORD,), label=client.label, now=now)
            self._audit.record(unit, actor=known.id, act=Act.SIGNED_IN)
            self._throttle.succeeded(unit, tried)
            unit.commit()
        return self._step(secret)

    def factor(self, secret: str, code: str, *, client: Client) -> Step:
        """Takes a code of the person's app, or a recovery code, in a session: the second step of signing in, or a proof
        that it is still they. NotAuthenticated, TooManyAttempts; the session stays as it was."""
        found = self._session(secret)
        tried = self._throttle.admit(Secret.CODE, found.user.name, client)
        try:
            method = self._factors.prove(found.user.id, code)
        except NotAuthenticated:
            self._failed(Act.FACTOR_FAILED, found.user, tried)
            raise
        self._succeeded(tried)
        return self._step(self._sessions.add_method(secret, method))

    def again(self, secret: str, password: str, *, client: Client) -> Step:
        """Takes the password once more as a proof that it is still they, for who has no second factor. NotAuthenticated,
        TooManyAttempts."""
        found = self._session(secret)
        if self._factors.held(found.user.id).any:
            raise NotAuthenticated("you have a second factor; give that")
        tried = self._throttle.admit(Secret.PASSWORD, found.user.name, client)
        self._right(found.user, password, tried)
        self._succeeded(tried)
        return self._step(self._sessions.add_method(secret, Method.PASSWORD))

    def enrol(self, secret: str, code: str) -> tuple[tuple[str, ...], Step]:
        """Confirms the app that waits by its first code, which is a proof as well. Recovery codes for who had none, and the
        session after it. What ``SecondFactors.confirm_totp`` raises."""
        codes = self._factors.confirm_totp(self._session(secret), code)
        return codes, self._step(self._sessions.add_method(secret, Method.TOTP))

    def change_password(self, secret: str, old: str, new: str, *, client: Client) -> None:
        """Replaces the person's own password and ends their other sessions. NotAuthenticated when ``old`` is wrong,
        InvalidInput when ``new`` will not do, SecondFactorRequired in a half-open session."""
        found = self._sessions.whose(secret)
        if found.session.kind is not Kind.SESSION:
            raise NotAuthenticated("an API token changes no password; sign in")
        tried = self._throttle.admit(Secret.PASSWORD, found.user.name, client)
        encoded = self._right(found.user, old, tried)
        self._succeeded(tried)
        if old == new:
            raise InvalidInput("the new password is the old one; choose another")
        newer = self._passwords.hashed(new, names=(found.user.name, found.user.display_name))
        with self._database.begin() as unit:
            if not unit.accounts.replace_password_hash(found.user.id, encoded, newer):
                raise NotAuthenticated("the password was replaced meanwhile; sign in again")
            self._sessions.end_all(unit, found.user.id, except_id=found.session.id)
            unit.invitations.withdraw(found.user.id)
            self._audit.record(unit, actor=found.user.id, act=Act.PASSWORD_SET, target=found.user.id)
            self._tell(unit, found.user.id, Change.PASSWORD_CHANGED)
            unit.commit()

    # --- parts

    def _right(self, user: User | None, password: str, tried: Try) -> str:
        """The hash that the password matches; NotAuthenticated when it does not, or nobody may sign in with it."""
        encoded = user.password_hash if user is not None and user.password_hash else self._hasher.dummy()
        try:
            self._hasher.verify(encoded, password[:MAXIMUM])
            if user is None or user.password_hash is None or user.disabled_at is not None:
                raise NotAuthenticated(_WRONG)
        except NotAuthenticated:
            self._failed(Act.SIGN_IN_FAILED, user, tried)
            raise NotAuthenticated(_WRONG) from None
        return encoded

    def _session(self, secret: str) -> SignedIn:
        found = self._sessions.half_open(secret)
        if found.session.kind is not Kind.SESSION:
            raise NotAuthenticated("an API token proves nothing more; sign in")
        return found

    def _failed(self, act: Act, user: User | None, tried: Try) -> None:
        self._audit.note(
            actor=ACTOR,
            act=act,
            target=None if user is None else user.id,
            detail={"known_device": tried.known_device},
        )

    def _succeeded(self, tried: Try) -> None:
        with self._database.begin() as unit:
            self._throttle.succeeded(unit, tried)
            unit.commit()

    def _step(self, secret: str) -> Step:
        found = self._sessions.half_open(secret)
        complete = not self._sessions.lacks_factor(found)
        return Step(
            user=found.user,
            secret=secret,
            complete=complete,
            held=self._factors.held(found.user.id),
            device=self._throttle.known_device(found.user.name) if complete else None,
        )

    def _tell(self, unit: UnitOfWork, user_id: str, change: Change) -> None:
        tell(unit, user_id, change, own=True, clock=self._clock, entropy=self._entropy)
