"""The metadata part of an upload: JSON in, a draft out.

Invariants (rule 8 of the design): an authenticated recording is never refused for an odd word. What is not
understood is kept as it was sent in ``extra`` and marked; only what has no structure to read, or announces
a digest or length that could never be verified, is refused. No string of a draft holds a valid personal
identity code, save that the announced digest and our own id of a customer, both random, are not searched
for one. Who the customer is, which notice applies and whether the content is what was announced is decided
elsewhere.

Where the odd things are kept: ``extra["unrecognised"]`` has the fields we do not know,
``extra["not_understood"]`` the values of known fields that we could not read or had to cut, both by dotted
name (``remote.tel``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from recvault.domain.communication import Attention, Channel, CustomerKey, Direction, Draft, Party, PartyKind
from recvault.domain.errors import InvalidInput
from recvault.domain.ids import is_uuid7, require_aware
from recvault.intake.identifiers import Address, guess_party_address, parse_business_id, parse_party_address
from recvault.intake.json_input import read_object
from recvault.intake.moments import read_moment
from recvault.intake.text import cut, free_name, tidy, tidy_json

MAX_BYTES = 65536
FUTURE_TOLERANCE = timedelta(minutes=10)
"""How far a source's clock may be ahead."""

SOURCE_ID_LENGTH = 255
NAME_LENGTH = 200
ADDRESS_LENGTH = 320
"""Characters of a party's address as it was sent."""
KEY_LENGTH = 64
"""Customer number, agent, team, queue, tag."""
REFERENCE_LENGTH = 128
"""Case and notice."""
MEDIA_TYPE_LENGTH = 255
FILENAME_LENGTH = 1024
SUBJECT_LENGTH = 998
"""One line of a message (RFC 5322, 2.1.1)."""
TAGS = 50
PARTICIPANTS = 100

_FIELDS = frozenset(
    {
        "source_id",
        "channel",
        "direction",
        "started_at",
        "ended_at",
        "customer",
        "remote",
        "local",
        "agent",
        "team",
    }
    | {"queue", "case_ref", "tags", "media_type", "filename", "subject", "notice_ref", "sha256", "length"}
    | {"answered", "participants", "extra"}
)
_CUSTOMER_FIELDS = frozenset({"number", "business_id", "id"})
_PARTY_FIELDS = frozenset({"tel", "mailto", "handle", "name"})
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_LETTERS_ONLY = str.maketrans("0123456789", "ghijklmnop")
_Choice = TypeVar("_Choice", Channel, Direction)


def parse_submission(
    raw: bytes,
    *,
    now: datetime,
    region: str = "FI",
    max_bytes: int = MAX_BYTES,
    future_tolerance: timedelta = FUTURE_TOLERANCE,
) -> Draft:
    """The draft that ``raw`` (JSON, UTF-8) describes.

    Without a readable start the communication started when it ended, else ``now``. A ``source_id`` with an
    identity code in it is replaced by ``hetu-`` and letters of its SHA-256: the same again for the same id,
    so that an upload stays idempotent (whoever stores it hashes it with a key: the digest alone can be
    guessed back).

    TooLarge beyond ``max_bytes``; InvalidInput when it is not an object of JSON, has no usable
    ``source_id``, or its ``sha256`` or ``length`` is malformed. Both say what to mend, and repeat nothing
    of what was sent.
    """
    now = require_aware(now, "now")
    document = read_object(raw, what="metadata", max_bytes=max_bytes)
    reader = _Reader(document.value, region)
    if document.odd:
        reader.marks.add(Attention.VALUE_NOT_UNDERSTOOD)
    source_ref = reader.source_id()
    started_at, ended_at = reader.times(now, future_tolerance)
    draft_parts = {name: reader.party(name, reader.sent.get(name)) for name in ("remote", "local")}
    answered = reader.sent.get("answered")
    if answered is not None and not isinstance(answered, bool):
        reader.odd("answered", answered)
    return Draft(
        source_ref=source_ref,
        channel=reader.choice("channel", Channel, Channel.CALL),
        direction=reader.choice("direction", Direction, Direction.INBOUND),
        started_at=started_at,
        ended_at=ended_at,
        customer=reader.customer(),
        remote=draft_parts["remote"],
        local=draft_parts["local"],
        agent=reader.field("agent", KEY_LENGTH),
        team=reader.field("team", KEY_LENGTH),
        queue=reader.field("queue", KEY_LENGTH),
        case_ref=reader.field("case_ref", REFERENCE_LENGTH),
        tags=reader.tags(),
        media_type=reader.field("media_type", MEDIA_TYPE_LENGTH),
        filename=reader.field("filename", FILENAME_LENGTH, visible=True),
        subject=reader.field("subject", SUBJECT_LENGTH),
        notice_ref=reader.field("notice_ref", REFERENCE_LENGTH),
        sha256=reader.sha256(),
        length=reader.length(),
        answered=answered if isinstance(answered, bool) else None,
        participants=reader.participants(),
        extra=reader.extra(),
        attention=frozenset(reader.marks),
    )


