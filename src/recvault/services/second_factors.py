"""Second factors of a person: an authenticator app (TOTP) and recovery codes. Adding, proving, renewing, taking away.

Keeps: an app's secret is shown once, sealed under a key of the keyring, and counts once a code has confirmed it; a code is
accepted once, whichever process it reaches (the row compares); recovery codes are shown once and stored as hashes; whoever
has a factor changes factors only after proving one lately; the person is told of every change. Left to others: how often a
code may be tried (``services.throttle``), sessions, passkeys (``services.passkeys``).
"""

from __future__ import annotations

from dataclasses import dataclass

from recvault.domain.accounts import User, actor_of
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, NotAuthenticated, SecondFactorRequired
from recvault.domain.factors import (
    ENROL_WITHIN,
    RECOVERY_BYTES,
    RECOVERY_CODES,
    SECRET_BYTES,
    Change,
    ChangeNotice,
    Totp,
    looks_like_recovery,
    recovery_code,
    recovery_hash,
    steps_around,
)
from recvault.domain.ids import uuid7
from recvault.domain.ports.credentials import CodeMaker
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Method, needs_second_factor
from recvault.services.audit_log import AuditLog
from recvault.services.sessions import Sessions, SignedIn

KEY = "factors/1"
"""Keyring id of the key that seals secrets of apps."""
KEPT_NOTICES = 20
"""Of each person."""
WRAPPED_BYTES = 32
"""What the keyring wraps; the first SECRET_BYTES of it are the app's secret."""

_WRONG = "the code is wrong, too old or used; wait for the next one and type that"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """The second factors of a person. ``recovery``: how many recovery codes are unused."""

    totp: bool
    recovery: int
    passkeys: int

    @property
    def any(self) -> bool:
        """Whether there is a second factor (recovery codes alone are none: they stand in for one)."""
        return self.totp or self.passkeys > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """What an app is given, shown once: the secret as letters (base32), the address, and its QR code (an ``svg``
    element)."""

    letters: str
    address: str
    picture: str


