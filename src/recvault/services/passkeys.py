"""Passkeys of people: registered, named, listed, removed; signing in with one, and proving oneself again.

Keeps: a passkey is added and removed only by who proved themselves lately, and in a half-open session only as the very
first factor, so that a password alone never adds what it lacks; signing in with a passkey needs no name and no password,
because the authenticator verified the person. Left to others: challenges and answers (``services.ceremonies``), sessions
(``services.sessions``), approvals (``services.assertions``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, Forbidden, NotAuthenticated, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.passkeys import PER_PERSON, Passkey, PasskeyRefused, Use, require_label, user_handle
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.passkeys import Authenticators
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Method
from recvault.services.audit_log import AuditLog
from recvault.services.ceremonies import Ceremonies
from recvault.services.sessions import Sessions, SignedIn

Answer = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """Who signed in with a passkey, and the secret of their session."""

    user: User
    secret: str


class Passkeys:
    """Registers and uses them. ``other_factors``: whether a person has second factors beside passkeys."""

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
        other_factors: Callable[[UnitOfWork, str], bool],
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._authenticators = authenticators
        self._ceremonies = ceremonies
        self._sessions = sessions
        self._other_factors = other_factors

    # --- looking

    def of(self, user_id: str) -> list[Passkey]:
        """A person's, the oldest first."""
        with self._database.read() as unit:
            return unit.passkeys.of_user(user_id)

    # --- registering

    def begin_registration(self, who: SignedIn) -> Mapping[str, object]:
        """Options for the browser; StepUpRequired without a recent proof, Forbidden in a half-open session of a person who
        has a second factor already, Conflict when there are too many."""
        self._require_may_add(who)
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
        self._require_may_add(who)
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
            unit.commit()
        return passkey

    def _require_may_add(self, who: SignedIn) -> None:
        self._sessions.require_proof(who.session)
        if not self._sessions.lacks_factor(who):
            return
        with self._database.read() as unit:
            first = not unit.passkeys.of_user(who.user.id) and not self._other_factors(unit, who.user.id)
        if not first:
            raise Forbidden("give your second factor first; a password alone adds no other")

    def rename(self, who: SignedIn, passkey_id: str, label: str) -> None:
        """Another name; NotFound when it is not the person's."""
        label = require_label(label)
        with self._database.begin() as unit:
            unit.passkeys.rename(who.user.id, passkey_id, label)
            unit.commit()

    def remove(self, who: SignedIn, passkey_id: str) -> None:
        """It opens nothing from here on, and approvals given with it that still wait are void; NotFound when it is not the
        person's, StepUpRequired without a recent proof."""
        self._sessions.require_proof(who.session)
        with self._database.begin() as unit:
            gone = unit.passkeys.remove(who.user.id, passkey_id)
            self._record(unit, who.user.id, Act.PASSKEY_REMOVED, gone)
            unit.commit()

    def forget_all(self, unit: UnitOfWork, user_id: str, *, by: str) -> int:
        """Removes those of a person in the caller's transaction (a reset of the account's factors); how many."""
        gone = unit.passkeys.of_user(user_id)
        for passkey in gone:
            unit.passkeys.remove(user_id, passkey.id)
            self._record(unit, by, Act.PASSKEY_REMOVED, passkey)
        return len(gone)

    # --- signing in

    def begin_sign_in(self, binding: str) -> Mapping[str, object]:
        """Options for the browser of whoever wants in; ``binding`` is the hash of a value in this browser's cookie. The same
        for everybody: nothing tells which names exist."""
        return self._ceremonies.request(self._ceremonies.ask(Use.SIGN_IN, binding=binding, user_id=None), ())

    def sign_in(self, answer: Answer, *, binding: str, label: str) -> Entered:
        """A session of the passkey's owner; PasskeyRefused when the answer does not hold, NotAuthenticated for a closed
        account."""
        asked = self._ceremonies.take(answer, Use.SIGN_IN, binding=binding)
        signed = self._ceremonies.signed(answer)
        now = self._clock.now()
        try:
            with self._database.begin() as unit:
                passkey = self._ceremonies.check(unit, signed, asked)
                user = _open_account(unit, passkey.user_id)
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
