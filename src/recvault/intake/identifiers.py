"""Numbers, addresses and business ids in the one form that the archive matches by.

Invariants: the same helper normalises what a source sends, what the register imports and what a person
searches for, so that equal things meet. None means "not recognised", never a guess. An identity code never
becomes a value to match by: neither in the local part of an address nor in a handle. E.164 through
``phonenumbers``, Y-tunnus through ``python-stdnum``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

import phonenumbers
from stdnum.fi import ytunnus

from recvault.domain.communication import PartyKind
from recvault.intake.text import has_identity_code

ADDRESS_LENGTH = 254
"""Characters of an e-mail address (RFC 5321, 4.5.3.1.3, with its erratum)."""
LOCAL_PART_LENGTH = 64
HANDLE_LENGTH = 255
SHORT_NUMBER_DIGITS = 6
"""A number of at most so many digits that is no public number is an extension of the house or a service's
short code."""

_NUMBER = re.compile(r"\+?[0-9(][0-9 ().\-/]{0,60}", re.ASCII)
_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.\-\u00a1-\U0010ffff]+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?", re.ASCII)
_URI = re.compile(r"(sips?|tel|mailto):(.*)", re.IGNORECASE | re.DOTALL)
_NO_CALLER = frozenset(
    {
        "anonymous",
        "anonymous.invalid",
        "private",
        "restricted",
        "unknown",
        "unavailable",
        "withheld",
        "blocked",
    }
    | {"salainen", "tuntematon", "nobody", "null", "-"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """What an address as sent means. ``withheld``: the caller hid the number, which is no fault. Else
    ``value`` None means not recognised. ``name`` is a display name that stood around it."""

    kind: PartyKind
    value: str | None = None
    withheld: bool = False
    name: str | None = None


def parse_number(text: str, region: str = "FI") -> str | None:
    """E.164 (``+358401234567``) of a public telephone number as people and exchanges write it, else None.

    ``region`` (ISO 3166-1 alpha-2) is where numbers without a country code belong.
    """
    plain = "".join(_ascii_digit_or_dash(character) for character in unicodedata.normalize("NFKC", text)).strip()
    if not _NUMBER.fullmatch(plain):
        return None
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def parse_address(text: str) -> str | None:
    """An e-mail address in lower case, its domain in IDNA form (``xn--``), else None.

    RFC 5321 lets the local part be case-sensitive; no provider that people write from makes use of it, and
    a customer who is not found under ``Matti.Virtanen@`` is the likelier harm. The way it was sent is kept
    beside it.
    """
    _, bare = _without_display_name(text)
    scheme, rest = _split_uri(bare)
    address = unquote(rest.partition("?")[0]) if scheme == "mailto" else rest
    local, at, domain = unicodedata.normalize("NFC", address).strip().rpartition("@")
    local = unicodedata.normalize("NFC", local.lower())
    host = _domain(domain)
    if not at or scheme not in {None, "mailto"} or host is None:
        return None
    if len(local) > LOCAL_PART_LENGTH or not _LOCAL_PART.fullmatch(local) or not local.isprintable():
        return None
    whole = f"{local}@{host}"
    return None if len(whole) > ADDRESS_LENGTH or has_identity_code(whole) else whole


def parse_business_id(text: str) -> str | None:
    """A Finnish Y-tunnus as ``1234567-8`` when its check digit is right, else None.

    Also read: without the hyphen, as VAT number (``FI12345678``), and the older seven digits, which take a
    zero in front.
    """
    plain = "".join(_ascii_digit_or_dash(character) for character in unicodedata.normalize("NFKC", text))
    compact = re.sub(r"[\s-]", "", plain).upper().removeprefix("FI")
    if not re.fullmatch(r"[0-9]{7,8}", compact, re.ASCII):
        return None
    number = compact.zfill(8)
    return ytunnus.format(number) if ytunnus.is_valid(number) else None


def parse_tel(text: str, region: str = "FI") -> Address:
    """What stands in a field for a telephone number: a number, ``tel:`` or ``sip:`` URI (RFC 3966, 3261),
    an extension of the house (kind handle), a SIP user without a number (kind handle), or a withheld
    number."""
    name, bare = _without_display_name(text)
    scheme, rest = _split_uri(bare)
    user, at, host = unquote(re.split(r"[;?]", rest, maxsplit=1)[0]).strip().partition("@")
    if scheme in {"sip", "sips"} or at:
        user = user.partition(":")[0]  # what follows is a password
    if user.strip().lower() in _NO_CALLER or not user.strip():
        return Address(kind=PartyKind.TEL, withheld=True, name=name)
    number = parse_number(user, region)
    if number is not None:
        return Address(kind=PartyKind.TEL, value=number, name=name)
    if re.fullmatch(rf"[0-9*#]{{1,{SHORT_NUMBER_DIGITS}}}", user.strip(), re.ASCII):
        return Address(kind=PartyKind.HANDLE, value=user.strip(), name=name)
    if scheme in {"sip", "sips"} and host and not _NUMBER.fullmatch(user):
        return Address(kind=PartyKind.HANDLE, value=parse_handle(f"{user}@{host}"), name=name)
    return Address(kind=PartyKind.TEL, name=name)


def parse_handle(text: str) -> str | None:
    """A chat handle, extension or staff id: as written but in NFC, lower case and without outer spaces;
    None when empty, too long or an identity code."""
    handle = unicodedata.normalize("NFC", text.strip().lower())
    if not handle or len(handle) > HANDLE_LENGTH or not handle.isprintable() or has_identity_code(handle):
        return None
    return handle


def parse_party_address(kind: PartyKind, text: str, region: str = "FI") -> Address:
    """``text`` from a field that is called ``kind``; the kind that comes out may be another (an extension
    is a handle)."""
    if kind is PartyKind.TEL:
        return parse_tel(text, region)
    if kind is PartyKind.MAILTO:
        return Address(kind=kind, value=parse_address(text), name=_without_display_name(text)[0])
    return Address(kind=kind, value=parse_handle(text))


def guess_party_address(text: str, region: str = "FI") -> Address:
    """A party that came as bare text: an e-mail address, else what :func:`parse_tel` makes of it."""
    address = parse_address(text)
    if address is not None and _split_uri(_without_display_name(text)[1])[0] in {None, "mailto"}:
        return Address(kind=PartyKind.MAILTO, value=address, name=_without_display_name(text)[0])
    return parse_tel(text, region)


def _without_display_name(text: str) -> tuple[str | None, str]:
    """``"Matti" <sip:1@x>`` taken apart; what has no angle brackets is all address."""
    before, bracket, rest = text.strip().partition("<")
    if not bracket or not rest.endswith(">"):
        return None, text.strip()
    return before.strip().strip('"').strip() or None, rest[:-1].strip()


def _split_uri(text: str) -> tuple[str | None, str]:
    match = _URI.fullmatch(text)
    return (match[1].lower(), match[2]) if match else (None, text)


def _domain(text: str) -> str | None:
    if len(text) > ADDRESS_LENGTH:
        return None
    try:
        host = text.rstrip(".").lower().encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    labels = host.split(".")
    return host if len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) else None


def _ascii_digit_or_dash(character: str) -> str:
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.digit(character))
    if unicodedata.category(character) == "Pd" or character == "\u2212":
        return "-"
    if unicodedata.category(character) == "Cf":
        return ""
    return " " if character.isspace() else character
