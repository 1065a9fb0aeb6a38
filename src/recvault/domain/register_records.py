"""What a register file or the upsert interface tells of one customer or agent, before the register gives it
ids.

Invariants: values are normalised (E.164, Y-tunnus 1234567-8, lower-case addresses) and hold no personal
identity code; moments are in UTC, from inclusive and until exclusive. ``told`` names the fields that the
sender spoke of: one that is not in it stays as the register has it, one that is in it and empty is emptied.
Thus a file without a column for bans lifts no ban, and a relationship that resumes loses its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from recvault.domain.communication import PartyKind
from recvault.domain.customer import Membership
from recvault.domain.ids import require_aware


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPointRecord:
    """A number, address or handle, and when the customer or person has it."""

    kind: PartyKind
    value: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("valid_from", "valid_until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPersonRecord:
    """A person who acts for the customer, with the person's own contact points."""

    name: str
    role: str | None = None
    contact_points: tuple[ContactPointRecord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRecord:
    """One customer; at least one of ``number`` and ``business_id`` is given, and it is the key, number
    first."""

    name: str
    number: str | None = None
    business_id: str | None = None
    kind: str | None = None
    address: str | None = None
    domicile: str | None = None
    relationship_start: date | None = None
    relationship_end: date | None = None
    marketing_ban: bool = False
    contact_points: tuple[ContactPointRecord, ...] = ()
    contact_persons: tuple[ContactPersonRecord, ...] = ()
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRecord:
    """One customer-service agent; ``ref`` is the key. ``valid_until``: the moment from which the person is an agent no more."""

    ref: str
    name: str
    extensions: tuple[Membership, ...] = ()
    teams: tuple[Membership, ...] = ()
    valid_until: datetime | None = None
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class RowFault:
    """A row that could not be read. ``line`` is where it ends (CSV) or begins (JSON), from 1; ``reason``
    names the field and the mend and repeats nothing of the row. ``skipped`` False: a remark, no row was
    lost."""

    line: int
    reason: str
    skipped: bool = True