class _Reader:
    """Reads field by field and remembers what was odd. ``extra`` comes last: it gathers what the others put
    aside."""

    def __init__(self, sent: Mapping[str, object], region: str) -> None:
        self.sent = sent
        self.marks: set[Attention] = set()
        self._region = region
        self._unrecognised: dict[str, object] = {}
        self._not_understood: dict[str, object] = {}
        self._unknown("", sent, _FIELDS)

    def odd(self, name: str, value: object, mark: Attention = Attention.VALUE_NOT_UNDERSTOOD) -> None:
        """Keeps what was sent and marks the communication."""
        self._not_understood[name] = value
        self.marks.add(mark)

    def _unknown(self, prefix: str, sent: Mapping[str, object], known: frozenset[str]) -> None:
        for name in sent.keys() - known:
            self._unrecognised[prefix + name] = sent[name]
            self.marks.add(Attention.UNKNOWN_FIELD)

    # -- values
    # --------------------------------------------------------------------------------------------------

    def text(self, name: str, value: object, limit: int, *, visible: bool = False) -> str | None:
        """Text made safe and cut to ``limit`` characters; numbers are taken as their digits; None when
        empty."""
        if value is None:
            return None
        plain = _as_text(value)
        if plain is None:
            self.odd(name, value)
            return None
        result, masked = tidy(plain, visible=visible)
        if len(result) > limit:
            self.odd(name, value)
            result, uncovered = cut(result, limit)
            masked = masked or uncovered
        if masked:
            self.marks.add(Attention.IDENTITY_CODE_MASKED)
        return result or None

    def field(self, name: str, limit: int, *, visible: bool = False) -> str | None:
        return self.text(name, self.sent.get(name), limit, visible=visible)

    def key(self, name: str, value: object, limit: int) -> str | None:
        """Text to match by: one with an identity code in it, masked, would match strangers, and is only
        kept."""
        plain = _as_text(value)
        result = self.text(name, value, limit)
        if result is not None and plain is not None and tidy(plain)[1]:
            self.odd(name, value)
            return None
        return result

    def choice(self, name: str, kind: type[_Choice], default: _Choice) -> _Choice:
        value = self.sent.get(name)
        wanted = value.strip().lower() if isinstance(value, str) else None
        for member in kind:
            if member.value == wanted:
                return member
        self.odd(name, value)
        return default

    # -- announcements: verified later, so they must be exact
    # ------------------------------------------------------

    def source_id(self) -> str:
        plain = _as_text(self.sent.get("source_id"))
        twice = any(name.startswith("source_id (earlier") for name in self.sent)
        if plain is None or not plain.strip() or twice:
            raise InvalidInput("metadata has no usable source_id; send one string, the source's own id")
        result, masked = tidy(plain, visible=True)
        if not 1 <= len(result) <= SOURCE_ID_LENGTH:
            raise InvalidInput(f"source_id has no or too many characters; send 1 to {SOURCE_ID_LENGTH}")
        if not masked:
            return result
        self.marks.add(Attention.IDENTITY_CODE_MASKED)
        digest = hashlib.sha256(plain.strip().encode("utf-8", "surrogatepass")).hexdigest()
        return "hetu-" + digest.translate(_LETTERS_ONLY)

    def sha256(self) -> str | None:
        value = self.sent.get("sha256")
        if value is None:
            return None
        digest = value.strip().lower() if isinstance(value, str) else ""
        if not _SHA256.fullmatch(digest):
            raise InvalidInput("sha256 is not a SHA-256 digest; send 64 hexadecimal digits or leave it out")
        return digest

    def length(self) -> int | None:
        value = self.sent.get("length")
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise InvalidInput("length is no number of bytes; send up to 18 digits or leave it out")
        return value

    # -- times
    # -----------------------------------------------------------------------------------------------------

    def times(self, now: datetime, tolerance: timedelta) -> tuple[datetime, datetime | None]:
        start, end = self._moment("started_at"), self._moment("ended_at")
        if start is None:
            self.marks.add(Attention.TIME_UNREADABLE)
        future = start is not None and start > now + tolerance
        if future:
            self.marks.add(Attention.STARTS_IN_FUTURE)
        elif end is not None and end > now + tolerance:
            self.odd("ended_at", self.sent.get("ended_at"))  # a finished contact does not end in the future
            end = None
        if start is not None and end is not None and end < start:
            self.marks.add(Attention.ENDS_BEFORE_START)
        return start or min(now, end or now), end

    def _moment(self, name: str) -> datetime | None:
        value = self.sent.get(name)
        moment = read_moment(value)
        if value not in (None, "") and moment is None:
            self.odd(name, value, Attention.TIME_UNREADABLE)
        return moment

    # -- people
    # ----------------------------------------------------------------------------------------------------

    def customer(self) -> CustomerKey:
        value = self.sent.get("customer")
        if value is None:
            return CustomerKey()
        if not isinstance(value, Mapping):
            self.odd("customer", value)
            return CustomerKey()
        self._unknown("customer.", value, _CUSTOMER_FIELDS)
        number = self.key("customer.number", value.get("number"), KEY_LENGTH)
        return CustomerKey(
            number=number,
            business_id=self._business_id(value.get("business_id")),
            id=self._own_id(value.get("id")),
        )

    def _business_id(self, value: object) -> str | None:
        sent = self.text("customer.business_id", value, KEY_LENGTH)
        business_id = parse_business_id(sent) if sent else None
        if sent and business_id is None:
            self.odd("customer.business_id", value, Attention.BUSINESS_ID_INVALID)
        return business_id

    def _own_id(self, value: object) -> str | None:
        if value in (None, ""):
            return None
        own = value.strip().lower() if isinstance(value, str) else ""
        if is_uuid7(own):
            return own
        self.odd("customer.id", value)
        return None

    def party(self, name: str, value: object) -> Party | None:
        """``{tel | mailto | handle, name}`` or the bare address as text; None when nobody is named."""
        if value in (None, "") or value == {}:
            return None
        if isinstance(value, str):
            return self._bare_party(name, value)
        if not isinstance(value, Mapping):
            self.odd(name, value)
            return None
        self._unknown(f"{name}.", value, _PARTY_FIELDS)
        person = self.text(f"{name}.name", value.get("name"), NAME_LENGTH)
        ways = [kind for kind in PartyKind if value.get(kind.value) not in (None, "")]
        for kind in ways[1:]:
            self.odd(f"{name}.{kind}", value[kind.value])  # a party is reached in one way, the others are kept
        party = self._addressed(f"{name}.{ways[0]}", ways[0], value[ways[0].value], person) if ways else None
        if party is None and value.get("tel") == "":
            party = Party(kind=PartyKind.TEL, name=person)  # an empty caller id says that it is withheld
        return party or (Party(name=person) if person else None)

    def _bare_party(self, name: str, sent: str) -> Party | None:
        shown = self.text(name, sent, ADDRESS_LENGTH)
        return self._party(name, sent, shown, guess_party_address(shown, self._region), None) if shown else None

    def _addressed(self, field: str, kind: PartyKind, sent: object, person: str | None) -> Party | None:
        shown = self.text(field, sent, ADDRESS_LENGTH)
        if shown is None:
            return None
        return self._party(field, sent, shown, parse_party_address(kind, shown, self._region), person)

    def _party(self, name: str, sent: object, shown: str, address: Address, person: str | None) -> Party:
        plain = _as_text(sent) or ""
        value = None if tidy(plain)[1] or len(plain.strip()) > ADDRESS_LENGTH else address.value
        if value is None and not address.withheld:
            self.marks.add(
                Attention.NUMBER_NOT_RECOGNISED if address.kind is PartyKind.TEL else Attention.VALUE_NOT_UNDERSTOOD
            )
        displayed = self.text(f"{name}.name", person or address.name, NAME_LENGTH)
        return Party(kind=address.kind, value=value, as_sent=shown, name=displayed)

    def participants(self) -> tuple[Party, ...]:
        value = self.sent.get("participants")
        if value is None:
            return ()
        if not isinstance(value, list):
            self.odd("participants", value)
            return ()
        if len(value) > PARTICIPANTS:
            self.odd(f"participants[{PARTICIPANTS}:]", value[PARTICIPANTS:])
        found = [self.party(f"participants[{n}]", item) for n, item in enumerate(value[:PARTICIPANTS])]
        return tuple(party for party in found if party is not None)

    # -- the rest
    # ----------------------------------------------------------------------------------------------------

    def tags(self) -> frozenset[str]:
        value = self.sent.get("tags")
        if value is None:
            return frozenset()
        if not isinstance(value, list):
            self.odd("tags", value)
            return frozenset()
        if len(value) > TAGS:
            self.odd(f"tags[{TAGS}:]", value[TAGS:])
        found = [self.text(f"tags[{n}]", item, KEY_LENGTH) for n, item in enumerate(value[:TAGS])]
        return frozenset(tag for tag in found if tag)

    def extra(self) -> dict[str, object]:
        """What the source sent as ``extra``, and beside it what was put aside. To be called last."""
        sent = self.sent.get("extra")
        if sent is not None and not isinstance(sent, Mapping):
            self.odd("extra", sent)
        gathered: dict[str, object] = dict(sent) if isinstance(sent, Mapping) else {}
        for name, found in (("unrecognised", self._unrecognised), ("not_understood", self._not_understood)):
            if found:
                gathered[free_name(name, gathered)] = found
        result, masked = tidy_json(gathered)
        if masked:
            self.marks.add(Attention.IDENTITY_CODE_MASKED)
        return result if isinstance(result, dict) else {}


def _as_text(value: object) -> str | None:
    """Text, or a number's digits as they were sent (telephony writes ids and extensions without quotes)."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
