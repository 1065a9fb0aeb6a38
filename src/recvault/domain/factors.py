"""Second factors: codes of an authenticator app (TOTP) and recovery codes. Values and rules only.

Keeps: a code counts for one step of 30 seconds and its two neighbours (RFC 6238, 5.2), and a step once accepted is never
accepted again, nor any before it (OWASP ASVS 6.5.1); recovery codes are random, single use, compared by hash.
Left to others: computing codes (``adapters.one_time_codes``), sealing secrets, storing, guessing limits
(``domain.attempts``); passkeys (``domain.passkeys``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.errors import NotAuthenticated
from recvault.domain.ids import require_aware

STEP_SECONDS = 30
"""RFC 6238, 4.1: the time step X."""
SKEW_STEPS = 1
"""RFC 6238, 5.2: steps of clock skew and delay that are taken, each way."""
DIGITS = 6
SECRET_BYTES = 20
"""RFC 4226, 4: 160 bits are recommended."""
ENROL_WITHIN = timedelta(minutes=15)
"""An enrolment that no code has confirmed by then is void."""

RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits in each: far more than can be tried, offline too."""
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_MISREAD = str.maketrans({"o": "0", "i": "1", "l": "1", "-": "", " ": ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Totp:
    """An authenticator app of a person. ``sealed``: its secret under a key of the keyring; ``active`` once a code has
    confirmed it; ``last_step`` the newest step whose code was accepted."""

    user_id: str
    active: bool
    sealed: bytes
    created_at: datetime
    last_step: int | None = None

    def __post_init__(self) -> None:
        require_aware(self.created_at, "created_at")

    def context(self) -> bytes:
        """The associated data of its seal: whose it is."""
        return f"recvault totp {self.user_id}".encode()


class Change(StrEnum):
    """What happened to how a person signs in."""

    PASSWORD_CHANGED = "password-changed"
    PASSWORD_BY_LINK = "password-by-link"
    TOTP_ADDED = "totp-added"
    TOTP_REMOVED = "totp-removed"
    RECOVERY_RENEWED = "recovery-renewed"
    RECOVERY_USED = "recovery-used"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    LINK_MADE = "link-made"
    RESET_LINK_MADE = "reset-link-made"
    FACTORS_RESET = "factors-reset"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeNotice:
    """A notice to a person about how they sign in. ``own``: done in a session of theirs, not by a link or an operator."""

    id: str
    user_id: str
    at: datetime
    change: Change
    own: bool

    def __post_init__(self) -> None:
        require_aware(self.at, "at")


def step_of(moment: datetime) -> int:
    """The time step of a moment (RFC 6238, 4.2: T)."""
    return int(require_aware(moment, "moment").timestamp()) // STEP_SECONDS


def steps_around(moment: datetime) -> range:
    """The steps whose codes are taken at a moment, the oldest first."""
    now = step_of(moment)
    return range(max(now - SKEW_STEPS, 0), now + SKEW_STEPS + 1)


def recovery_code(random: bytes) -> str:
    """A recovery code as a person reads it: four groups of four letters and digits, none of them easily misread."""
    if len(random) != RECOVERY_BYTES:
        raise ValueError(f"a recovery code takes {RECOVERY_BYTES} random bytes")
    number = int.from_bytes(random)
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(75, -5, -5))
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def recovery_hash(user_id: str, code: str) -> bytes:
    """What is stored of a recovery code: SHA-256, since 80 random bits need no slow hash. However it was typed: case,
    dashes and spaces do not matter, nor O for 0 and I or L for 1. NotAuthenticated when it cannot be one."""
    plain = code.strip().lower().translate(_MISREAD)
    if len(plain) != 16 or any(letter not in _LETTERS for letter in plain):
        raise NotAuthenticated("this is no recovery code; type one of those you were given")
    return hashlib.sha256(f"recvault recovery {user_id} {plain}".encode()).digest()


def looks_like_recovery(code: str) -> bool:
    """Whether a code is rather a recovery code than one of an app: anything that is not digits alone."""
    return not code.replace(" ", "").isdecimal()
