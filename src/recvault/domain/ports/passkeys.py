"""Port to authenticators: what the browser is asked, and whether what it answers is genuine.

Web Authentication, Level 3 (W3C): options are its JSON forms (5.1.8 and 5.1.9), answers those of ``toJSON()`` (5.1.7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from recvault.domain.passkeys import Passkey, Registered, Signed

Json = Mapping[str, object]


class Authenticators(Protocol):
    """The relying party's side. Origin, relying party, user presence and user verification are always checked."""

    def creation(self, *, challenge: bytes, handle: bytes, name: str, known: Sequence[Passkey]) -> Json:
        """Options for a new, discoverable passkey; ``known`` are not registered twice."""

    def request(self, *, challenge: bytes, known: Sequence[Passkey]) -> Json:
        """Options for an assertion; without ``known`` the person chooses among the discoverable ones."""

    def answered(self, answer: Json) -> bytes:
        """The challenge that an answer says it answers; nothing is verified. InvalidInput when it cannot be read."""

    def registered(self, answer: Json, *, challenge: bytes) -> Registered:
        """Verifies a registration; PasskeyRefused or InvalidInput otherwise."""

    def signed(self, answer: Json) -> Signed:
        """Takes an assertion apart; nothing is verified. InvalidInput when it cannot be read."""

    def verify(self, signed: Signed, *, challenge: bytes, public_key: bytes) -> int:
        """Verifies an assertion over the challenge; returns the authenticator's signature counter, which the caller
        compares. PasskeyRefused otherwise."""
