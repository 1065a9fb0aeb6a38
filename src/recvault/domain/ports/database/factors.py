"""Ports to second factors, notices about them, and counters of failed sign-ins."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

from recvault.domain.attempts import Counted, Tally
from recvault.domain.factors import ChangeNotice, Totp


class Factors(Protocol):
    """Authenticator apps and recovery codes. What uses something up tells whether it did: of two who come at once with the
    same code, one is answered True."""

    def totp(self, user_id: str, *, active: bool) -> Totp | None:
        """The person's app, or (``active`` False) the one that waits to be confirmed."""

    def put_waiting(self, totp: Totp) -> None:
        """One that waits to be confirmed; an earlier one that waits is gone."""

    def activate(self, totp: Totp, step: int) -> bool:
        """It becomes the person's only app, its first accepted step ``step``; False when it is not the one that waits any
        more."""

    def use_step(self, user_id: str, step: int) -> bool:
        """Accepts the step if it is newer than every one accepted before."""

    def drop_totp(self, user_id: str) -> bool:
        """Takes the app away, and one that waits; False when there was none."""

    def set_recovery(self, user_id: str, hashes: Collection[bytes], at: datetime) -> None:
        """These codes from now on, and no earlier ones."""

    def recovery_left(self, user_id: str) -> int:
        """How many are unused."""

    def use_recovery(self, user_id: str, code_hash: bytes) -> bool:
        """Uses it up; False when it is none of the person's (any more)."""

    def note(self, notice: ChangeNotice, *, keep: int) -> None:
        """Stores a notice; the newest ``keep`` of a person stay."""

    def notices(self, user_id: str) -> list[ChangeNotice]:
        """A person's, the newest first."""


class Attempts(Protocol):
    """Counters of failed sign-ins, shared by all processes."""

    def find(self, keys: Collection[bytes]) -> list[Tally]:
        """Those that exist."""

    def lock(self, blank: Iterable[Tally]) -> list[Tally]:
        """The counters of these keys, FOR UPDATE until commit, in key order; those that do not exist begin as given."""

    def put(self, tallies: Collection[Tally]) -> None:
        """Replaces locked ones."""

    def tell(self, keys: Collection[bytes], now: datetime) -> bool:
        """Marks those that refuse now as told; False when all of them were."""

    def crowded(self, kinds: Collection[Counted], *, failures: int, since: datetime) -> int:
        """How many of these kinds have at least so many failures, the last one since then."""

    def tidy(self, *, before: datetime, most: int) -> int:
        """Deletes those that did not fail since, and of the others all but ``most``: those with the fewest failures go
        first. How many went. Rows that somebody works on stay."""
