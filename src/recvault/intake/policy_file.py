"""The retention policy file (TOML) to a :class:`~recvault.domain.retention.Policy`.

Strict in both directions: a key that is not known is refused with the nearest one that is, a key that is
missing is named, and a policy with a problem is no policy. Every refusal is a ConfigurationError that begins
with the file's name and the key's path and says what to write instead.

Left to others: reading the bytes, keeping the text, asking a person to sign the digest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from recvault.domain.durations import NOTHING, Period, parse
from recvault.domain.errors import ConfigurationError, InvalidInput
from recvault.domain.retention import (
    Ceiling,
    DoNotKeep,
    Event,
    Match,
    Policy,
    RecordEvent,
    RecordPurpose,
    RecordRule,
    Records,
    Reminder,
    Rule,
    check,
)
from recvault.domain.retention.statutes import Basis, Statute

# A policy is a few pages; whatever is longer is another file.
LONGEST_FILE_BYTES = 256 * 1024

_E = TypeVar("_E", bound=StrEnum)


def parse_policy(content: bytes, *, origin: str = "retention.toml") -> Policy:
    """Reads and checks a policy file; ``origin`` names it in errors. ConfigurationError with every problem
    found by ``check``, or with the first thing that could not be read."""
    if len(content) > LONGEST_FILE_BYTES:
        raise ConfigurationError(f"{origin}: longer than {LONGEST_FILE_BYTES} bytes; this is no retention policy")
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{origin}: not UTF-8 from byte {error.start}; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{origin}: not TOML: {error}; mend that line") from error
    except RecursionError as error:
        raise ConfigurationError(f"{origin}: nested too deeply; write it like the shipped example") from error
    policy = policy_from_document(document, origin=origin)
    problems = check(policy)
    if problems:
        listed = "; ".join(f"{problem.where}: {problem.text}" for problem in problems)
        raise ConfigurationError(f"{origin}: the policy cannot be used: {listed}")
    return policy


def policy_from_document(document: Mapping[str, object], *, origin: str) -> Policy:
    """A policy from parsed TOML, or from its own ``document()``. ConfigurationError for a wrong shape; the
    policy is not checked."""
    top = _Table(document, origin, "", ("version", "ceiling", "do_not_keep", "rule", "records", "statute"))
    ceiling = top.table("ceiling", ("keep", "why"))
    undo = top.table("do_not_keep", ("tag", "keep", "why"))
    return Policy(
        version=top.text("version"),
        ceiling=Ceiling(keep=ceiling.period("keep"), why=ceiling.text("why")),
        do_not_keep=DoNotKeep(tag=undo.text("tag"), keep=undo.period("keep"), why=undo.text("why")),
        rules=tuple(_rule(table) for table in top.tables("rule", _RULE_KEYS)),
        records=_records(top),
        statutes=tuple(_statute(part) for part in top.tables("statute", _STATUTE_KEYS)) if top.has("statute") else (),
    )


_STATUTE_KEYS = ("code", "name", "keep", "from", "source", "mandatory")
_RULE_KEYS = ("name", "match", "purpose", "keep", "from", "at_least", "cap", "only", "priority", "why")
_MATCH_KEYS = tuple(each.name for each in fields(Match))
_MATCH_LISTS = tuple(each.name for each in fields(Match) if isinstance(each.default, frozenset))
_RECORD_KEYS = ("purpose", "keep", "from", "why")
_REMINDER_KEYS = ("after", "why")


def _rule(table: _Table) -> Rule:
    event = table.choice("from", Event)
    keep = table.period("keep")
    return Rule(
        name=table.text("name"),
        match=_match(table.table("match", _MATCH_KEYS)) if table.has("match") else Match(),
        purpose=table.text("purpose"),
        keep=keep,
        from_event=event,
        # Counted from the contact, `keep` is its own cap; any other event may never come, so its rule must
        # say one.
        cap=keep if event is Event.CONTACT and not table.has("cap") else table.period("cap"),
        priority=table.integer("priority"),
        why=table.text("why"),
        at_least=table.period("at_least") if table.has("at_least") else NOTHING,
        only=table.has("only") and table.flag("only"),
    )


def _statute(table: _Table) -> Statute:
    return Statute(
        code=table.text("code"),
        name=table.text("name"),
        keep=table.period("keep"),
        basis=table.choice("from", Basis),
        source=table.text("source"),
        mandatory=table.flag("mandatory"),
    )


def _match(table: _Table) -> Match:
    names = {key: table.names(key) for key in _MATCH_LISTS if table.has(key)}

    def flag(key: str) -> bool | None:
        return table.flag(key) if table.has(key) else None

    return Match(
        has_case=flag("has_case"),
        answered=flag("answered"),
        empty=flag("empty"),
        quarantined=flag("quarantined"),
        released=flag("released"),
        shorter_than=table.stopwatch("shorter_than") if table.has("shorter_than") else None,
        **names,
    )


def _records(top: _Table) -> Records:
    table = top.table("records", tuple(each.name for each in fields(Records)))

    def rule(key: str) -> RecordRule:
        part = table.table(key, _RECORD_KEYS)
        return RecordRule(
            purpose=part.choice("purpose", RecordPurpose),
            keep=part.period("keep"),
            from_event=part.choice("from", RecordEvent),
            why=part.text("why"),
        )

    def reminder(key: str) -> Reminder:
        part = table.table(key, _REMINDER_KEYS)
        return Reminder(after=part.period("after"), why=part.text("why"))

    return Records(
        call_details=rule("call_details"),
        access_log=rule("access_log"),
        request_register=rule("request_register"),
        customer=rule("customer"),
        quarantine_alarm=reminder("quarantine_alarm"),
        hold_review=reminder("hold_review"),
    )


class _Table:
    """One table of the file, at ``path``: knows its keys, and how to say what is wrong with a value."""

    def __init__(self, values: Mapping[str, object], origin: str, path: str, keys: Collection[str]) -> None:
        self._values, self._origin, self._path = values, origin, path
        for key in values:
            if key not in keys:
                near = get_close_matches(key, keys, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(keys)}"
                raise ConfigurationError(f"{self._at(key)}: unknown key; {hint}")

    def _at(self, key: str) -> str:
        return f"{self._origin}: {self._below(key)}"

    def _below(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _value(self, key: str) -> object:
        if key not in self._values:
            raise ConfigurationError(f"{self._at(key)}: missing; add it")
        return self._values[key]

    def _wrong(self, key: str, wanted: str) -> ConfigurationError:
        return ConfigurationError(f"{self._at(key)}: write {wanted}")

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str:
        value = self._value(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text in quotes")
        return value

    def integer(self, key: str) -> int:
        value = self._value(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self._value(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def names(self, key: str) -> frozenset[str]:
        value = self._value(key)
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            raise self._wrong(key, "a list of texts with at least one in it, or leave the key out to match any")
        return frozenset(value)

    def period(self, key: str) -> Period:
        text = self.text(key)
        try:
            return parse(text)
        except InvalidInput as error:
            raise ConfigurationError(f"{self._at(key)}: {error}") from error

    def stopwatch(self, key: str) -> Period:
        period = self.period(key)
        if period.months or period.days:
            raise self._wrong(key, "hours, minutes or seconds, such as PT3S")
        return period

    def choice(self, key: str, kind: type[_E]) -> _E:
        text = self.text(key)
        known = [each.value for each in kind]
        if text not in known:
            near = get_close_matches(text, known, n=1)
            raise self._wrong(key, f"one of {', '.join(known)}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return kind(text)

    def table(self, key: str, keys: Collection[str]) -> _Table:
        value = self._value(key)
        if not isinstance(value, Mapping):
            raise self._wrong(key, f"a table [{key}]")
        return _Table(value, self._origin, self._below(key), keys)

    def tables(self, key: str, keys: Collection[str]) -> list[_Table]:
        value = self._value(key)
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise self._wrong(key, f"a list of tables [[{key}]]")
        return [
            _Table(each, self._origin, self._below(f"{key}[{_called(each, number)}]"), keys)
            for number, each in enumerate(value, 1)
        ]


def _called(table: Mapping[str, object], number: int) -> str:
    # People find a rule by its name, a statute by its code; without one, by its place in the file, counted from 1.
    name = table.get("code", table.get("name"))
    return name if isinstance(name, str) else str(number)
