"""Retention's facts are authenticated: an edited database gets no destruction, also where fact and end were edited together.

Keeps the second half of rule 7. Every row carries a keyed digest (HMAC-SHA-256 under a permanent key of the keyring, which the
database does not have) over its facts, its end and a version that counts their changes; it is written in the transaction that
changes them. A row whose digest does not fit is not destroyed, and no event moves it: a person looks. A whole row that was put
back to what it once was carries a digest that fits: the audit entries of what moved it name its version, and a row that is
behind them is refused as well.

The limit: of a change that moved no end no entry is made, and entries end with the log's keeping time; a row put back beyond
those is noticed by no digest. What destroys it then is still a policy that was signed and facts that once were true of it.

Rows from before digests get theirs by ``services.fact_backfill``, once; from then on a row without one is refused. The keyring
remembers that, not the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hmac import compare_digest

from recvault.domain.communication import Communication
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.retention.attested import attested

FACTS_KEY = "facts/1"
"""Keyring id of the MAC key."""

ANCHOR = "facts"
"""Name of the keyring's anchor that says since when every stored row has a digest."""

ALTERED = "facts-altered"
"""Why an item is stopped whose facts or end are not the ones that were authenticated, or are not its last ones."""


class FactDigests:
    """Makes and checks digests."""

    def __init__(self, *, keyring: Keyring) -> None:
        self._keyring = keyring

    @property
    def complete(self) -> bool:
        """Whether every stored row must have one."""
        return self._keyring.anchor(ANCHOR) is not None

    def sealed(self, row: Communication) -> Communication:
        """The row with the digest of what it says."""
        return replace(row, facts_digest=self._keyring.mac(FACTS_KEY, attested(row)))

    def moved(self, was: Communication, now: Communication) -> Communication:
        """A locked row after an event: with the next version and its digest, unless it says what it said and is authentic."""
        if attested(now) == attested(was) and self._fits(was):
            return now
        return self.sealed(replace(now, facts_version=now.facts_version + 1))

    def altered(self, unit: UnitOfWork, rows: Sequence[Communication]) -> set[str]:
        """Those that no digest authenticates, and those that were moved more often than they know."""
        complete = self.complete
        bad = {row.id for row in rows if (complete or row.facts_digest is not None) and not self._fits(row)}
        last = unit.retention.facts_versions([row.id for row in rows])
        return bad | {row.id for row in rows if row.facts_version < last.get(row.id, 0)}

    def _fits(self, row: Communication) -> bool:
        if row.facts_digest is None:
            return False
        return compare_digest(row.facts_digest, self._keyring.mac(FACTS_KEY, attested(row)))
