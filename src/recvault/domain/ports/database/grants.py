"""Ports to counts of listening, authorisations and reviews of access."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recvault.domain.approvals import ProposalKind
from recvault.domain.grants import Authorisation
from recvault.domain.listening import Counted, Day
from recvault.domain.purpose import Purpose


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """That a reviewer saw the report of a week: ``digest`` is the SHA-256 of what was shown."""

    week: str
    reviewer: str
    digest: str
    unusual: int
    confirmed_at: datetime


class Listening(Protocol):
    """Counts by person and hour (UTC); rows are shared by all processes."""

    def look(self, person: str, hour: datetime) -> Counted:
        """One search or view more; the counts with it. The row stays locked until commit, so that two processes count one
        after the other, and leaving without commit takes the count back."""

    def opening(self, person: str, hour: datetime, purpose: Purpose, customer_id: str | None) -> Counted:
        """One opening more; the same."""

    def days(
        self, since: datetime, until: datetime, *, least: int = 0, people: Collection[str] | None = None
    ) -> list[Day]:
        """Each person's days from ``since`` until before ``until`` with at least ``least`` openings or that many different
        customers, in order of day and person; ``usual`` is left out."""

    def any(self, since: datetime, until: datetime) -> bool:
        """Whether anything was counted from ``since`` until before ``until``."""

    def usual(self, person: str, day: datetime, days: int) -> float | None:
        """Mean openings of the days with openings among the ``days`` before ``day``."""

    def forget(self, before: datetime) -> int:
        """Drops what was counted before; how many rows."""


class Authorisations(Protocol):
    """What was authorised by two people until a moment."""

    def add(self, authorisation: Authorisation) -> None:
        """Inserts; Conflict when it is there."""

    def get(self, authorisation_id: str) -> Authorisation:
        """NotFound when unknown."""

    def issued(self, kind: ProposalKind, *, since: datetime, until: datetime) -> list[Authorisation]:
        """Those of the kind issued from ``since`` until before ``until``, oldest first."""

    def live(self, kind: ProposalKind, now: datetime) -> int:
        """How many of the kind count now."""

    def end(self, authorisation_id: str, at: datetime) -> None:
        """Ends it before its time; the first end stands."""


class Reviews(Protocol):
    """Confirmed reviews of access."""

    def confirm(self, confirmation: Confirmation) -> None:
        """Conflict when this reviewer confirmed the week already."""

    def of_week(self, week: str) -> list[Confirmation]:
        """Who confirmed, in order of time."""

    def last_used(self) -> dict[str, datetime]:
        """When each account was last used, by session or token, those that ended too."""
