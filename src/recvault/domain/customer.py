"""The customer register (promise P8): companies, their contact persons and contact points, and the agents' directory.

It is plain data with an end of life of its own; the communications only carry its random ids. Contact points have
from and until, because a number changes hands: a communication is matched by the holder at its own time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from recvault.domain.communication import PartyKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """A company or person in the register. ``business_id`` is a Finnish Y-tunnus in the form 1234567-8."""

    id: str
    number: str | None
    name: str
    business_id: str | None = None
    kind: str | None = None
    address: str | None = None
    domicile: str | None = None
    relationship_start: date | None = None
    relationship_end: date | None = None
    marketing_ban: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPerson:
    """A person who acts for a customer, from and until (UTC; None is open)."""

    id: str
    customer_id: str
    name: str
    role: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPoint:
    """A normalised number, address or handle and who holds it, from and until. Without a customer it is unmatched."""

    id: str
    kind: PartyKind
    value: str
    customer_id: str | None = None
    person_id: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def held_at(self, moment: datetime) -> bool:
        """Whether the holder had it at ``moment`` (from inclusive, until exclusive)."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_until is None or moment < self.valid_until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """An agent's extension or team, from and until."""

    value: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def held_at(self, moment: datetime) -> bool:
        """Whether it held at ``moment`` (from inclusive, until exclusive)."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_until is None or moment < self.valid_until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """A customer-service agent. ``ref`` is the id that telephony and staff systems use; ``valid_until`` (exclusive, UTC;
    None is open) ends what the person's account may do as this agent."""

    id: str
    ref: str
    name: str
    extensions: tuple[Membership, ...] = ()
    teams: tuple[Membership, ...] = ()
    valid_until: datetime | None = None

    def team_at(self, moment: datetime) -> str | None:
        """The team at that time; when several, the one that began last."""
        held = [m for m in self.teams if m.held_at(moment)]
        return max(held, key=lambda m: (m.valid_from is not None, m.valid_from)).value if held else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The outcome of looking for a customer: exactly one, none, or several to choose from by a person."""

    customer: Customer | None
    contact_point: ContactPoint | None
    ambiguous: bool = False
