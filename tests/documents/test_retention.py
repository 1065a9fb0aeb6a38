"""The page about retention: every date of its examples is computed anew, and its table of statutes is the program's."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recvault.domain.retention import Facts, StatuteEnd, evaluate
from recvault.domain.retention.statutes import BUILT_IN, kept_until, table
from tests.unit.retention.samples import HELSINKI, SHIPPED

TEXT = (Path(__file__).parents[2] / "docs" / "RETENTION.md").read_text("utf-8")
EXAMPLES = re.findall(r"^\| `([^`]+)` \| (\S+ ?\S*) \| (\S+ ?\S*) \| (\S+ \S+) \|$", TEXT, re.MULTILINE)
FORM = "%Y-%m-%d %H:%M"


def at(text: str) -> datetime:
    return datetime.strptime(text, FORM).replace(tzinfo=HELSINKI)


def facts_of(example: str) -> Facts:
    """The facts that an example writes between semicolons."""
    channel, contact, *more = (part.strip() for part in example.split(";"))
    contact_at = at(contact.removeprefix("contact "))
    told: dict[str, object] = {}
    for part in more:
        word, _, rest = part.partition(" ")
        if word == "case":
            told["has_case"] = True
        elif word == "closed":
            told["case_closed_at"] = at(rest)
        elif word == "unanswered":
            told["answered"] = False
        elif word == "ended":
            purpose, _, moment = rest.partition(" ")
            told["ended_purposes"] = {purpose: at(moment)}
        elif word == "do-not-keep":
            told["do_not_keep_at"] = at(rest)
        else:
            told["statutes"] = (statute(word, rest, contact_at),)
    plain = {"channel": channel, "direction": "inbound", "contact_at": contact_at, "duration_seconds": 300.0}
    return Facts(**({"stored_at": contact_at + timedelta(minutes=1)} | plain | told))  # type: ignore[arg-type]


def statute(code: str, rest: str, contact_at: datetime) -> StatuteEnd:
    placed_at, year_end = (at(rest), None) if len(rest) == len("2026-01-01 00:00") else (contact_at, rest or None)
    until = kept_until(table()[code], contact_at=contact_at, placed_at=placed_at, year_end=year_end, zone=HELSINKI)
    return StatuteEnd(code=code, until=until)


def test_the_examples_were_found() -> None:
    assert len(EXAMPLES) == 13


@pytest.mark.parametrize("example", EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_the_dates_of_an_example(example: tuple[str, str, str, str]) -> None:
    written, verification, training, destroyed = example
    ends = evaluate(SHIPPED, facts_of(written), HELSINKI)
    by_purpose = {end.purpose: end.needed_until.astimezone(HELSINKI).strftime(FORM) for end in ends.purposes}
    assert by_purpose.get("verification", "-") == verification
    assert by_purpose.get("training", "-") == training
    assert ends.destroy_at.astimezone(HELSINKI).strftime(FORM) == destroyed


def test_the_table_of_statutes_is_the_programs() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\d) years \| .* \| (yes|no) \| (.+) \|$", TEXT, re.MULTILINE)
    assert {row[0] for row in rows} == {one.code for one in BUILT_IN}
    for code, years, mandatory, source in rows:
        known = table()[code]
        assert (known.keep.months, known.mandatory) == (int(years) * 12, mandatory == "yes")
        assert source.partition(";")[0] == known.source.partition(";")[0]
