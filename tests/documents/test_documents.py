"""The documents: links lead somewhere, named make targets exist, quoted help is the program's own help.

A help text is quoted as a block fenced with ``console`` whose first line is ``$ recvault ... --help``;
it must be what the command prints at 80 columns.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = {".venv", ".git", "demo-data", "node_modules"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if LEFT_OUT.isdisjoint(path.relative_to(ROOT).parts))
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HELP = re.compile(r"^```console\n\$ recvault((?: [a-z-]+)*) --help\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"\bmake ([a-z][a-z-]+)\b")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def anchor(heading: str) -> str:
    plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def commands(text: str) -> str:
    """What a document shows as commands: fenced blocks and code in back quotes."""
    return "\n".join([*FENCED.findall(text), *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            broken.append(target)
        elif fragment and file.suffix == ".md":
            anchors = {anchor(found) for found in HEADING.findall(file.read_text(encoding="utf-8"))}
            if fragment not in anchors:
                broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_make_targets_exist(path: Path) -> None:
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(TARGET.findall(commands(path.read_text(encoding="utf-8")))) - known == set()


def printed_help(command: str) -> list[str]:
    environ = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "recvault", *command.split(), "--help"]
    run = subprocess.run(words, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return [line.rstrip() for line in run.stdout.strip().splitlines()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_quoted_help_is_what_the_program_prints(path: Path) -> None:
    for command, quoted in HELP.findall(path.read_text(encoding="utf-8")):
        assert [line.rstrip() for line in quoted.strip().splitlines()] == printed_help(command)


def test_the_parts_every_reader_looks_for_are_there() -> None:
    expected = {"README.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"}
    assert {name for name in expected if not (ROOT / name).is_file()} == set()
