"""Mail from the command line through a real server with its own authority: test message, invitation, and the doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.authority import Authority, make_authority
from tests.support.mail_server import PASSWORD, USER, Postbox, mail_server


@dataclass
class Shell:
    """Runs commands in an archive's directory."""

    home: Path
    mail: dict[str, str]

    def __call__(self, *words: str, code: int = 0, **more: str) -> str:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
        mail = {f"RECVAULT__MAIL__{name}": value for name, value in (self.mail | more).items()}
        done = subprocess.run(
            [sys.executable, "-m", "recvault", *words],
            cwd=self.home, env=plain | mail, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=500,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def mail_finding(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
        mail = {f"RECVAULT__MAIL__{name}": value for name, value in (self.mail | more).items()}
        done = subprocess.run(
            [sys.executable, "-m", "recvault", "doctor", "--json"],
            cwd=self.home, env=plain | mail, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=500,
        )  # fmt: skip
        (finding,) = [one for one in json.loads(done.stdout)["findings"] if one["part"] == "mail"]
        return dict(finding)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def box(authority: Authority) -> Iterator[Postbox]:
    with mail_server(starttls=authority.server("localhost"), sign_in=True) as started:
        yield started


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, authority: Authority, box: Postbox) -> Shell:
    home = tmp_path_factory.mktemp("archive")
    secret = home / "mail-password"
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    mail = {
        "HOST": "localhost",
        "PORT": str(box.port),
        "USER": USER,
        "PASSWORD_FILE": str(secret),
        "CA_FILE": str(authority.file),
        "SENDER": "Arkisto <arkisto@company.example>",
        "PUBLIC_URL": "https://archive.company.example",
        "TIMEOUT_SECONDS": "5",
    }
    made = Shell(home, mail)
    made("init")
    made("keys", "confirm-backup")
    return made


def test_a_test_message(shell: Shell, box: Postbox) -> None:
    assert "TLSv1.3, signed in as arkisto" in shell("mail", "test", "valvoja@company.example")
    assert box.envelopes[-1] == ("arkisto@company.example", ["valvoja@company.example"])
    assert box.mails[-1]["Subject"] == "Arkisto: koeviesti"


def test_an_address_that_is_none(shell: Shell) -> None:
    assert "mail address" in shell("mail", "test", "valvoja", code=2)


def test_a_new_person_gets_the_link_and_nobody_else_sees_it(shell: Shell, box: Postbox) -> None:
    said = shell("user", "add", "maija", "--role", "verifier", "--mail", "maija@company.example")
    text = box.text()
    assert "https://archive.company.example/invitation#rvi_" in text.replace("=\n", "") and "rvi_" not in said
    assert box.mails[-1]["Subject"] == "Arkisto: salasanan asettaminen" and "mailed" in said
    again = json.loads(shell("user", "invite", "maija", "--mail", "maija@company.example", "--json"))
    assert again["link"] is None and again["mailed"] is True


def test_without_an_address_the_link_is_shown(shell: Shell, box: Postbox) -> None:
    before = len(box.mails)
    told = json.loads(shell("user", "add", "matti", "--invite", "--language", "en", "--json"))
    assert told["link"].startswith("https://archive.company.example/invitation#rvi_") and told["mailed"] is False
    assert "rvi_" in shell("user", "invite", "matti") and len(box.mails) == before


def test_what_is_refused_before_an_account_is_made(shell: Shell) -> None:
    assert "mail address" in shell("user", "add", "liisa", "--mail", "no address", code=2)
    shell("user", "add", "liisa", "--password-file", "mail-password", code=2)  # nobody sets a password for another
    assert "liisa" not in shell("user", "list")
    assert "user list" in shell("user", "invite", "liisa", code=3)


def test_a_refused_recipient_leaves_the_account_and_says_what_to_do(shell: Shell, box: Postbox) -> None:
    box.answers = ["550 5.1.1 <pekka@company.example> unknown"]
    said = shell("user", "add", "pekka", "--mail", "pekka@company.example", code=1)
    assert "550 5.1.1" in said and "user invite pekka" in said and "pekka@company.example" not in said
    assert "pekka" in shell("user", "list")
    box.answers = ["451 4.7.1 later"]
    assert "again" in shell("user", "invite", "pekka", "--mail", "pekka@company.example", code=75)


def test_the_doctor_looks_at_the_server(shell: Shell, tmp_path: Path) -> None:
    assert shell.mail_finding()["grade"] == "good"
    refused = shell.mail_finding(HOST="127.0.0.1")
    assert refused["grade"] == "fault" and "mail.ca_file" in refused["told"] and "mail test" in refused["mend"]
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("wrong\n")
    assert "535" in shell.mail_finding(PASSWORD_FILE=str(wrong))["told"]
    assert "Connection refused" in shell.mail_finding(PORT="1")["told"]
    assert "no server" in shell.mail_finding(HOST="")["told"]


def test_without_a_server_a_test_message_is_printed(shell: Shell) -> None:
    assert "printed, because no mail server is configured" in shell("mail", "test", "a@company.example", HOST="")
