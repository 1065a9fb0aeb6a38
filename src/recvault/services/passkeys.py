"""Passkeys of people: registered, named, listed, removed; signing in with one, and proving oneself again.

Keeps: a passkey is added and removed only by who proved themselves lately, and in a half-open session only as the very
first factor, so that a password alone never adds what it lacks; signing in with a passkey needs no name and no password,
because the authenticator verified the person. Left to others: challenges and answers (``services.ceremonies``), sessions
(``services.sessions``), approvals (``services.assertions``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recvault.domain.access import Action, Subject, decide
from recvault.domain.accounts import User, actor_of
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, Forbidden, NotAuthenticated, NotFound
from recvault.domain.factors import Change
from recvault.domain.ids import uuid7
from recvault.domain.passkeys import (
    PER_PERSON,
    Passkey,
    PasskeyRefused,
    RelyingParty,
    Use,
    require_label,
    user_handle,
)
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.passkeys import Authenticators
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Method, needs_second_factor
from recvault.services.audit_log import AuditLog
from recvault.services.break_glass import LocalSignIn
from recvault.services.ceremonies import Ceremonies
from recvault.services.second_factors import SecondFactors, tell
from recvault.services.sessions import Sessions, SignedIn

Answer = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """Who signed in with a passkey, and the secret of their session."""

    user: User
    secret: str


class Passkeys:
    """Registers and uses them. ``required``: whether the configuration asks for second factors; ``party``: the desk as
    authenticators know it; ``local``: who may sign in here at all."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        authenticators: Authenticators,
        ceremonies: Ceremonies,
        sessions: Sessions,
        factors: SecondFactors,
        required: bool,
        party: RelyingParty,
        local: LocalSignIn,
    ) -> None:
        self.party = party
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._authenticators = authenticators
        self._ceremonies = ceremonies
        self._sessions = sessions
        self._factors = factors
        self._required = required
        self._local = local

    # --- looking

    def of(self, user_id: str) -> list[Passkey]:
        """A person's, the oldest first."""
        with self._database.read() as unit:
            return unit.passkeys.of_user(user_id)

    def of_approvers(self) -> int:
        """How many accounts that may approve at this moment have one."""
        now = self._clock.now()
        with self._database.read() as unit:
            people = [one for one in unit.accounts.users() if one.disabled_at is None]
            able = (
                one for one in people if decide(actor_of(one), Action.APPROVAL_DECIDE, Subject(), None, now).allowed
            )
            return sum(bool(unit.passkeys.of_user(one.id)) for one in able)

    # --- registering

    def begin_registration(self, who: SignedIn) -> Mapping[str, object]:
        """Options for the browser; StepUpRequired without a recent proof, SecondFactorRequired in a half-open session of a
        person who has a second factor already, Conflict when there are too many."""
        self._factors.require_may_change(who)
        known = self.of(who.user.id)
        if len(known) >= PER_PERSON:
            raise Conflict(f"an account has at most {PER_PERSON} passkeys; remove one first")
        challenge = self._ceremonies.ask(Use.REGISTER, binding=who.session.id, user_id=who.user.id)
        return self._authenticators.creation(
            challenge=challenge, handle=user_handle(who.user.id), name=who.user.name, known=known
        )

    def register(self, who: SignedIn, answer: Answer, *, label: str) -> Passkey:
        """Keeps a new passkey; PasskeyRefused when the answer does not hold, Conflict when it is registered already."""
        label = require_label(label)
        self._factors.require_may_change(who)
        asked = self._ceremonies.take(answer, Use.REGISTER, binding=who.session.id)
        try:
            found = self._authenticators.registered(answer, challenge=asked.challenge)
        except PasskeyRefused as fault:
            self._ceremonies.note_refusal(fault, Use.REGISTER, user_id=who.user.id, credential_id=b"")
            raise
        now = self._clock.now()
        passkey = Passkey(
            id=uuid7(now, self._entropy.bytes(10)),
            user_id=who.user.id,
            credential_id=found.credential_id,
            public_key=found.public_key,
            sign_count=found.sign_count,
            transports=found.transports,
            backed_up=found.backed_up,
            label=label,
            created_at=now,
        )
        with self._database.begin() as unit:
            unit.passkeys.add(passkey)
            self._record(unit, who.user.id, Act.PASSKEY_ADDED, passkey)
            self._tell(unit, who.user.id, Change.PASSKEY_ADDED)
            unit.commit()
        return passkey

    def rename(self, who: SignedIn, passkey_id: str, label: str) -> None:
        """Another name; NotFound when it is not the person's."""
        label = require_label(label)
        with self._database.begin() as unit:
            unit.passkeys.rename(who.user.id, passkey_id, label)
            unit.commit()

    def remove(self, who: SignedIn, passkey_id: str) -> None:
        """It opens nothing from here on, and approvals given with it that still wait are void; NotFound when it is not the
        person's, StepUpRequired without a recent proof, Conflict when the person's roles need a second factor and it is the
        last."""
        held = self._factors.require_may_change(who)
        last = [one.id for one in self.of(who.user.id)] == [passkey_id] and not held.totp
        if self._required and last and self._needs_factor(who):
            raise Conflict("your roles need a second factor, and this is the only one; add another before")
        with self._database.begin() as unit:
            gone = unit.passkeys.remove(who.user.id, passkey_id)
            self._record(unit, who.user.id, Act.PASSKEY_REMOVED, gone)
            self._tell(unit, who.user.id, Change.PASSKEY_REMOVED)
            unit.commit()

    # --- signing in

    def begin_sign_in(self, binding: str, *, address: str | None = None) -> Mapping[str, object]:
        """Options for the browser of whoever wants in from this network address; ``binding`` is the hash of a value in this
        browser's cookie. The same for everybody: nothing tells which names exist."""
        return self._ceremonies.request(self._ceremonies.ask_stranger(binding=binding, address=address), ())

    def sign_in(self, answer: Answer, *, binding: str, label: str) -> Entered:
        """A session of the passkey's owner; PasskeyRefused when the answer does not hold, NotAuthenticated for a closed
        account, and for one that signs in elsewhere."""
        asked = self._ceremonies.take(answer, Use.SIGN_IN, binding=binding)
        signed = self._ceremonies.signed(answer)
        now = self._clock.now()
        try:
            with self._database.begin() as unit:
                passkey = self._ceremonies.check(unit, signed, asked)
                user = _open_account(unit, passkey.user_id)
                self._local.enter(unit, user)
                secret = self._sessions.open(unit, user, methods={Method.PASSKEY}, label=label, now=now)
                self._audit.record(unit, actor=user.id, act=Act.SIGNED_IN, target=passkey.id, detail={"by": "passkey"})
                unit.commit()
        except PasskeyRefused as fault:
            self._ceremonies.note_refusal(fault, Use.SIGN_IN, user_id=None, credential_id=signed.credential_id)
            raise
        return Entered(user=user, secret=secret)

    # --- proving: the second factor after a password, and step-up

    def begin_proof(self, who: SignedIn) -> Mapping[str, object]:
        """Options for the browser of a signed-in person; Conflict when they have no passkey."""
        known = self.of(who.user.id)
        if not known:
            raise Conflict("no passkey is registered for this account; use another factor")
        challenge = self._ceremonies.ask(Use.PROVE, binding=who.session.id, user_id=who.user.id)
        return self._ceremonies.request(challenge, known)

    def prove(self, who: SignedIn, secret: str, answer: Answer) -> str:
        """The session's new secret, proved by a passkey just now; PasskeyRefused when the answer does not hold."""
        asked = self._ceremonies.take(answer, Use.PROVE, binding=who.session.id)
        signed = self._ceremonies.signed(answer)
        try:
            with self._database.begin() as unit:
                self._ceremonies.check(unit, signed, asked)
                unit.commit()
        except PasskeyRefused as fault:
            self._ceremonies.note_refusal(fault, Use.PROVE, user_id=who.user.id, credential_id=signed.credential_id)
            raise
        return self._sessions.add_method(secret, Method.PASSKEY)

    def complete(self, who: SignedIn, secret: str) -> str:
        """The new secret of a half-open session whose person has just registered the very first factor, which is a proof of
        it; Forbidden when it is older than the session."""
        with self._database.read() as unit:
            keys = unit.passkeys.of_user(who.user.id)
        if len(keys) != 1 or keys[0].created_at < who.session.created_at:
            raise Forbidden("give your second factor first; a password alone adds no other")
        return self._sessions.add_method(secret, Method.PASSKEY)

    def _needs_factor(self, who: SignedIn) -> bool:
        return needs_second_factor(actor_of(who.user), self._clock.now())

    def _tell(self, unit: UnitOfWork, user_id: str, change: Change) -> None:
        tell(unit, user_id, change, own=True, clock=self._clock, entropy=self._entropy)

    def _record(self, unit: UnitOfWork, by: str, act: Act, passkey: Passkey) -> None:
        detail = {"passkey": passkey.id, "key": passkey.key_digest}
        self._audit.record(unit, actor=by, act=act, target=passkey.user_id, detail=detail)


def _open_account(unit: UnitOfWork, user_id: str) -> User:
    try:
        user = unit.accounts.user(user_id)
    except NotFound:
        raise NotAuthenticated("this account is closed") from None
    if user.disabled_at is not None:
        raise NotAuthenticated("this account is closed")
    return user
