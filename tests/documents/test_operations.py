"""The operator's page tells of every gauge, of alarms that exist, and quotes only what the program says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from recvault.config.loading import known_keys
from recvault.domain.notices import AlarmCode
from recvault.interfaces.http.metrics import PREFIX
from recvault.interfaces.tasks import ALARMING
from recvault.services.gauges import GAUGES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "OPERATIONS.md").read_text("utf-8")


def section(heading: str) -> str:
    return TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


@cache
def said() -> str:
    """Every literal text of the program, one a line; what is computed within a text is a bare gap."""
    texts: list[str] = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


QUOTED = re.findall(r"^\| `(.+?)` \|", section("Common errors"), re.MULTILINE)


def test_every_gauge_has_its_alarm() -> None:
    rows = re.findall(r"^\| `(recvault_[a-z_]+)` \|", section("Gauges"), re.MULTILINE)
    assert rows == [PREFIX + gauge.name for gauge in GAUGES]


def test_every_alarm_is_told_of() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", section("Mail").partition("| alarm |")[2], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert named == {code.value for code in AlarmCode}
    listed = set(re.findall(r"`([a-z_]+)`", section("Mail").partition("| `TASK/WHAT` |")[2].partition("\n")[0]))
    assert listed == ALARMING - {"violations"} | {"failed"}


@pytest.mark.parametrize("quoted", QUOTED)
def test_errors_are_quoted_as_the_program_says_them(quoted: str) -> None:
    assert quoted in said()


def test_keys_of_the_configuration_exist() -> None:
    known = {key.partition("[]")[0] for key in known_keys()}
    sections = {key.partition(".")[0] for key in known}
    named = {key for key in re.findall(r"`([a-z]+\.[a-z_]+)`", TEXT) if key.partition(".")[0] in sections}
    assert named - {"keyring.sealed"} <= known and "keyring.replicas" in named  # a file has a name of the same form
