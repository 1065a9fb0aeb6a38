"""Port to an issuer of OpenID Connect."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from recvault.domain.federation import Claims, IssuerRules, Logout


class Issuer(Protocol):
    """One issuer. Every call may raise IssuerUnavailable; what does not verify raises FederationRefused."""

    @property
    def rules(self) -> IssuerRules:
        """What it is trusted with."""

    def authorization_url(self, *, state: str, nonce: str, verifier: str, back: str, max_age: timedelta) -> str:
        """Where the browser goes to sign in (RFC 6749, 4.1.1, with PKCE S256 of RFC 7636). ``back`` is the address it
        comes back to; ``max_age`` how long ago the issuer may have asked the person for a proof, nothing: it asks now."""

    def require_itself(self, named: str | None) -> None:
        """Returns when the issuer named in the browser's answer is this one, or when none is and it never names itself
        (RFC 9207)."""

    def redeem(self, *, code: str, verifier: str, nonce: str, back: str, now: datetime) -> Claims:
        """Turns the code into what the issuer says of the person (OpenID Connect Core 1.0, 3.1.3)."""

    def logout_url(self, *, back: str) -> str | None:
        """Where the browser goes to end the issuer's own session (RP-Initiated Logout 1.0); None where it has no such
        place."""

    def read_logout(self, token: str, now: datetime) -> Logout:
        """What a logout token says (Back-Channel Logout 1.0, 2.6)."""

    def check(self) -> None:
        """Returns when the issuer answers and is set up as we need it."""
