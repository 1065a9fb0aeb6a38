"""Moments and days as senders write them.

Invariants: a moment comes out in UTC or not at all; a zone is never guessed for a moment of a
communication. Register files give days, which begin at midnight of the archive's own zone.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
"""Before it a clock was never set."""
LATEST = datetime(2286, 11, 20, tzinfo=UTC)
"""Beyond it a time is a slip of units; ten digits of epoch seconds end here."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"([0-9]{1,16})(?:\.[0-9]+)?", re.ASCII)
# Telephony sends epoch seconds, browsers milliseconds, FreeSWITCH microseconds: by the number of digits,
# since 1973.
_UNITS = {9: 1, 10: 1, 13: 1_000, 16: 1_000_000}
_LEAP = re.compile(r"(T[0-9]{2}:[0-9]{2}):60(?=[.,Z+-])", re.ASCII)
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_FINNISH_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?: 0{1,2}[:.]00(?:[:.]00)?)?", re.ASCII)


def read_moment(value: object) -> datetime | None:
    """A moment in UTC from RFC 3339 text with a zone, or from epoch seconds, milliseconds or microseconds
    (number or digits); None when it is none of these, carries no zone or lies outside 1970 to 2286."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return (
            _from_number(f"{value:f}" if isinstance(value, Decimal) else str(value))
            if 10**8 <= value < 10**16
            else None
        )
    if not isinstance(value, str):
        return None
    text = value.strip()
    return _from_number(text) if _NUMBER.fullmatch(text) else _from_text(text)


def read_day(text: str) -> date | None:
    """A day from ``2026-01-31`` (ISO 8601) or ``31.1.2026`` (also with midnight behind it, as spreadsheets
    export)."""
    iso = _ISO_DATE.fullmatch(text.strip())
    finnish = _FINNISH_DATE.fullmatch(text.strip())
    if iso is None and finnish is None:
        return None
    try:
        if iso is not None:
            return date(int(iso[1]), int(iso[2]), int(iso[3]))
        return date(int(finnish[3]), int(finnish[2]), int(finnish[1])) if finnish is not None else None
    except ValueError:
        return None


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Its midnight in ``zone``, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _from_number(digits: str) -> datetime | None:
    match = _NUMBER.fullmatch(digits)
    unit = _UNITS.get(len(match[1])) if match else None
    if unit is None:
        return None
    microseconds = int(Decimal(digits) * 1_000_000 / unit)
    return _plausible(_EPOCH + timedelta(microseconds=microseconds))


def _from_text(text: str) -> datetime | None:
    upper = text.upper()
    leap = _LEAP.search(upper)  # RFC 3339, 5.7: a second may be 60
    try:
        moment = datetime.fromisoformat(_LEAP.sub(r"\1:59", upper))
        if moment.tzinfo is None:
            return None
        return _plausible(moment.astimezone(UTC) + timedelta(seconds=1 if leap else 0))
    except (ValueError, OverflowError):
        return None


def _plausible(moment: datetime) -> datetime | None:
    return moment if EARLIEST <= moment < LATEST else None
