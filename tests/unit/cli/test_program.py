"""The tree of commands: quick to start, and errors that become exit codes and one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import datetime, time
from pathlib import Path

import pytest

from recvault.domain import errors
from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.interfaces.cli.accounts import parse_role
from recvault.interfaces.cli.problems import exit_code, report
from recvault.interfaces.cli.purge import is_night
from recvault.interfaces.cli.session import table, write_new

COMMANDS = [
    *("init", "serve", "worker", "doctor", "demo", "ingest", "search", "purge", "hook"),
    *("config check", "config show", "policy show", "policy sign", "hold place", "hold release", "hold list"),
    *("hold report", "approval list", "approval approve", "approval refuse", "approval withdraw"),
    *("purge resume", "purge suspend", "purge unsuspend", "purge extend", "purge forecast", "purge confirm"),
    *("customer import", "customer add", "agent import", "agent list", "source add", "source revoke", "source list"),
    *("user add", "user invite", "user list", "user token", "user disable", "user grant", "mail test", "audit verify"),
    *(
        "ledger verify",
        "ledger replay",
        "certificate list",
        "certificate show",
        "certificate export",
        "certificate print",
        "certificate verify",
    ),
    *("certificate public-key", "keys status", "keys rekey", "keys confirm-backup"),
]
HEAVY = ("recvault.bootstrap", "recvault.config", "sqlalchemy", "cryptography", "fastapi", "uvicorn", "apscheduler")

LOOK = """
import contextlib, io, sys
from recvault.interfaces.cli import run
for words in sys.stdin.read().splitlines():
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run([*words.split(), "--help"]) == 0, words
    assert len(said.getvalue()) > 100, words
print(" ".join(sys.modules))
"""


def modules_after(commands: list[str]) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], input="\n".join(commands), capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_help_of_every_command_imports_no_archive() -> None:
    assert modules_after(COMMANDS).isdisjoint(HEAVY)


def test_the_hook_comes_before_everything_else() -> None:
    assert modules_after(["hook submit"]).isdisjoint({*HEAVY, "typer", "rich", "recvault.interfaces.cli.program"})


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (errors.InvalidInput("x"), 2),
        (errors.TooLarge("x"), 2),
        (errors.ContentMismatch("x"), 1),
        (errors.NotFound("x"), 3),
        (errors.Forbidden("x"), 3),
        (errors.Destroyed("x"), 3),
        (errors.Conflict("x"), 3),
        (errors.ResidencyViolation("x"), 3),
        (errors.StoreUnavailable("x"), 75),
        (errors.DatabaseUnavailable("x"), 75),
        (errors.KeyringError("x"), 1),
        (errors.CertificateInvalid("x"), 1),
        (errors.ConfigurationError("x"), 1),
    ],
)
def test_exit_codes(fault: errors.RecvaultError, code: int) -> None:
    assert exit_code(fault) == code


def test_an_error_is_one_line_or_a_problem_document() -> None:
    plain, document = io.StringIO(), io.StringIO()
    fault = errors.NotFound("there is no such thing; look elsewhere")
    assert report(fault, as_json=False, to=plain) == report(fault, as_json=True, to=document) == 3
    assert plain.getvalue() == "recvault: there is no such thing; look elsewhere\n"
    assert json.loads(document.getvalue()) == {"type": "/problems/not-found", "detail": str(fault), "exit_code": 3}


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("verifier", Grant(role=Role.VERIFIER)),
        ("team-lead", Grant(role=Role.TEAM_LEAD)),
        ("privacy_handler", Grant(role=Role.PRIVACY_HANDLER)),
        (
            "trainer:teams=a, b",
            Grant(role=Role.TRAINER, scope=Scope(kind=ScopeKind.TEAMS, values=frozenset({"a", "b"}))),
        ),
        ("verifier:queues=x", Grant(role=Role.VERIFIER, scope=Scope(kind=ScopeKind.QUEUES, values=frozenset({"x"})))),
    ],
)
def test_roles_are_read(text: str, grant: Grant) -> None:
    assert parse_role(text) == grant


@pytest.mark.parametrize(
    "text", ["", "king", "source", "verifier:", "verifier:teams=", "verifier:teams=,", "verifier:x=y"]
)
def test_roles_that_are_none(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="--role"):
        parse_role(text)


@pytest.mark.parametrize(
    ("local", "nightly_at", "is_it"),
    [
        ("02:30", "02:30", True),
        ("04:29", "02:30", True),
        ("04:30", "02:30", False),
        ("02:29", "02:30", False),
        ("00:10", "23:30", True),
        ("13:00", "23:30", False),
    ],
)
def test_the_night_begins_at_the_nightly_run(local: str, nightly_at: str, is_it: bool) -> None:
    moment = datetime.combine(datetime(2026, 11, 22), time.fromisoformat(local))  # noqa: DTZ001 - a local time
    assert is_night(moment, nightly_at) is is_it


def test_columns() -> None:
    assert table(("a", "bb"), [("long", "x"), ("", "y")]) == ["a     bb", "long  x", "      y"]
    assert table(("a", "bb"), []) == ["none"]


def test_a_secret_goes_to_a_new_private_file_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    write_new(file, b"one", mode=0o600)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.InvalidInput, match="not overwritten"):
        write_new(file, b"two", mode=0o600)
    with pytest.raises(errors.InvalidInput, match="writable directory"):
        write_new(tmp_path / "absent" / "token", b"two", mode=0o600)
    assert file.read_bytes() == b"one"
