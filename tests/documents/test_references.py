"""What a document names in back quotes is there: files and directories of the repository, and tests by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(ROOT.glob("docs/**/*.md"))
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
QUOTED = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"(?:src|tests|docs|config|scripts|deploy)/[A-Za-z0-9_./-]+")
INSIDE = re.compile(r"(?:services|adapters|domain|sealing|intake|interfaces)/[A-Za-z0-9_./-]+")
TEST = re.compile(r"test_[a-z0-9_]+")


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_files_exist(path: Path) -> None:
    quoted = QUOTED.findall(path.read_text(encoding="utf-8"))
    places = [ROOT / name for name in quoted if PLACE.fullmatch(name)]
    places += [ROOT / "src" / "recvault" / name for name in quoted if INSIDE.fullmatch(name)]
    assert [str(place) for place in places if not place.exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_tests_exist(path: Path) -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^\s*def (test_\w+)\(", code, re.MULTILINE))
    named = {name for name in QUOTED.findall(path.read_text(encoding="utf-8")) if TEST.fullmatch(name)}
    assert named - known == set()
