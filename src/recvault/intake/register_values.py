"""One customer or agent as a JSON object or as the cells of a row, made into a record.

Invariants: unlike a recording, a register row may be refused: InvalidInput names the field and the mend and
repeats nothing of the value. The same code reads the upsert interface and both forms of file, so that they
mean the same. Cells: several values stand between ``|``; ``value [from..until]`` gives a value its time,
either side may be empty. Days are days of the archive's own zone; an until that is a day counts to its end,
as people mean it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from recvault.domain.communication import PartyKind
from recvault.domain.customer import Membership
from recvault.domain.errors import InvalidInput
from recvault.domain.register_records import AgentRecord, ContactPersonRecord, ContactPointRecord, CustomerRecord
from recvault.intake.identifiers import parse_business_id, parse_party_address
from recvault.intake.moments import read_day, read_moment, start_of_day
from recvault.intake.text import tidy

TEXT_LENGTH = 400
"""Characters of a name or address."""
KEY_LENGTH = 64
"""Characters of a number, kind, team or extension."""
VALUES = 500
"""Contact points, persons, extensions or teams of one row."""

CUSTOMER_FIELDS: Mapping[str, str] = {
    "number": "number", "asiakasnumero": "number", "customer_number": "number", "asiakasnro": "number",
    "name": "name", "nimi": "name", "yritys": "name", "asiakas": "name",
    "business_id": "business_id", "y_tunnus": "business_id", "ytunnus": "business_id",
    "kind": "kind", "laji": "kind", "asiakaslaji": "kind", "tyyppi": "kind",
    "address": "address", "osoite": "address", "domicile": "domicile", "kotipaikka": "domicile",
    "relationship_start": "relationship_start", "asiakkuus_alkoi": "relationship_start",
    "sopimus_alkaa": "relationship_start", "alkupvm": "relationship_start",
    "relationship_end": "relationship_end", "asiakkuus_paattyi": "relationship_end",
    "sopimus_paattyy": "relationship_end", "loppupvm": "relationship_end",
    "marketing_ban": "marketing_ban", "markkinointikielto": "marketing_ban", "suoramarkkinointikielto": "marketing_ban",
    "tel": "tel", "puhelin": "tel", "puhelinnumero": "tel", "phone": "tel", "puh": "tel",
    "mailto": "mailto", "email": "mailto", "e_mail": "mailto", "sahkoposti": "mailto",
    "handle": "handle", "pikaviestitunnus": "handle",
    "contact_points": "contact_points", "contact_persons": "contact_persons",
    "person_name": "person_name", "yhteyshenkilo": "person_name", "person_role": "person_role", "rooli": "person_role",
    "person_tel": "person_tel", "yhteyshenkilon_puhelin": "person_tel",
    "person_mailto": "person_mailto", "yhteyshenkilon_sahkoposti": "person_mailto",
}  # fmt: skip
"""Names that headers and keys may have, folded by :func:`field_name`, and the field they mean."""

AGENT_FIELDS: Mapping[str, str] = {
    "ref": "ref", "agent": "ref", "agent_id": "ref", "agentti": "ref", "tyontekijanumero": "ref", "tunnus": "ref",
    "name": "name", "nimi": "name",
    "extensions": "extensions", "extension": "extensions", "alanumero": "extensions", "alanumerot": "extensions",
    "teams": "teams", "team": "teams", "tiimi": "teams", "tiimit": "teams",
    "valid_until": "valid_until", "until": "valid_until", "paattyy": "valid_until", "paattynyt": "valid_until",
}  # fmt: skip

_LIST_ONLY = frozenset({"contact_points", "contact_persons"})
_WITH_TIME = re.compile(r"(.*?)\s*\[\s*([^\[\]]*?)\s*\.\.\s*([^\[\]]*?)\s*\]", re.DOTALL)
_YES = frozenset({"true", "yes", "y", "1", "x", "kyllä", "k", "on", "tosi"})
_NO = frozenset({"false", "no", "n", "0", "", "ei", "e", "epätosi"})
_FOLDED = str.maketrans({"ä": "a", "ö": "o", "å": "a", " ": "_", "-": "_", ".": "_"})


def field_name(header: str) -> str:
    """A header or key in the form of the tables: lower case, without dots on letters, words joined by
    ``_``."""
    return tidy(header)[0].strip("\ufeff \"'").lower().translate(_FOLDED).strip("_")


def parse_customer(sent: object, *, region: str = "FI", zone: str = "Europe/Helsinki") -> CustomerRecord:
    """The customer that a JSON object (or a row by header) describes.

    Fields: ``number``, ``name``, ``business_id``, ``kind``, ``address``, ``domicile``,
    ``relationship_start``, ``relationship_end``, ``marketing_ban``; contact points as ``tel``, ``mailto``,
    ``handle`` (text, or a list of texts or of ``{value, from, until}``) or as ``contact_points`` (a list of
    ``{tel | mailto | handle, from, until}``); ``contact_persons`` (a list of ``{name, role, tel, mailto,
    handle}``) or the one of ``person_name`` and its kin. InvalidInput names the field and the mend.
    """
    row = _Row(sent, CUSTOMER_FIELDS, region, ZoneInfo(zone))
    number, business_id = row.text("number", KEY_LENGTH), row.business_id()
    if number is None and business_id is None:
        raise InvalidInput("number and business_id are both empty; give one of them, it tells customers apart")
    start, end = row.day("relationship_start"), row.day("relationship_end")
    if start and end and end < start:
        raise InvalidInput("relationship_end lies before relationship_start; correct one of them")
    return CustomerRecord(
        name=row.needed("name"),
        number=number,
        business_id=business_id,
        kind=row.text("kind", KEY_LENGTH),
        address=row.text("address", TEXT_LENGTH),
        domicile=row.text("domicile", KEY_LENGTH),
        relationship_start=start,
        relationship_end=end,
        marketing_ban=row.flag("marketing_ban"),
        contact_points=row.contact_points(),
        contact_persons=row.contact_persons(),
        told=row.told(),
    )


def parse_agent(sent: object, *, zone: str = "Europe/Helsinki") -> AgentRecord:
    """The agent that a JSON object (or a row by header) describes: ``ref``, ``name``, ``extensions``
    and ``teams`` as text or lists of texts or of ``{value, from, until}``, and ``valid_until``, the last day (or the
    moment) of somebody who leaves. InvalidInput names the field and the mend."""
    row = _Row(sent, AGENT_FIELDS, "FI", ZoneInfo(zone))
    return AgentRecord(
        ref=row.needed("ref", KEY_LENGTH),
        name=row.needed("name"),
        extensions=row.memberships("extensions"),
        teams=row.memberships("teams"),
        valid_until=row.until("valid_until"),
        told=row.told(),
    )


class _Row:
    """The fields of one row under their own names; each reader takes one field and refuses what it cannot
    mean."""

    def __init__(self, sent: object, names: Mapping[str, str], region: str, zone: ZoneInfo) -> None:
        if not isinstance(sent, Mapping):
            raise InvalidInput("the row is not an object; send {...}")
        self._region, self._zone = region, zone
        self._values: dict[str, object] = {}
        for key, value in sent.items():
            field = names.get(field_name(str(key)))
            if field is None:
                raise InvalidInput(f"a field has an unknown name; known are {', '.join(sorted(set(names.values())))}")
            if field in self._values:
                raise InvalidInput(f"{field} is given twice; leave one out")
            self._values[field] = value

    def told(self) -> frozenset[str]:
        """The fields of the record that the row spoke of."""
        points = {"tel", "mailto", "handle", "contact_points"}
        persons = {"person_name", "contact_persons"}
        fields = {"contact_points" if f in points else "contact_persons" if f in persons else f for f in self._values}
        return frozenset(field for field in fields if not field.startswith("person_"))

    def text(self, field: str, limit: int) -> str | None:
        return _text(field, self._values.get(field), limit)

    def needed(self, field: str, limit: int = TEXT_LENGTH) -> str:
        text = self.text(field, limit)
        if text is None:
            raise InvalidInput(f"{field} is missing; give it")
        return text

    def business_id(self) -> str | None:
        text = self.text("business_id", KEY_LENGTH)
        found = parse_business_id(text) if text else None
        if text and found is None:
            raise InvalidInput("business_id is no Y-tunnus; give it as 1234567-8 with the right check digit")
        return found

    def day(self, field: str) -> date | None:
        text = self.text(field, KEY_LENGTH)
        found = read_day(text) if text else None
        if text and found is None:
            raise InvalidInput(f"{field} is no day; write 2026-01-31 or 31.1.2026")
        return found

    def until(self, field: str) -> datetime | None:
        """The end of the day that is named, or the moment."""
        return self._moment(field, self._values.get(field), 1)

    def flag(self, field: str) -> bool:
        value = self._values.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        text = (_text(field, value, KEY_LENGTH) or "").lower()
        if text not in _YES | _NO:
            raise InvalidInput(f"{field} is neither yes nor no; write true or false (kyllä or ei)")
        return text in _YES

    def contact_points(self) -> tuple[ContactPointRecord, ...]:
        given = self._values.get("contact_points")
        points: list[ContactPointRecord] = []
        for item in _list("contact_points", given):
            if not isinstance(item, Mapping):
                raise InvalidInput(
                    "contact_points has an entry that is no object; send {tel | mailto | handle, from, until}"
                )
            kinds = [kind for kind in PartyKind if kind.value in item]
            if len(kinds) != 1 or item.keys() - {kinds[0].value, "from", "until"}:
                raise InvalidInput(
                    "contact_points has an entry without exactly one of tel, mailto, handle; split or mend it"
                )
            timed = {"value": item[kinds[0].value], "from": item.get("from"), "until": item.get("until")}
            points += self._points("contact_points", kinds[0], [timed])
        for kind in PartyKind:
            points += self._points(kind.value, kind, self._values.get(kind.value))
        return _unique(points)

    def contact_persons(self) -> tuple[ContactPersonRecord, ...]:
        persons: list[ContactPersonRecord] = []
        for item in _list("contact_persons", self._values.get("contact_persons")):
            if not isinstance(item, Mapping) or item.keys() - {"name", "role", "tel", "mailto", "handle"}:
                raise InvalidInput(
                    "contact_persons has an entry that is not {name, role, tel, mailto, handle}; mend it"
                )
            persons += self._person("contact_persons.", item)
        alone = {
            field.removeprefix("person_"): value for field, value in self._values.items() if field.startswith("person_")
        }
        return (*persons, *self._person("person_", alone))

    def _person(self, prefix: str, sent: Mapping[str, object]) -> list[ContactPersonRecord]:
        name = _text(f"{prefix}name", sent.get("name"), TEXT_LENGTH)
        if name is None:
            if any(value not in (None, "", []) for value in sent.values()):
                raise InvalidInput(f"{prefix}name is missing beside the person's other fields; give it")
            return []
        points = [p for kind in PartyKind for p in self._points(prefix + kind.value, kind, sent.get(kind.value))]
        role = _text(f"{prefix}role", sent.get("role"), KEY_LENGTH)
        return [ContactPersonRecord(name=name, role=role, contact_points=_unique(points))]

    def _points(self, field: str, kind: PartyKind, sent: object) -> list[ContactPointRecord]:
        points = []
        for text, begin, end in self._timed(field, sent):
            address = parse_party_address(kind, text, self._region)
            if address.value is None:
                mend = {"tel": "+358401234567 or 040 1234567", "mailto": "name@example.fi", "handle": "up to 255 signs"}
                raise InvalidInput(f"{field} has a value that is not understood; write {mend[kind.value]}")
            points.append(ContactPointRecord(kind=address.kind, value=address.value, valid_from=begin, valid_until=end))
        return points

    def memberships(self, field: str) -> tuple[Membership, ...]:
        timed = self._timed(field, self._values.get(field))
        return tuple(Membership(value=text, valid_from=begin, valid_until=end) for text, begin, end in timed)

    def _timed(self, field: str, sent: object) -> list[tuple[str, datetime | None, datetime | None]]:
        """Texts with from and until, out of a cell, a list of texts or a list of ``{value, from, until}``."""
        result = []
        for item in _list(field, [part for part in sent.split("|") if part.strip()] if isinstance(sent, str) else sent):
            match = _WITH_TIME.fullmatch(item.strip()) if isinstance(item, str) else None
            if match is not None:
                item = {"value": match[1], "from": match[2], "until": match[3]}
            elif not isinstance(item, Mapping):
                item = {"value": item}
            if item.keys() - {"value", "from", "until"}:
                raise InvalidInput(f"{field} has an entry that is not {{value, from, until}}; mend it")
            text = _text(field, item.get("value"), TEXT_LENGTH)
            begin, end = self._moment(field, item.get("from"), 0), self._moment(field, item.get("until"), 1)
            if begin and end and end <= begin:
                raise InvalidInput(f"{field} has an until that does not lie after its from; correct one of them")
            if text is not None:
                result.append((text, begin, end))
        return result

    def _moment(self, field: str, sent: object, days: int) -> datetime | None:
        text = _text(field, sent, KEY_LENGTH)
        if text is None:
            return None
        day = read_day(text)
        if day is not None and 1900 <= day.year <= 2286:
            return start_of_day(day + timedelta(days=days), self._zone)
        moment = None if text.isdecimal() else read_moment(text)
        if moment is None:
            raise InvalidInput(
                f"{field} has a time that is not understood; write a day (2026-01-31) or RFC 3339 with a zone"
            )
        return moment


def _list(field: str, value: object) -> list[object]:
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    if len(items) > VALUES or (field in _LIST_ONLY and not isinstance(value, list) and value != ""):
        raise InvalidInput(f"{field} is no list of at most {VALUES} entries; send a list")
    return [item for item in items if item not in (None, "")]


def _text(field: str, value: object, limit: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(f"{field} is no text; send it in quotes")
    if any("\ud800" <= character <= "\udfff" for character in str(value)):
        raise InvalidInput(f"{field} is not UTF-8; save or send it as UTF-8")
    text, masked = tidy(str(value))
    if masked:
        raise InvalidInput(f"{field} holds a personal identity code; take it out, the archive must not index one")
    if len(text) > limit:
        raise InvalidInput(f"{field} has {len(text)} characters; shorten it to {limit}")
    return text or None


def _unique(points: list[ContactPointRecord]) -> tuple[ContactPointRecord, ...]:
    return tuple(dict.fromkeys(points))
