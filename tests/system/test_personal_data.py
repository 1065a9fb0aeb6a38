"""Marked personal data goes through every journey of a real server; afterwards it is looked for where it must not be.

Rule 9: no personal data in logs, audit entries, object names, metrics, certificates, ledger, mails, addresses or headers.
The register, the classes of the index and the reason of a hold may stand in the database, in their own columns only:
``MAY_STAND`` says which; that each of them is found there shows that the search finds.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.marked import Machine, everything_happens
from tests.support.marks import EVERYTHING, FORMS, MAY_STAND, NOWHERE, marks_in


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Everything has happened on it, and it has been stopped."""
    return everything_happens(tmp_path_factory.mktemp("archive"), tmp_path_factory.mktemp("inputs"))


def files(machine: Machine) -> dict[str, bytes]:
    """Every file below the archive's directory: configuration, database, objects, ledger, keyring, the hook's spool."""
    return {
        str(path.relative_to(machine.home)): path.read_bytes() for path in machine.home.rglob("*") if path.is_file()
    }


@contextmanager
def database(machine: Machine) -> Iterator[sqlite3.Connection]:
    path = machine.home / "recvault-data" / "recvault.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def test_the_search_finds_every_form() -> None:
    for mark in EVERYTHING:
        raw = mark.encode()
        for shift in range(3):
            assert mark in marks_in(base64.b64encode(b"around"[: shift + 3] + raw + b"around"), [mark])
        assert all(marks_in(b"x" + form + b"y", [mark]) for form in (raw, raw.upper(), raw.hex().encode()))
    assert marks_in(b"nothing of it") == [] and min(len(form) for found in FORMS.values() for form in found) >= 8


def test_names_of_files_and_objects(machine: Machine) -> None:
    names = "\n".join(str(path.relative_to(machine.home)) for path in machine.home.rglob("*"))
    assert "objects" in names and "ledger" in names and "keyring" in names and "spool" in names
    assert marks_in(names.encode()) == []


def test_bytes_of_everything_but_the_database(machine: Machine) -> None:
    found = {
        name: marks for name, data in files(machine).items() if "recvault.db" not in name and (marks := marks_in(data))
    }
    assert found == {}


def test_the_database_holds_marks_in_their_own_columns_only(machine: Machine) -> None:
    found: dict[str, set[str]] = {}
    with database(machine) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"')
            columns = [described[0] for described in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    data = value if isinstance(value, bytes) else str(value).encode()
                    for mark in marks_in(data):
                        found.setdefault(mark, set()).add(f"{table}.{column}")
    assert found == MAY_STAND


def test_the_database_file_holds_nothing_that_is_sealed_or_only_passed_by(machine: Machine) -> None:
    parts = {name: data for name, data in files(machine).items() if "recvault.db" in name}
    assert parts
    assert {name: marks for name, data in parts.items() if (marks := marks_in(data, NOWHERE))} == {}


def test_what_the_processes_said(machine: Machine) -> None:
    said = b"\n".join(machine.said)
    assert marks_in(said) == []
    lines = [json.loads(line) for line in machine.log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) > 40 and all(line["request_id"] and line["route"] for line in requests)


def test_headers_and_addresses_of_answers(machine: Machine) -> None:
    assert len(machine.headers) > 200
    assert marks_in("\n".join(machine.headers).encode()) == []


def test_problems_repeat_nothing(machine: Machine) -> None:
    assert len(machine.problems) > 15
    assert marks_in("\n".join(machine.problems).encode()) == []


def test_certificates(machine: Machine) -> None:
    with database(machine) as connection:
        rows = connection.execute("SELECT document FROM batch_certificates").fetchall()
    assert len(rows) == 2
    for (envelope,) in rows:
        payload = base64.b64decode(json.loads(envelope)["payload"])
        assert b"recvault" in payload and marks_in(payload) == [] and marks_in(envelope.encode()) == []


def test_destruction_left_no_mark_of_what_it_destroyed(machine: Machine) -> None:
    with database(machine) as connection:
        rows = connection.execute("SELECT communication_id, facts FROM destructions").fetchall()
        assert len(rows) == 1
        left = connection.execute("SELECT count(*) FROM communications WHERE id = ?", (rows[0][0],)).fetchone()
    assert left == (0,)
    assert marks_in(rows[0][1].encode()) == []


def test_mails(machine: Machine) -> None:
    """The address of who gets a mail stands in its own header and envelope only; the rest holds nothing of anybody."""
    subjects = [str(mail["Subject"]) for mail in machine.box.mails]
    for told in ("koeviesti", "salasanan asettaminen", "hälytys alkoi", "jatkuu (", "päättyi (", "päivän yhteenveto"):
        assert any(told in subject for subject in subjects), (told, subjects)
    for mail in machine.box.mails:
        shown = [f"{name}: {value}" for name, value in mail.items() if name != "To"]
        assert marks_in("\n".join([*shown, str(mail.get_content())]).encode()) == []


def test_what_was_mailed_leaves_no_address_behind(machine: Machine) -> None:
    with database(machine) as connection:
        rows = connection.execute("SELECT recipient, subject, body, sent_at FROM mails").fetchall()
    assert len(rows) >= 4 and all(row[:3] == (None, None, None) and row[3] for row in rows)
