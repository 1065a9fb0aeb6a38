"""What a new password must be, and making its hash.

Keeps: at least twelve characters and no rules about which (OWASP ASVS 6.2.1, 6.2.5); refused is what everybody tries first:
common passwords, repetitions and rows of keys, the person's own name and the controller's, and what is known from breaches
where the operator supplies a list (6.2.12). A refusal says why, and nothing of the password. Left to others: who may set
whose password (``services.invitations``, ``services.sign_in``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from recvault.domain.errors import InvalidInput
from recvault.domain.ports.credentials import CommonWords, KnownPasswords, PasswordHasher

MINIMUM = 12
"""Characters."""
MAXIMUM = 1024
"""Characters; the hasher bounds the bytes as well."""

_UNIT = 4
"""A repetition of so few characters is no password however long it is."""
_AROUND = 6
"""So many digits around a common word add nothing worth having."""
_NAME = 4
"""Shorter parts of a name are let be: they stand in many words."""

_COMMON = "this password is one that everybody tries first; choose another"
_NAMED = "this password is little more than a name; choose another"


class Passwords:
    """Judges and hashes new passwords. ``breached``: the operator's list, None where there is none; ``names``: words that
    everybody here thinks of, such as the controller's name."""

    def __init__(
        self,
        *,
        hasher: PasswordHasher,
        common: CommonWords,
        breached: KnownPasswords | None,
        names: tuple[str, ...],
    ) -> None:
        self._hasher = hasher
        self._common = common
        self._breached = breached
        self._names = names

    def hashed(self, password: str, *, names: Iterable[str]) -> str:
        """The encoded hash of a new password that is good enough for a person of these names; InvalidInput otherwise."""
        self.require_good(password, names=names)
        return self._hasher.hash(password)

    def require_good(self, password: str, *, names: Iterable[str]) -> None:
        """Returns for a good password; InvalidInput says what to mend."""
        if not MINIMUM <= len(password) <= MAXIMUM:
            raise InvalidInput(f"a password has {MINIMUM} to {MAXIMUM} characters; longer is better")
        folded = password.casefold()
        if _is_row(folded) or any(word in self._common for word in _cores(folded)):
            raise InvalidInput(_COMMON)
        self._require_nameless(folded, [*names, *self._names])
        if self._breached is not None and password in self._breached:
            raise InvalidInput("this password is known from a breach elsewhere; choose another")

    def _require_nameless(self, folded: str, names: Iterable[str]) -> None:
        plain = rest = _letters(folded)
        for word in sorted(_parts(names), key=len, reverse=True):
            rest = rest.replace(word, "")
        left = rest.strip("0123456789")
        if rest != plain and (len(left) < _NAME or left in self._common):
            raise InvalidInput(_NAMED)


def _parts(names: Iterable[str]) -> set[str]:
    """The words of the names, and each name written in one."""
    words = {word for name in names for word in re.split(r"[\W_]+", name.casefold())}
    return {word for word in words | {_letters(name.casefold()) for name in names} if len(word) >= _NAME}


def _letters(folded: str) -> str:
    return "".join(letter for letter in folded if letter.isalnum())


def _cores(folded: str) -> set[str]:
    """What a password comes down to: itself, without signs, what it repeats, without a few digits around it."""
    plain = _letters(folded)
    words = {folded, plain, folded[: _period(folded)], plain[: _period(plain)]}
    for word in tuple(words):
        bare = word.strip("0123456789")
        if len(word) - len(bare) <= _AROUND:
            words.add(bare)
    return words - {""}


def _is_row(folded: str) -> bool:
    """A short unit over and over, or characters in a row such as 123456789012 and abcdefghijkl."""
    if _period(folded) <= _UNIT:
        return True
    steps = {(ord(after) - ord(before)) % (10 if folded.isdecimal() else 0x110000) for before, after in _pairs(folded)}
    return len(steps) == 1


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    return pairwise(text)


def _period(text: str) -> int:
    """Length of the shortest beginning that the whole repeats, a cut last time included."""
    return next((size for size in range(1, len(text)) if text.startswith(text[size:])), len(text))
