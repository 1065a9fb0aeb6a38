"""Text from outside: made safe to store and show, without personal identity codes.

Invariants: what :func:`tidy` and :func:`tidy_json` return is valid Unicode in NFC without control
characters, lone surrogates or direction overrides, and holds no valid Finnish personal identity code. Act
1050/2018 §29 allows one to be processed only where identification demands it, which an archive of calls
does not: it is masked before anything else sees it. What a text means is left to the other modules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal

from stdnum.fi import hetu

MASK = "******-****"

_REPLACEMENT = "\ufffd"
# Seven digits in a row are not the beginning of a date of birth, and a digit after the check character
# makes it a part of a longer number: without these two edges one in 31 of the time stamps YYYYMMDD-HHMMSS
# would be masked.
_CODE = re.compile(
    r"(?<![0-9])([0-9]{6})[ ]{0,2}([-+A-FU-Y]|%2[BD])[ ]{0,2}([0-9]{3}(?:[A-FHJ-NPR-Y]|[0-9](?![0-9])))",
    re.ASCII | re.IGNORECASE,
)
_DIGITS = 9
"""So many digits at least has an identity code."""
_SIGNS = {"%2B": "+", "%2D": "-"}
_LOOKS_LIKE_HYPHEN = {"\u2212": "-", "\u00ad": "-", "\u2043": "-", "\u207b": "-", "\u208b": "-"}
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def tidy(text: str, *, visible: bool = False) -> tuple[str, bool]:
    """``text`` made safe, and whether an identity code was masked in it.

    Line breaks and tabs become spaces, other control characters go; with ``visible`` both become control
    pictures (U+2400 ff.) instead, so that nothing of an id or a file name is lost. Ends are stripped.
    """
    if text.isascii() and text.isprintable():
        return _mask(text.strip())
    masked, before = _mask(text)
    cleaned = "".join([_safe(character, visible) for character in masked])
    result, after = _mask(unicodedata.normalize("NFC", cleaned).strip())
    return result, before or after


def cut(text: str, limit: int) -> tuple[str, bool]:
    """The first ``limit`` characters, masked again (a cut can uncover a code), and whether a code was
    found."""
    return _mask(text[:limit].rstrip())


def has_identity_code(text: str) -> bool:
    """Whether a valid personal identity code stands in ``text``, in any usual way of writing it."""
    return _mask(text)[1]


def mask_identity_codes(text: str) -> str:
    """``text`` with every valid personal identity code replaced by ``******-****``."""
    return _mask(text)[0]


def tidy_json(value: object) -> tuple[object, bool]:
    """A JSON value with every string and key made safe, fractions as floats, and whether a code was masked.

    Two keys that become the same are kept apart by a number. Recursive: the nesting must be bounded before.
    """
    if isinstance(value, str):
        return tidy(value, visible=True)
    if isinstance(value, Decimal):
        number = float(value)
        finite = number not in (float("inf"), float("-inf"))
        return (number if finite else str(value)), False
    if isinstance(value, Mapping):
        return _tidy_object(value)
    if isinstance(value, list | tuple):
        pairs = [tidy_json(item) for item in value]
        return [item for item, _ in pairs], any(masked for _, masked in pairs)
    return value, False


def free_name(wanted: str, taken: Mapping[str, object], *, start: int = 1) -> str:
    """``wanted``, or with a number behind it (from ``start`` on) when it is taken."""
    name, number = wanted, max(start, 2)
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name


def _tidy_object(value: Mapping[object, object]) -> tuple[dict[str, object], bool]:
    result: dict[str, object] = {}
    met: dict[str, int] = {}
    found = False
    for key, item in value.items():
        name, masked_key = tidy(str(key), visible=True)
        content, masked_item = tidy_json(item)
        met[name] = met.get(name, 0) + 1
        result[free_name(name, result, start=met[name])] = content
        found = found or masked_key or masked_item
    return result, found


def _safe(character: str, visible: bool) -> str:
    if " " <= character <= "~":
        return character
    category = unicodedata.category(character)
    if category == "Cs":
        return _REPLACEMENT
    if category == "Cc":
        if visible:
            return _picture(character)
        return " " if character.isspace() else ""
    if category in {"Zl", "Zp"}:
        return " "
    if character in _DIRECTION:
        return _REPLACEMENT if visible else ""
    return character


def _picture(control: str) -> str:
    code = ord(control)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else _REPLACEMENT


def _mask(text: str) -> tuple[str, bool]:
    if sum(map(str.isnumeric, text)) < _DIGITS:
        return text, False
    masked, plain = _replace(text, text, range(len(text)))
    # As it is written first: an invisible or foreign sign before a code would otherwise join it to a digit
    # before that.
    masked, folded = _replace(masked, *_fold(masked))
    return masked, plain or folded


def _replace(text: str, seen: str, places: Sequence[int]) -> tuple[str, bool]:
    """``text`` with the codes masked that stand in ``seen``, whose characters come from ``places`` of
    ``text``."""
    spans = [
        (places[match.start()], places[match.end() - 1] + 1)
        for match in _CODE.finditer(seen)
        if hetu.is_valid(match[1] + _SIGNS.get(match[2].upper(), match[2]) + match[3], allow_temporary=True)
    ]
    for start, end in reversed(spans):
        text = text[:start] + MASK + text[end:]
    return text, bool(spans)


def _fold(text: str) -> tuple[str, list[int]]:
    """``text`` as the eye reads it: ASCII digits, capitals and hyphens, nothing invisible; and where each
    came from."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        plain = character.upper() if character.isascii() and character.isprintable() else _plain(character)
        if plain:
            characters.append(plain)
            places.append(place)
    return "".join(characters), places


def _plain(character: str) -> str:
    if character in _LOOKS_LIKE_HYPHEN:
        return "-"
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in {"Cc", "Cf", "Mn", "Me"}:
        return ""
    if category == "Pd":
        return "-"
    if category == "Nd":
        return str(unicodedata.digit(character))
    compatible = unicodedata.normalize("NFKC", character)
    return compatible.upper() if len(compatible) == 1 and compatible.isascii() else character
