"""Sessions of people and API tokens of their programs: opened, found, raised, listed, ended.

Keeps: a secret is shown once and stored as a hash; the person and the roles are loaded anew at every request, so that a
role taken away counts from the next act on; a session whose person needs a second factor opens nothing until one was
proved; its secret changes whenever it is raised, so that one planted or seen before is worth nothing (session fixation).
Left to others: proving (``services.sign_in`` and the factors), cookies and headers (interfaces).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Actor, Role
from recvault.domain.accounts import User, actor_of
from recvault.domain.audit import Act
from recvault.domain.errors import NotAuthenticated, SecondFactorRequired
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import PROOF_LIFE, Kind, Method, Session, needs_second_factor, require_recent
from recvault.domain.tokens import RANDOM_BYTES, Prefix, compose, require_form, token_hash
from recvault.services.audit_log import AuditLog
from recvault.services.people import named

_OVER = "the session has ended; sign in again"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLimits:
    """How long a session lives: without use, and at most; and an API token at most."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=10)
    api: timedelta = timedelta(days=90)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """A person with the roles of this moment, and the session or token by which they came."""

    user: User
    session: Session

    @property
    def actor(self) -> Actor:
        """The person as access control sees them: an API token with scopes has only the roles of these."""
        actor = replace(actor_of(self.user), proved_at=self.session.proved_at)
        scopes = self.session.scopes
        if scopes is None:
            return actor
        return replace(actor, grants=tuple(grant for grant in actor.grants if grant.role in scopes))


class Sessions:
    """Who stands behind a secret, and since when. ``second_factor``: whether the configuration asks for one."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        limits: SessionLimits,
        second_factor: bool,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._second_factor = second_factor

    def open(self, unit: UnitOfWork, user: User, *, methods: Collection[Method], label: str, now: datetime) -> str:
        """A new session, proved by ``methods`` just now; returns its secret. Whoever asks records SIGNED_IN in the same
        transaction."""
        return self._add(
            unit, user, kind=Kind.SESSION, methods=frozenset(methods), label=label, scopes=None, now=now,
            expires_at=now + self._limits.absolute,
        )  # fmt: skip

    def whose(self, secret: str) -> SignedIn:
        """The person behind a session or API token; NotAuthenticated when it does not hold (any more),
        SecondFactorRequired when it is half open."""
        found = self.half_open(secret)
        if self.lacks_factor(found):
            raise SecondFactorRequired("your roles need a second factor; give it to go on, or add one")
        return found

    def half_open(self, secret: str) -> SignedIn:
        """The same without asking for a second factor: only for the pages that ask for one or add one, and for signing
        out."""
        require_form(secret)
        now = self._clock.now()
        with self._database.look() as unit:
            session = unit.sessions.find(token_hash(secret))
            if session is None or not session.live(now, self._limits.idle):
                raise NotAuthenticated(_OVER)
            user = unit.accounts.user(session.user_id)
        if user.disabled_at is not None:
            raise NotAuthenticated("this account is closed")
        self._touch(session, now)
        return SignedIn(user=user, session=session)

    def lacks_factor(self, signed_in: SignedIn) -> bool:
        """Whether the person's roles of this moment need a second factor that the session has not."""
        if not self._second_factor or signed_in.session.has_second_factor:
            return False
        return needs_second_factor(actor_of(signed_in.user), self._clock.now())

    def add_method(self, secret: str, method: Method) -> str:
        """Notes that a factor was proved in this session, now; returns its new secret, the old one is void. For second
        factors after the password, and for step-up. NotAuthenticated when it ended meanwhile."""
        found = self.half_open(secret)
        now = self._clock.now()
        newer = compose(Prefix.SESSION, self._entropy.bytes(RANDOM_BYTES))
        raised = replace(
            found.session,
            hash=token_hash(newer),
            methods=found.session.methods | {method},
            proved_at=now,
            last_used_at=now,
        )
        if found.session.kind is not Kind.SESSION:
            raise NotAuthenticated("an API token proves nothing more; sign in")
        with self._database.begin() as unit:
            if not unit.sessions.rotate(found.session.hash, raised):
                raise NotAuthenticated(_OVER)
            self._audit.record(
                unit, actor=found.user.id, act=Act.SESSION_PROVED, target=found.session.id, detail={"by": method.value}
            )
            unit.commit()
        return newer

    def require_proof(self, who: Actor | Session, within: timedelta = PROOF_LIFE) -> None:
        """Returns when the person proved a factor lately; StepUpRequired otherwise. Without second factors nothing more is
        asked of who has no session (API tokens, the command line)."""
        if who.proved_at is None and not self._second_factor:
            return
        require_recent(who.proved_at, self._clock.now(), within)

    def end(self, secret: str) -> None:
        """Signs out; ending it twice is harmless."""
        with self._database.begin() as unit:
            session = unit.sessions.find(token_hash(secret))
            if session is not None and unit.sessions.revoke(session.id, self._clock.now()):
                self._audit.record(unit, actor=session.user_id, act=Act.SIGNED_OUT)
            unit.commit()

    def end_all(self, unit: UnitOfWork, user_id: str, *, except_id: str | None = None) -> int:
        """Ends the sessions of a person in the caller's transaction; how many they were. API tokens stay: they have only
        the roles of the moment."""
        kinds = frozenset({Kind.SESSION})
        return unit.sessions.revoke_all(user_id, self._clock.now(), kinds=kinds, except_id=except_id)

    def issue_token(
        self,
        name: str,
        *,
        by: str,
        label: str = "",
        scopes: frozenset[Role] | None = None,
        life: timedelta | None = None,
    ) -> str:
        """An API token of a person; shown only now."""
        now = self._clock.now()
        with self._database.begin() as unit:
            user = named(unit, name)
            secret = self._add(
                unit, user, kind=Kind.API, methods=frozenset(), label=label, scopes=scopes, now=now,
                expires_at=now + (life or self._limits.api),
            )  # fmt: skip
            self._audit.record(unit, actor=by, act=Act.TOKEN_ISSUED, target=user.id)
            unit.commit()
        return secret

    def _add(
        self,
        unit: UnitOfWork,
        user: User,
        *,
        kind: Kind,
        methods: frozenset[Method],
        label: str,
        scopes: frozenset[Role] | None,
        now: datetime,
        expires_at: datetime,
    ) -> str:
        prefix = Prefix.SESSION if kind is Kind.SESSION else Prefix.API
        secret = compose(prefix, self._entropy.bytes(RANDOM_BYTES))
        unit.sessions.add(
            Session(
                id=uuid7(now, self._entropy.bytes(10)),
                hash=token_hash(secret),
                user_id=user.id,
                kind=kind,
                label=label,
                methods=methods,
                scopes=scopes,
                created_at=now,
                expires_at=expires_at,
                last_used_at=now,
                proved_at=now if kind is Kind.SESSION else None,
            )
        )
        return secret

    def _touch(self, session: Session, now: datetime) -> None:
        if now - session.last_used_at < timedelta(minutes=1):
            return  # once a minute is enough for the idle limit, and spares a write at every range
        with self._database.begin() as unit:
            unit.sessions.touch(session.hash, now)
            unit.commit()