class SecondFactors:
    """See above. ``issuer``: under which name an app shows the account; ``required``: whether roles ask for a factor."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        codes: CodeMaker,
        sessions: Sessions,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        issuer: str,
        required: bool,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._codes = codes
        self._sessions = sessions
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._issuer = issuer
        self._required = required

    # --- looking

    def held(self, user_id: str) -> Held:
        """What the person has."""
        with self._database.read() as unit:
            return _held(unit, user_id)

    def notices(self, user_id: str) -> list[ChangeNotice]:
        """What changed lately in how the person signs in, the newest first."""
        with self._database.read() as unit:
            return unit.factors.notices(user_id)

    def require_may_change(self, who: SignedIn) -> Held:
        """Returns when the person may change factors in this session: proved lately, and by a factor where there is one.
        StepUpRequired, SecondFactorRequired."""
        held = self.held(who.user.id)
        if held.any and not who.session.has_second_factor:
            raise SecondFactorRequired("you have a second factor; give it before you change anything about it")
        self._sessions.require_proof(who.session)
        return held

    # --- proving

    def prove(self, user_id: str, code: str) -> Method:
        """Uses up a code of the app, or a recovery code; NotAuthenticated when it does not hold. What it stands for."""
        if looks_like_recovery(code):
            self._use_recovery(user_id, code)
            return Method.RECOVERY
        self._use_totp(user_id, code.replace(" ", ""))
        return Method.TOTP

    def _use_totp(self, user_id: str, code: str) -> None:
        with self._database.read() as unit:
            app = unit.factors.totp(user_id, active=True)
        steps = self._steps_of(app, code)
        with self._database.begin() as unit:
            if not any(unit.factors.use_step(user_id, step) for step in steps):
                raise NotAuthenticated(_WRONG)
            unit.commit()

    def _use_recovery(self, user_id: str, code: str) -> None:
        hashed = recovery_hash(user_id, code)
        with self._database.begin() as unit:
            if not unit.factors.use_recovery(user_id, hashed):
                raise NotAuthenticated(_WRONG)
            self._note(unit, user_id, Change.RECOVERY_USED, own=True)
            unit.commit()

    def _steps_of(self, app: Totp | None, code: str) -> list[int]:
        """The steps of this moment whose code it is; none without an app."""
        if app is None:
            return []
        secret = self._keyring.unwrap(KEY, app.sealed, app.context())[:SECRET_BYTES]
        return self._codes.matching(secret, code, steps_around(self._clock.now()))

    # --- changing

    def begin_totp(self, who: SignedIn) -> Enrolment:
        """A new app for the person; it counts once :meth:`confirm_totp` has seen a code of it."""
        self.require_may_change(who)
        whole = self._entropy.bytes(WRAPPED_BYTES)
        blank = Totp(user_id=who.user.id, active=False, sealed=b"", created_at=self._clock.now())
        sealed = self._keyring.wrap(KEY, whole, blank.context())
        with self._database.begin() as unit:
            unit.factors.put_waiting(
                Totp(user_id=who.user.id, active=False, sealed=sealed, created_at=blank.created_at)
            )
            unit.commit()
        return self._shown(who.user, whole)

    def confirm_totp(self, who: SignedIn, code: str) -> tuple[str, ...]:
        """The app counts from now on, and an earlier one no more. Returns recovery codes, shown only now, for who had
        none. NotAuthenticated for a wrong code."""
        held = self.require_may_change(who)
        with self._database.read() as unit:
            app = self._waiting(unit, who.user.id)
        steps = self._steps_of(app, code.replace(" ", ""))
        if not steps:
            raise NotAuthenticated("the code is not the one that the app shows now; type the newest")
        codes = () if held.recovery else self._new_codes()
        with self._database.begin() as unit:
            if not unit.factors.activate(app, steps[-1]):
                raise Conflict("another app was begun meanwhile; begin again")
            if codes:
                self._put_codes(unit, who.user.id, codes)
            self._audit.record(
                unit, actor=who.user.id, act=Act.FACTOR_ADDED, target=who.user.id, detail={"factor": Method.TOTP.value}
            )
            self._note(unit, who.user.id, Change.TOTP_ADDED, own=True)
            unit.commit()
        return codes

    def renew_recovery(self, who: SignedIn) -> tuple[str, ...]:
        """New recovery codes, shown only now; the earlier ones are void. Conflict without a second factor."""
        if not self.require_may_change(who).any:
            raise Conflict("recovery codes stand in for a second factor; add one first")
        codes = self._new_codes()
        with self._database.begin() as unit:
            self._put_codes(unit, who.user.id, codes)
            self._audit.record(unit, actor=who.user.id, act=Act.RECOVERY_RENEWED, target=who.user.id)
            self._note(unit, who.user.id, Change.RECOVERY_RENEWED, own=True)
            unit.commit()
        return codes

    def remove_totp(self, who: SignedIn) -> None:
        """Takes the app away. Conflict when the person's roles need a second factor and this is the last."""
        held = self.require_may_change(who)
        needed = self._required and needs_second_factor(actor_of(who.user), self._clock.now())
        if needed and not held.passkeys:
            raise Conflict("your roles need a second factor, and this is the only one; add another before")
        with self._database.begin() as unit:
            if unit.factors.drop_totp(who.user.id):
                if not held.passkeys:
                    unit.factors.set_recovery(who.user.id, (), self._clock.now())
                detail = {"factor": Method.TOTP.value}
                self._audit.record(unit, actor=who.user.id, act=Act.FACTOR_REMOVED, target=who.user.id, detail=detail)
                self._note(unit, who.user.id, Change.TOTP_REMOVED, own=True)
            unit.commit()

    def reset(self, unit: UnitOfWork, user_id: str) -> None:
        """Takes all factors away in the caller's transaction: for a link that an administrator had made."""
        unit.factors.drop_totp(user_id)
        unit.factors.set_recovery(user_id, (), self._clock.now())
        for passkey in unit.passkeys.of_user(user_id):
            unit.passkeys.remove(user_id, passkey.id)
        self._audit.record(unit, actor=user_id, act=Act.FACTORS_RESET, target=user_id)
        self._note(unit, user_id, Change.FACTORS_RESET, own=False)

    def _note(self, unit: UnitOfWork, user_id: str, change: Change, *, own: bool) -> None:
        tell(unit, user_id, change, own=own, clock=self._clock, entropy=self._entropy)

    def _waiting(self, unit: UnitOfWork, user_id: str) -> Totp:
        app = unit.factors.totp(user_id, active=False)
        if app is None or app.created_at + ENROL_WITHIN <= self._clock.now():
            raise Conflict("no app waits for its first code; begin again")
        return app

    def _shown(self, user: User, whole: bytes) -> Enrolment:
        secret = whole[:SECRET_BYTES]
        address = self._codes.address(secret, account=user.name, issuer=self._issuer)
        return Enrolment(letters=self._codes.letters(secret), address=address, picture=self._codes.picture(address))

    def _new_codes(self) -> tuple[str, ...]:
        random = self._entropy.bytes(RECOVERY_CODES * RECOVERY_BYTES)
        starts = range(0, len(random), RECOVERY_BYTES)
        return tuple(recovery_code(random[start : start + RECOVERY_BYTES]) for start in starts)

    def _put_codes(self, unit: UnitOfWork, user_id: str, codes: tuple[str, ...]) -> None:
        unit.factors.set_recovery(user_id, [recovery_hash(user_id, code) for code in codes], self._clock.now())


def tell(unit: UnitOfWork, user_id: str, change: Change, *, own: bool, clock: Clock, entropy: Entropy) -> None:
    """Leaves a notice for the person, in the caller's transaction."""
    now = clock.now()
    notice = ChangeNotice(id=uuid7(now, entropy.bytes(10)), user_id=user_id, at=now, change=change, own=own)
    unit.factors.note(notice, keep=KEPT_NOTICES)


def _held(unit: UnitOfWork, user_id: str) -> Held:
    return Held(
        totp=unit.factors.totp(user_id, active=True) is not None,
        recovery=unit.factors.recovery_left(user_id),
        passkeys=len(unit.passkeys.of_user(user_id)),
    )
