"""The sealed fields of a communication as lines to read: a label and a value each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recvault.interfaces.web.words import N_

LABELS: Mapping[str, str] = {
    "subject": N_("Subject"),
    "filename": N_("File name"),
    "source_ref": N_("Id at the source"),
    "agent": N_("Agent, as sent"),
}

_PARTIES: Mapping[str, tuple[str, str, str]] = {
    "remote": (N_("Customer's number or address"), N_("As sent"), N_("Name, as sent")),
    "local": (N_("Own number or address"), N_("As sent"), N_("Name, as sent")),
}

_CUSTOMER: Mapping[str, str] = {
    "number": N_("Customer number, as sent"),
    "business_id": N_("Business id, as sent"),
    "id": N_("Customer id, as sent"),
}

PARTICIPANT = N_("Participant")
EXTRA_LIMIT = 60
"""Further values shown at most."""


Line = tuple[str, str]
"""A label (to be translated, unless it is a name that the source gave) and a value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """Who and what, which a reader looks for first; and the rest."""

    first: list[Line]
    further: list[Line]


def field_lines(fields: Mapping[str, object]) -> Details:
    """The fields in reading order."""
    return Details(first=list(_parties(fields)), further=[*_further(fields), *_extra(fields.get("extra"))])


def _parties(fields: Mapping[str, object]) -> Iterator[Line]:
    yield from _present((LABELS["subject"], fields.get("subject")))
    for name, (value_label, sent_label, name_label) in _PARTIES.items():
        party = _mapping(fields.get(name))
        yield from _present((value_label, party.get("value")), (name_label, party.get("name")))
        if party.get("as_sent") != party.get("value"):
            yield from _present((sent_label, party.get("as_sent")))


def _further(fields: Mapping[str, object]) -> Iterator[Line]:
    customer = _mapping(fields.get("customer"))
    yield from _present(*((label, customer.get(name)) for name, label in _CUSTOMER.items()))
    yield from _present(*((label, fields.get(name)) for name, label in LABELS.items() if name != "subject"))
    participants = fields.get("participants")
    for one in participants if isinstance(participants, list) else []:
        party = _mapping(one)
        words = [str(party[name]) for name in ("name", "value", "as_sent") if party.get(name)]
        yield from _present((PARTICIPANT, ", ".join(dict.fromkeys(words))))


def _extra(extra: object) -> list[Line]:
    return [(str(name), str(value)) for name, value in _mapping(extra).items()][:EXTRA_LIMIT]


def _present(*lines: tuple[str, object]) -> Iterator[Line]:
    for label, value in lines:
        if value not in (None, ""):
            yield label, str(value)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
