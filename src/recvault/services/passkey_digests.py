"""Passkeys are authenticated: one that was put into the database, or altered there, opens and approves nothing.

Keeps: each row carries a keyed digest (HMAC-SHA-256 under a permanent key of the keyring, which the database does not have)
over whose it is and which key it is, written when the person registers it. Rows from before digests get theirs once, at the
first start of this program; since when every row must have one is anchored in the keyring, so that nobody who only writes the
database brings that about again. A database of before that moment, put back, has passkeys that are refused: their people
register anew by a link that takes factors away.

The limit: the counter, the label and the marks of use are not covered; a row that was removed and is put back whole is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from hmac import compare_digest

from recvault.domain.passkeys import Passkey, PasskeyRefused, attested
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.services.throttle import KEY

ANCHOR = "passkeys"
"""Name of the keyring's anchor that says since when every passkey has a digest."""
ALTERED = "altered"
"""The refusal's code."""


class PasskeyDigests:
    """Makes and checks digests."""

    def __init__(self, *, keyring: Keyring) -> None:
        self._keyring = keyring

    def sealed(self, passkey: Passkey) -> Passkey:
        """The passkey with the digest of what it is."""
        return replace(passkey, digest=self._keyring.mac(KEY, attested(passkey)))

    def require(self, passkey: Passkey) -> None:
        """Returns when the passkey is as it was registered; PasskeyRefused otherwise."""
        if self.altered([passkey]):
            raise PasskeyRefused(
                ALTERED,
                "this passkey is not as it was registered: its row was put into the database or altered there; tell the data "
                "protection officer, and use another factor",
            )

    def altered(self, passkeys: Iterable[Passkey]) -> list[Passkey]:
        """Those that no digest authenticates."""
        complete = self._keyring.anchor(ANCHOR) is not None
        return [one for one in passkeys if not self._fits(one) and (complete or one.digest is not None)]

    def settle(self, database: Database, now: datetime) -> int:
        """Gives digests to those of before, once; how many there were."""
        if self._keyring.anchor(ANCHOR) is not None:
            return 0
        with database.begin() as unit:
            bare = [self.sealed(one) for one in unit.passkeys.all() if one.digest is None]
            for one in bare:
                unit.passkeys.attest(one)
            unit.commit()
        self._keyring.set_anchor(ANCHOR, now.isoformat())
        return len(bare)

    def _fits(self, passkey: Passkey) -> bool:
        return passkey.digest is not None and compare_digest(passkey.digest, self._keyring.mac(KEY, attested(passkey)))
