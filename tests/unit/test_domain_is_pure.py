"""The domain is standard library only, without clock, randomness, input or output.

import-linter holds the list of forbidden modules; this test turns it round (all is forbidden but what
is listed) and looks for what no import shows: reading the clock through ``datetime``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import recvault.domain

DOMAIN = Path(recvault.domain.__file__).parent
MODULES = sorted(DOMAIN.rglob("*.py"))
ALLOWED = {
    "__future__", "abc", "base64", "binascii", "bisect", "calendar", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "hmac", "itertools", "json", "math",
    "operator", "re", "recvault", "string", "struct", "textwrap", "tomllib", "types", "typing", "unicodedata",
    "uuid", "zlib", "zoneinfo",
}  # fmt: skip
# Clock or randomness behind a harmless import, or input and output without any.
FORBIDDEN_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "getnode", "open", "print", "input"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name):
                    yield name
                case ast.Attribute(attr=name, value=ast.Name(id="datetime" | "date" | "uuid")):
                    yield name


def breaches(source: str) -> set[str]:
    tree = ast.parse(source)
    modules = set(imported(tree))
    found = {name for name in modules if name.partition(".")[0] not in ALLOWED}
    found |= {name for name in modules if name.startswith("recvault.") and name.split(".")[1] != "domain"}
    return found | (set(called(tree)) & FORBIDDEN_CALLS)


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(DOMAIN)) for path in MODULES])
def test_a_module_of_the_domain_is_pure(path: Path) -> None:
    assert breaches(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        ("import os", "os"),
        ("from os.path import join", "os.path"),
        ("import pydantic.fields", "pydantic.fields"),
        ("from recvault.config import load", "recvault.config"),
        ("def f():\n    import secrets", "secrets"),
        ("from datetime import datetime\ndatetime.now()", "now"),
        ("import datetime\ndatetime.date.fromtimestamp(0)\nuuid.uuid4()", "uuid4"),
        ("open('x')", "open"),
    ],
)
def test_a_breach_is_seen(source: str, breach: str) -> None:
    assert breach in breaches(source)
