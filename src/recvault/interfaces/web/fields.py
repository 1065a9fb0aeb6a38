"""Forms as pages send them: urlencoded, bounded, in memory (the framework's own form reading may write to disk).

Keeps: search terms travel in the body only, never in an address. Values but passwords are trimmed; what is unknown is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Annotated, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request

from recvault.domain.communication import Channel, Direction, SearchQuery
from recvault.domain.errors import InvalidInput, TooLarge
from recvault.domain.purpose import Purpose
from recvault.interfaces.http.forms import parse_cursor

FORM_BYTES = 32 * 1024
"""Longest form body."""
VALUE_LENGTH = 4096
"""Characters of one value; the longest carries the filters of a search."""
PAGE_ROWS = 25
VERBATIM = ("password", "password_again", "password_old")
LONG = {"answer": 24 * 1024}
"""Names of values that may be longer: what a passkey answers."""

_FINNISH_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_YEARS = range(1970, 2200)

Fields = Mapping[str, str]


async def read_fields(request: Request) -> Fields:
    """The form of a POST, the last value of a name that comes twice; InvalidInput when it is none of ours."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidInput("the form was not sent as the page sends it; open the page again")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise TooLarge(f"the form is longer than {FORM_BYTES} bytes; write less")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=60, errors="strict")
    except ValueError as error:
        raise InvalidInput("the form was not sent as the page sends it; open the page again") from error
    return {name: value if name in VERBATIM else _plain(value)[: LONG.get(name, VALUE_LENGTH)] for name, value in pairs}


FieldsDep = Annotated[Fields, Depends(read_fields)]


def purpose_of(value: str | None, allowed: tuple[Purpose, ...]) -> Purpose:
    """The purpose asked for, or the first allowed one when none was; InvalidInput when it is not allowed."""
    if not value and allowed:
        return allowed[0]
    for purpose in allowed:
        if purpose.value == value:
            return purpose
    raise InvalidInput("that purpose is not one of yours; choose another")


def parse_day(text: str) -> date:
    """A day as a date input sends it, or as a Finn writes it; InvalidInput otherwise."""
    found = _FINNISH_DAY.fullmatch(text)
    try:
        day = date(int(found[3]), int(found[2]), int(found[1])) if found else date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("a date is written as 22.11.2026") from error
    if day.year not in _YEARS:
        raise InvalidInput("a date is written as 22.11.2026")
    return day


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """The search form as it was filled in; everything is text, empty when not asked."""

    purpose: str = ""
    reference: str = ""
    customer: str = ""
    customer_id: str = ""
    channel: str = ""
    direction: str = ""
    day_from: str = ""
    day_until: str = ""
    agent_id: str = ""
    team: str = ""
    queue: str = ""
    case_ref: str = ""
    attention: str = ""
    cursor: str = ""

    @classmethod
    def read(cls, values: Fields) -> Self:
        """From a form, or from the ``back`` text that a page carries."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value[:255] for name, value in values.items() if name in known})

    @classmethod
    def read_text(cls, text: str) -> Self | None:
        """From :meth:`text`; None when there is none."""
        return cls.read({name: _plain(value) for name, value in parse_qsl(text[:VALUE_LENGTH])}) if text else None

    def pairs(self) -> dict[str, str]:
        """What was filled in."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))}

    def text(self) -> str:
        """The filters as one value, so that a page opened from the results can lead back to them."""
        return urlencode(self.pairs())

    def at(self, cursor: str) -> Self:
        """The same search from another position."""
        return replace(self, cursor=cursor)

    @property
    def narrowed(self) -> bool:
        """Whether one of the filters that are folded away is set."""
        return any((self.agent_id, self.team, self.queue, self.case_ref, self.attention, self.direction))

    def query(self, *, zone: tzinfo, customer_id: str | None, points: tuple[str, ...] | None) -> SearchQuery:
        """The domain's query; days run from midnight to midnight of the archive's zone."""
        return SearchQuery(
            customer_id=customer_id,
            contact_point_ids=points,
            agent_id=self.agent_id or None,
            team=self.team or None,
            queue=self.queue or None,
            channel=_member(Channel, self.channel),
            direction=_member(Direction, self.direction),
            case_ref=self.case_ref or None,
            started_from=_midnight(self.day_from, zone, 0),
            started_until=_midnight(self.day_until, zone, 1),
            needs_attention=True if self.attention else None,
            after=parse_cursor(self.cursor) if self.cursor else None,
            limit=PAGE_ROWS,
        )


MemberT = TypeVar("MemberT", Channel, Direction)


def _member(kind: type[MemberT], value: str) -> MemberT | None:
    return next((member for member in kind if member.value == value), None)


def _midnight(text: str, zone: tzinfo, days_later: int) -> datetime | None:
    if not text:
        return None
    return datetime.combine(parse_day(text) + timedelta(days=days_later), time(), zone)


def _plain(value: str) -> str:
    """Trimmed, and without control characters (the database takes no NUL)."""
    return "".join(character for character in value.strip() if character == "\n" or character.isprintable())
