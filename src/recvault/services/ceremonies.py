"""Challenges given to authenticators, and the checking of what they answer: the part that every use of a passkey shares.

Keeps: a challenge is taken before its answer is looked at, so that it counts once, also when the answer is wrong; the
passkey's row is locked while its counter is compared; a passkey that counted backwards is refused from then on. Left to
others: what an answer opens (``services.passkeys``, ``services.assertions``), signatures (the port ``Authenticators``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from recvault.domain.audit import Act
from recvault.domain.passkeys import (
    CHALLENGE_BYTES,
    CHALLENGE_LIFE,
    Challenge,
    Passkey,
    PasskeyCounterBack,
    PasskeyRefused,
    Signed,
    Use,
    require_answer,
    require_counting,
    user_handle,
)
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.passkeys import Authenticators
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog
from recvault.services.throttle import network_mark

UNKNOWN = "system:passkeys"
"""Stands in the log for whoever answered with a passkey that nobody registered."""


class Ceremonies:
    """Asks, and checks answers."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        authenticators: Authenticators,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._authenticators = authenticators

    def random(self) -> bytes:
        """A challenge, or a nonce."""
        return self._entropy.bytes(CHALLENGE_BYTES)

    def ask_stranger(self, *, binding: str, address: str | None) -> bytes:
        """A challenge for whoever wants in from this network address."""
        return self.ask(Use.SIGN_IN, binding=binding, user_id=None, network=network_mark(self._keyring, address))

    def ask(
        self,
        use: Use,
        *,
        binding: str,
        user_id: str | None,
        act: tuple[str, bytes, bytes] | None = None,
        network: bytes | None = None,
    ) -> bytes:
        """Keeps a challenge until it is answered; returns it. ``act``: an approval's proposal, nonce and challenge."""
        now = self._clock.now()
        about, nonce, challenge = act or (None, None, self.random())
        asked = Challenge(
            challenge=challenge,
            use=use,
            binding=binding,
            user_id=user_id,
            expires_at=now + CHALLENGE_LIFE,
            about=about,
            nonce=nonce,
            network=network,
        )
        with self._database.begin() as unit:
            unit.passkeys.ask(asked, now=now)
            unit.commit()
        return challenge

    def request(self, challenge: bytes, known: Sequence[Passkey]) -> Mapping[str, object]:
        """What the browser is asked: an assertion over the challenge, with one of ``known`` or whichever the person has."""
        usable = [one for one in known if one.suspect_at is None]
        return self._authenticators.request(challenge=challenge, known=usable)

    def take(self, answer: Mapping[str, object], use: Use, *, binding: str) -> Challenge:
        """The challenge that is answered, which nobody can answer again; PasskeyRefused when it was not given for this use
        to this session, or is over."""
        claimed = self._authenticators.answered(answer)
        with self._database.begin() as unit:
            found = unit.passkeys.take(claimed)
            unit.commit()
        return require_answer(found, use, binding, self._clock.now())

    def check(self, unit: UnitOfWork, signed: Signed, asked: Challenge) -> Passkey:
        """The passkey that signed the challenge, its counter noted in the caller's transaction; PasskeyRefused otherwise.

        Steps of Web Authentication 7.2: the credential is known (5, 6) and, where the challenge was given to a person,
        theirs (6); the handle names its owner (6); origin, relying party, presence, verification and signature (11 to 21,
        in the port); the counter (22).
        """
        passkey = unit.passkeys.find(signed.credential_id, lock=True)
        if passkey is None:
            raise PasskeyRefused("unknown", "this passkey is not registered here; use another, or register it")
        if asked.user_id is not None and passkey.user_id != asked.user_id:
            raise PasskeyRefused("person", "this passkey belongs to another account; use one of your own")
        if signed.user_handle is not None and signed.user_handle != user_handle(passkey.user_id):
            raise PasskeyRefused("person", "this passkey names another account than it was registered for")
        if passkey.suspect_at is not None:
            raise PasskeyCounterBack
        count = self._authenticators.verify(signed, challenge=asked.challenge, public_key=passkey.public_key)
        require_counting(passkey.sign_count, count)
        unit.passkeys.used(passkey.id, sign_count=count, at=self._clock.now())
        return passkey

    def verify_again(self, signed: Signed, *, challenge: bytes, public_key: bytes) -> None:
        """Verifies a stored assertion; its counter was compared when it was made. PasskeyRefused otherwise."""
        self._authenticators.verify(signed, challenge=challenge, public_key=public_key)

    def signed(self, answer: Mapping[str, object]) -> Signed:
        """An answer, taken apart; InvalidInput when it cannot be read."""
        return self._authenticators.signed(answer)

    def note_refusal(self, fault: PasskeyRefused, use: Use, *, user_id: str | None, credential_id: bytes) -> None:
        """Tells the log, in a transaction of its own; a passkey that counted backwards is suspected from here on."""
        now = self._clock.now()
        with self._database.begin() as unit:
            passkey = unit.passkeys.find(credential_id)
            if isinstance(fault, PasskeyCounterBack) and passkey is not None:
                unit.passkeys.suspect(passkey.id, now)
            owner = None if passkey is None else passkey.user_id
            self._audit.record(
                unit,
                actor=user_id or owner or UNKNOWN,
                act=Act.PASSKEY_REFUSED,
                target=None if passkey is None else passkey.id,
                detail={"use": use.value, "reason": fault.reason},
            )
            unit.commit()

    def now(self) -> datetime:
        """This moment."""
        return self._clock.now()
