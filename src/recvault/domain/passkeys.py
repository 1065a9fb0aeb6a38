"""Passkeys: a person's registered authenticators, the challenges given to them, and what they answer.

Keeps: a challenge is for one use, one session and one time; a passkey that counts tells when a copy of it is about; user
verification is always asked for, so that a passkey is something a person has together with something they know or are.
Steps are those of Web Authentication, Level 3 (W3C), 7.1 and 7.2. Left to others: signatures and the browser's formats
(``ports.passkeys``), storing, randomness and time (``services.ceremonies``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.errors import Forbidden, InvalidInput
from recvault.domain.ids import require_aware

CHALLENGE_LIFE = timedelta(minutes=5)
"""How long an answer to a challenge is waited for (Web Authentication, 15.1, recommends 5 minutes)."""
CHALLENGE_BYTES = 32
LABEL_LIMIT = 60
"""Characters of a passkey's name."""
PER_PERSON = 20
"""Passkeys of one account."""


class PasskeyRefused(Forbidden):
    """The passkey's answer does not hold. ``reason`` is a stable code for log and tests; the text tells the person."""

    code = "passkey-refused"

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class PasskeyCounterBack(PasskeyRefused):
    """The passkey counted backwards: a copy of it may be in use."""

    def __init__(self) -> None:
        super().__init__(
            "counter",
            "this passkey counted backwards, so a copy of it may be in use; it is refused from now on: remove it, "
            "register another and tell the administrator",
        )


class Use(StrEnum):
    """What a challenge is for; an answer to one use is no answer to another."""

    REGISTER = "register"
    SIGN_IN = "sign-in"
    PROVE = "prove"
    APPROVE = "approve"


@dataclass(frozen=True, kw_only=True, slots=True)
class Passkey:
    """A registered authenticator of a person. ``credential_id`` and ``public_key`` (COSE, RFC 9052) are the
    authenticator's; ``sign_count`` the highest seen (0: it does not count); ``suspect_at`` when it counted backwards."""

    id: str
    user_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool
    label: str
    created_at: datetime
    last_used_at: datetime | None = None
    suspect_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("created_at", "last_used_at", "suspect_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))

    @property
    def key_digest(self) -> str:
        """SHA-256 of the public key, hexadecimal: what the audit log names it by."""
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """A question that waits for its answer. ``binding`` is the session's id, or before there is one the hash of a value in
    this browser's cookie; ``about`` and ``nonce`` name the act of an approval; ``network`` is a keyed hash of the network of a
    stranger who asked, None for a person who is known."""

    challenge: bytes
    use: Use
    binding: str
    user_id: str | None
    expires_at: datetime
    about: str | None = None
    nonce: bytes | None = None
    network: bytes | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "expires_at", require_aware(self.expires_at, "expires_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What an authenticator signed: ``signature`` is over ``authenticator_data`` and SHA-256 of ``client_data``
    (Web Authentication, 6.3.3). ``challenge`` stands in the client data; ``user_handle`` names the account, when given."""

    credential_id: bytes
    challenge: bytes
    authenticator_data: bytes
    client_data: bytes
    signature: bytes
    user_handle: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """What a verified registration gives."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    backed_up: bool
    transports: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RelyingParty:
    """The desk as authenticators know it: ``id`` is its host name, ``origin`` its scheme, host and port. ``any_port``: on
    this machine itself the port is the tunnel's or the test's, and the name alone counts."""

    id: str
    name: str
    origin: str
    any_port: bool = False


def user_handle(user_id: str) -> bytes:
    """The account as an authenticator keeps it: a random id, never a name (Web Authentication, 14.6.1)."""
    return user_id.encode()


def require_answer(challenge: Challenge | None, use: Use, binding: str, now: datetime) -> Challenge:
    """The challenge when it was given for this use, to this session, and lately; PasskeyRefused otherwise."""
    if challenge is None:
        raise PasskeyRefused("challenge", "this passkey answer was used already or never asked for; begin again")
    if challenge.use is not use or challenge.binding != binding:
        raise PasskeyRefused("binding", "this passkey answer belongs to another session or act; begin again")
    if challenge.expires_at <= now:
        raise PasskeyRefused("late", "the passkey answered too late; begin again")
    return challenge


def require_counting(before: int, after: int) -> None:
    """Returns when the signature counter went up, or neither side counts (Web Authentication, 7.2 step 22);
    PasskeyCounterBack otherwise."""
    if (before or after) and after <= before:
        raise PasskeyCounterBack


def require_label(label: str) -> str:
    """A name for a passkey, trimmed; InvalidInput when it is empty or too long."""
    label = label.strip()
    if not label or len(label) > LABEL_LIMIT or not label.isprintable():
        raise InvalidInput(f"give the passkey a name of 1 to {LABEL_LIMIT} characters, such as where it is kept")
    return label
