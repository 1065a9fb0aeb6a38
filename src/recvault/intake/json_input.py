"""JSON from outside (RFC 8259), read within bounds.

Invariants: no input makes the reader recurse deeper than ``MAX_DEPTH`` or build a number of unbounded size;
nothing that was sent is dropped: of a key given twice the last value counts, as in every JSON reader, and
the earlier ones stay beside it. Strings come out as they were sent; making them safe is the work of
``text``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from recvault.domain.errors import InvalidInput, TooLarge
from recvault.intake.text import free_name

MAX_DEPTH = 32
"""Levels of objects and lists within each other."""
_INTEGER_DIGITS = 18
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class JsonObject:
    """What was read. Fractions are Decimal (their digits may be an id); longer integers than 18 digits and
    NaN or Infinity, which JSON does not have but some senders write, are text. ``odd`` tells that a key
    stood twice or such a word was met."""

    value: dict[str, object]
    odd: bool


def read_object(raw: bytes, *, what: str, max_bytes: int) -> JsonObject:
    """The JSON object in ``raw``. ``what`` names it in errors.

    TooLarge beyond ``max_bytes``; InvalidInput when it is not UTF-8, not JSON, nested too deep or not an
    object.
    """
    if len(raw) > max_bytes:
        raise TooLarge(f"{what} has {len(raw)} bytes, the limit is {max_bytes}; send less, or put it into the content")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise InvalidInput(f"{what} is not UTF-8 at byte {fault.start}; encode it as UTF-8") from None
    _refuse_deep(text, what)
    return _load(text, what)


def _refuse_deep(text: str, what: str) -> None:
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidInput(f"{what} is nested deeper than {MAX_DEPTH} levels; send it flatter")
        elif match[0] in "]}":
            depth -= 1


def _load(text: str, what: str) -> JsonObject:
    oddities: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(items)
        if len(result) < len(items):
            oddities.append("twice")
            _keep_earlier(items, result)
        return result

    def constant(word: str) -> str:
        oddities.append("constant")
        return word

    try:
        value = json.loads(
            text, object_pairs_hook=pairs, parse_int=_integer, parse_float=_fraction, parse_constant=constant
        )
    except json.JSONDecodeError as fault:
        raise InvalidInput(f"{what} is not JSON at line {fault.lineno}, column {fault.colno}; send an object") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is not a JSON object; send {{...}}")
    return JsonObject(value=value, odd=bool(oddities))


def _keep_earlier(items: list[tuple[str, object]], result: dict[str, object]) -> None:
    last = {key: place for place, (key, _) in enumerate(items)}
    for place, (key, value) in enumerate(items):
        if last[key] != place:
            result[free_name(f"{key} (earlier, {place + 1})", result)] = value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else digits


def _fraction(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits
