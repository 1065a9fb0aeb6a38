"""Statutes that keep a communication beyond its purposes: the maintained table, and how an end is reckoned.

An override is one statute applied by people to one communication or one customer. It takes its terms along when it is
placed, so that a later change of this table or of the policy moves no end that stands. Mandatory law is told apart from
grounds of legitimate interest: those are labelled, renewed by placing them again, and an objection is balanced against
them. Nothing here is active by default.

Left to others: who may place one and who approves (``services.retention_overrides``), own entries of a policy file
(``intake.policy_file``).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo
from enum import StrEnum

from recvault.domain.durations import Period, parse
from recvault.domain.errors import InvalidInput
from recvault.domain.ids import require_aware
from recvault.domain.retention.facts import StatuteEnd

CODE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class Basis(StrEnum):
    """From when a statute counts: the end of the calendar year in which the financial year of the contact ended, the
    contact, or the placing of the override."""

    FINANCIAL_YEAR = "financial_year"
    CONTACT = "contact"
    PLACED = "placed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statute:
    """One entry of the table: ``keep`` from ``basis`` under ``code``; ``source`` names act and section."""

    code: str
    name: str
    keep: Period
    basis: Basis
    source: str
    mandatory: bool = True

    def document(self) -> dict[str, object]:
        """The entry as JSON values under the names of the policy file."""
        return {
            "code": self.code,
            "name": self.name,
            "keep": self.keep.text,
            "from": self.basis.value,
            "source": self.source,
            "mandatory": self.mandatory,
        }


_MIFID = Statute(
    code="mifid-5",
    name="Records of services and orders in financial instruments",
    keep=parse("P5Y"),
    basis=Basis.CONTACT,
    source="Directive 2014/65/EU (MiFID II), Article 16(7)",
)

BUILT_IN: tuple[Statute, ...] = (
    Statute(
        code="accounting-act",
        name="Vouchers and correspondence about business transactions",
        keep=parse("P6Y"),
        basis=Basis.FINANCIAL_YEAR,
        source="Accounting Act (1336/1997), chapter 2, section 10",
    ),
    _MIFID,
    replace(
        _MIFID,
        code="mifid-7",
        name="The same, where the competent authority asked for seven years",
        keep=parse("P7Y"),
    ),
    Statute(
        code="defence-of-claims",
        name="Defence of claims; renewed by placing it again",
        keep=parse("P3Y"),
        basis=Basis.PLACED,
        source="Act on limitation of debts (728/2003), section 4; legitimate interest, not an obligation to keep",
        mandatory=False,
    ),
)
"""What comes with the program. A code is never given another meaning."""


def table(own: Iterable[Statute] = ()) -> Mapping[str, Statute]:
    """Every entry by code; own entries stand beside the built-in ones, never in their place."""
    return {statute.code: statute for statute in (*own, *BUILT_IN)}


def kept_until(
    statute: Statute, *, contact_at: datetime, placed_at: datetime, year_end: str | None, zone: tzinfo
) -> datetime:
    """The end that the statute gives a communication, in UTC, on the calendar of ``zone``.

    ``year_end`` is the last day of the financial year: ``12-31`` for years that end alike, ``2017-04-30`` for one. For the
    Accounting Act the calendar year of that day counts, and the six years run from its end: a financial year to 30 April
    2017 is kept through 31 December 2023. InvalidInput when the statute needs it and it is missing or no day.
    """
    if statute.basis is Basis.CONTACT:
        return statute.keep.add_to(contact_at, zone)
    if statute.basis is Basis.PLACED:
        return statute.keep.add_to(placed_at, zone)
    ended = financial_year_of(require_aware(contact_at, "contact_at").astimezone(zone).date(), year_end)
    return statute.keep.add_to(datetime(ended.year + 1, 1, 1, tzinfo=zone), zone)


def financial_year_of(contact: date, year_end: str | None) -> date:
    """The last day of the financial year: the named day itself, or the first such day on or after the contact."""
    explicit = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", year_end or "")
    yearly = re.fullmatch(r"([0-9]{2})-([0-9]{2})", year_end or "")
    if explicit is not None:
        year, month, day = (int(part) for part in explicit.groups())
        return _day(year, month, day)
    if yearly is None:
        raise InvalidInput("this statute counts from a financial year; give its last day, such as 12-31 or 2017-04-30")
    month, day = (int(part) for part in yearly.groups())
    ends = _day(contact.year, month, day)
    return ends if ends >= contact else _day(contact.year + 1, month, day)


def _day(year: int, month: int, day: int) -> date:
    # The last day of February is written 02-28 or 02-29 and means the last one of its year.
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(2024, month)[1] or not 1 <= year < date.max.year - 101:
        raise InvalidInput("the end of the financial year is no day; write 12-31 or 2017-04-30")
    last = monthrange(year, month)[1]
    return date(year, month, last if (month, day) >= (2, 28) and month == 2 else min(day, last))


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """One statute applied to one communication or one customer (what arrives later for the customer too), with the terms
    it had then. ``ended_at``: a person took it back."""

    id: str
    communication_id: str | None
    customer_id: str | None
    statute: Statute
    year_end: str | None
    reason: str
    placed_by: str
    approved_by: str
    placed_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None

    def __post_init__(self) -> None:
        if (self.communication_id is None) == (self.customer_id is None):
            raise ValueError("an override covers either one communication or one customer")
        object.__setattr__(self, "placed_at", require_aware(self.placed_at, "placed_at"))

    def covers(self, communication_id: str, customer_id: str | None) -> bool:
        """Whether it names the communication, or its customer."""
        if self.communication_id is not None:
            return self.communication_id == communication_id
        return self.customer_id == customer_id

    def end_for(self, contact_at: datetime, zone: tzinfo) -> StatuteEnd:
        """What it says of a communication with that contact."""
        until = kept_until(
            self.statute, contact_at=contact_at, placed_at=self.placed_at, year_end=self.year_end, zone=zone
        )
        return StatuteEnd(code=self.statute.code, until=until, mandatory=self.statute.mandatory)
