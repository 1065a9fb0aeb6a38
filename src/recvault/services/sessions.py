"""Sessions of people and API tokens of their programs: opened, found, raised, listed, ended.

Keeps: a secret is shown once and stored as a hash; the person and the roles are loaded anew at every request, so that a
role taken away counts from the next act on; a session whose person needs a second factor opens nothing until one was
proved; its secret changes whenever it is raised, so that one planted or seen before is worth nothing (session fixation).
Left to others: proving (``services.sign_in`` and the factors), cookies and headers (interfaces).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Actor, Role
from recvault.domain.accounts import User, actor_of
from recvault.domain.audit import Act
from recvault.domain.errors import Forbidden, InvalidInput, NotAuthenticated, NotFound, SecondFactorRequired
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import PROOF_LIFE, Kind, Method, Session, needs_second_factor, require_recent
from recvault.domain.tokens import RANDOM_BYTES, Prefix, compose, require_form, token_hash
from recvault.services.audit_log import AuditLog
from recvault.services.people import named

LABEL_LENGTH = 60
"""Characters of a token's name."""
KEPT_AFTER_END = timedelta(days=30)
"""How long what ended stays on record beside the log."""

_OVER = "the session has ended; sign in again"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLimits:
    """How long a session lives: without use, and at most; and an API token at most."""

    idle: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=10)
    api: timedelta = timedelta(days=90)


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new API token, and its secret, which is shown only now."""

    secret: str
    session: Session


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
        transaction. What of theirs ended long ago is forgotten."""
        unit.sessions.forget(user.id, ended_before=now - KEPT_AFTER_END)
        return self._add(
            unit,
            Prefix.SESSION,
            lambda session_id, hashed: Session(
                id=session_id,
                hash=hashed,
                user_id=user.id,
                kind=Kind.SESSION,
                label=label,
                methods=frozenset(methods),
                scopes=None,
                created_at=now,
                expires_at=now + self._limits.absolute,
                last_used_at=now,
                proved_at=now,
            ),
        ).secret

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

    # --- looking and ending

    def of(self, user_id: str) -> list[Session]:
        """A person's sessions and API tokens that hold now, the newest first."""
        now = self._clock.now()
        with self._database.read() as unit:
            return [one for one in unit.sessions.of_user(user_id) if one.live(now, self._limits.idle)]

    def of_name(self, name: str) -> list[Session]:
        """The same by sign-in name; NotFound."""
        with self._database.read() as unit:
            user = named(unit, name)
        return self.of(user.id)

    def end_own(self, who: SignedIn, session_id: str) -> None:
        """Ends one of the person's own sessions or API tokens; NotFound when none of theirs holds under this id."""
        with self._database.begin() as unit:
            own = {one.id: one for one in unit.sessions.of_user(who.user.id)}
            if session_id not in own or not unit.sessions.revoke(session_id, self._clock.now()):
                raise NotFound("none of your sessions or tokens has this id, or it ended before")
            self._record_end(unit, own[session_id].kind, by=who.user.id, target=session_id)
            unit.commit()

    def end_for(self, account_id: str, *, by: str, tokens: bool = False) -> int:
        """Ends all sessions of a person, with ``tokens`` the API tokens as well; how many they were. For the administrator,
        or the operator of the machine. NotFound."""
        kinds = (Kind.SESSION, Kind.API) if tokens else (Kind.SESSION,)
        ended = 0
        with self._database.begin() as unit:
            user = unit.accounts.user(account_id)
            for kind in kinds:
                count = unit.sessions.revoke_all(user.id, self._clock.now(), kinds=frozenset({kind}))
                if count:
                    self._record_end(unit, kind, by=by, target=user.id, count=count)
                ended += count
            unit.commit()
        return ended

    def _record_end(self, unit: UnitOfWork, kind: Kind, *, by: str, target: str, count: int = 1) -> None:
        act = Act.SESSION_ENDED if kind is Kind.SESSION else Act.TOKEN_REVOKED
        self._audit.record(unit, actor=by, act=act, target=target, detail={"count": count})

    # --- API tokens

    def issue_own_token(
        self, who: SignedIn, *, label: str, scopes: frozenset[Role] | None, life: timedelta | None
    ) -> Issued:
        """An API token of the person's own, from a complete session that was proved lately: Forbidden by another token,
        StepUpRequired, InvalidInput for a role that the person has not."""
        if who.session.kind is not Kind.SESSION or self.lacks_factor(who):
            raise Forbidden(
                "an API token is made in a session; sign in, with a second factor where your roles need one"
            )
        self.require_proof(who.session)
        return self._issue(who.user, by=who.user.id, label=label, scopes=scopes, life=life)

    def issue_token(
        self,
        name: str,
        *,
        by: str,
        label: str = "operator",
        scopes: frozenset[Role] | None = None,
        life: timedelta | None = None,
    ) -> str:
        """An API token of a person, made by the operator of the machine; shown only now."""
        with self._database.read() as unit:
            user = named(unit, name)
        return self._issue(user, by=by, label=label, scopes=scopes, life=life).secret

    def _issue(
        self, user: User, *, by: str, label: str, scopes: frozenset[Role] | None, life: timedelta | None
    ) -> Issued:
        now = self._clock.now()
        life = self._limits.api if life is None else life
        if not timedelta(0) < life <= self._limits.api:
            raise InvalidInput(f"an API token lives 1 to {self._limits.api.days} days (access.api_token_max_days)")
        if not 1 <= len(label) <= LABEL_LENGTH or not label.isprintable():
            raise InvalidInput(f"give the token a name of 1 to {LABEL_LENGTH} characters that tells what uses it")
        if scopes is not None and (not scopes or not scopes <= actor_of(user).roles(now)):
            raise InvalidInput("an API token has one or more of the roles that its owner has now")
        with self._database.begin() as unit:
            issued = self._add(
                unit,
                Prefix.API,
                lambda session_id, hashed: Session(
                    id=session_id,
                    hash=hashed,
                    user_id=user.id,
                    kind=Kind.API,
                    label=label,
                    methods=frozenset(),
                    scopes=scopes,
                    created_at=now,
                    expires_at=now + life,
                    last_used_at=now,
                ),
            )
            roles = None if scopes is None else sorted(scopes)
            self._audit.record(
                unit,
                actor=by,
                act=Act.TOKEN_ISSUED,
                target=user.id,
                detail={"token": issued.session.id, "roles": roles},
            )
            unit.commit()
        return issued

    def _add(self, unit: UnitOfWork, prefix: Prefix, blank: Callable[[str, bytes], Session]) -> Issued:
        """Stores the session that ``blank`` makes of a new id and hash."""
        secret = compose(prefix, self._entropy.bytes(RANDOM_BYTES))
        session = blank(uuid7(self._clock.now(), self._entropy.bytes(10)), token_hash(secret))
        unit.sessions.add(session)
        return Issued(secret=secret, session=session)

    def _touch(self, session: Session, now: datetime) -> None:
        if now - session.last_used_at < timedelta(minutes=1):
            return  # once a minute is enough for the idle limit, and spares a write at every range
        with self._database.begin() as unit:
            unit.sessions.touch(session.hash, now)
            unit.commit()
