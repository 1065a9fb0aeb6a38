"""Every command's main path and its refusals, on an archive of the embedded default in a directory of its own."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from recvault.interfaces.cli import run
from tests.support.authority import make_authority

OLD = "2023-01-10T10:00:00+02:00"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str

    def value(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    def problem(self) -> dict[str, Any]:
        return dict(json.loads(self.err))


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs commands in the archive's directory."""

    home: Path
    captured: pytest.CaptureFixture[str]

    def __call__(self, *words: str | Path) -> Said:
        self.captured.readouterr()
        code = run([str(word) for word in words])
        said = self.captured.readouterr()
        return Said(code=code, out=said.out, err=said.err)

    def value(self, *words: str | Path) -> dict[str, Any]:
        said = self(*words, "--json")
        assert said.code == 0, said.err
        return said.value()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with people, a source and a register; each test gets a copy."""
    home = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(home)
    try:
        (home / "customers.csv").write_text("asiakasnumero;nimi;puhelin\n1001;Mallikauppa Oy;0401234501\n", "utf-8")
        (home / "agents.csv").write_text("tunnus;nimi;alanumerot;tiimit\nliisa;Liisa;1101;laskutus\n", "utf-8")
        for words in (
            "init",
            "keys confirm-backup",
            "user add paula --role privacy-handler",
            "user add vera --role verifier --token-file vera-token",
            "user add aatu --role auditor --token-file aatu-token",
            "source add pbx --token-file pbx-token --notice notice-1 --balancing-test test-1",
            "customer import customers.csv",
            "agent import agents.csv",
            "policy sign --as paula",
        ):
            assert run(words.split()) == 0, words
    finally:
        os.chdir(before)
    return home


@pytest.fixture
def shell(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    home = tmp_path / "home"
    shutil.copytree(made, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("RECVAULT__APPROVALS__PROOF", "account")
    monkeypatch.setenv("RECVAULT__ACCESS__SECOND_FACTOR", "off")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Shell(home=home, captured=capsys)
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def recording(shell: Shell, name: str = "call.wav", content: bytes = b"RIFF\x10\0\0\0WAVEfmt and a call") -> Path:
    file = shell.home / name
    file.write_bytes(content)
    return file


def ingest(shell: Shell, file: Path, *options: str) -> str:
    told = shell.value("ingest", file, "--as-source", "pbx", "--channel", "call", "--customer-number", "1001", *options)
    return str(told["files"][0]["id"])


def old_call(shell: Shell) -> str:
    return ingest(shell, recording(shell, "old.wav"), "--started-at", OLD, "--ended-at", OLD)


# --- set-up


def test_init_writes_what_is_needed_once_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell(home=tmp_path, captured=capsys)
    first = shell("init")
    assert first.code == 0
    assert "recvault-recovery-kit.txt" in first.out
    assert "confirm-backup" in first.out
    key = (tmp_path / "recvault-root.key").read_bytes()
    again = shell.value("init")
    assert again["policy_written"] is False
    assert (tmp_path / "recvault-root.key").read_bytes() == key
    unconfirmed = shell("purge", "--now")
    assert unconfirmed.code == 1
    assert "keys confirm-backup" in unconfirmed.err


def test_without_an_archive_a_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = Shell(home=tmp_path, captured=capsys)("audit", "verify")
    assert said.code != 0
    assert said.err.startswith("recvault: ")
    assert said.err.count("\n") == 1


def test_a_configuration_at_fault_names_the_key(shell: Shell) -> None:
    file = shell.home / "wrong.toml"
    file.write_text("[store]\nkindd = 'folder'\n", "utf-8")
    said = shell("--config", file, "config", "check")
    assert said.code == 1
    assert "store.kindd" in said.err
    assert "store.kind?" in said.err


def test_the_configuration_is_checked_and_shown(shell: Shell) -> None:
    (shell.home / "recvault.toml").write_text("[server]\nport = 9001\n", "utf-8")
    assert shell.value("config", "show")["server"]["port"] == 9001
    assert "server.port = 9001" in shell("config", "show").out
    assert shell.value("config", "check")["file"] == "recvault.toml"


def test_a_directory_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recvault-data").write_text("a file in the way", "utf-8")
    said = Shell(home=tmp_path, captured=capsys)("init")
    assert said.code == 1
    assert said.err.startswith("recvault: ")
    assert said.err.count("\n") == 1


def test_usage_errors_end_with_2(shell: Shell) -> None:
    assert shell("purge", "--no-such-option").code == 2
    assert shell("no-such-command").code == 2
    assert shell("ingest", shell.home / "absent.wav", "--as-source", "pbx").code == 2
    assert shell("ingest", recording(shell)).code == 2


def test_serve_refuses_an_address_that_others_reach(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    said = shell("serve", "--host", "0.0.0.0")
    assert said.code == 1
    assert "not loopback" in said.err
    (shell.home / "recvault.toml").write_text("[server]\nhost = '0.0.0.0'\n", "utf-8")
    assert "access.second_factor" in shell("serve").err
    monkeypatch.delenv("RECVAULT__ACCESS__SECOND_FACTOR")
    said = shell("serve")
    assert said.code == 1
    assert "server.public_url" in said.err


def test_where_approving_takes_a_passkey_the_command_says_where_it_is_done(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECVAULT__APPROVALS__PROOF")
    assert shell("user", "add", "anna", "--role", "approver", "--token-file", "anna-token").code == 0
    said = shell("approval", "approve", "any", "--as", "anna")
    assert said.code == 3 and "open the desk" in said.err and 'approvals.proof = "account"' in said.err
    assert "no approver has a passkey" in shell("doctor").out


def test_doctor_looks_at_everything_and_says_the_mend(shell: Shell) -> None:
    (shell.home / "recvault-root.key").chmod(0o644)
    told = json.loads(shell("doctor", "--json").out)
    grades = {finding["part"]: finding["grade"] for finding in told["findings"]}
    assert grades["permissions"] == "fault"
    (shell.home / "recvault-root.key").chmod(0o600)
    told = json.loads(shell("doctor", "--json").out)
    grades = {finding["part"]: finding["grade"] for finding in told["findings"]}
    wanted = {"versions", "core dumps", "swap", "configuration", "permissions", "database", "store", "place", "clocks"}
    assert set(grades) == wanted | {"keyring", "recovery kit", "ledger", "policy", "overdue"} | {
        *("destruction", "mail", "root key", "offline copies", "audit log", "approvals", "sign-in", "sources")
    }
    assert {part for part, grade in grades.items() if grade == "fault"} <= {"swap"}
    (shell.home / "recvault-data" / "objects").rename(shell.home / "away")
    lost = shell("doctor")
    assert lost.code == 1
    assert "mount its disk" in lost.out


# --- accounts and register


def test_people_and_their_tokens(shell: Shell) -> None:
    assert shell.value("user", "add", "x", "--role", "trainer:teams=a,b", "--token-file", "t")["roles"] == [
        {"role": "trainer", "scope": "teams", "values": ["a", "b"], "until": None}
    ]
    assert (shell.home / "t").stat().st_mode & 0o777 == 0o600
    assert shell.value("user", "grant", "x", "--role", "auditor")["roles"][0]["role"] == "auditor"
    assert shell.value("user", "token", "x")["token"].startswith("rvt_")
    shell.value("user", "token", "x", "--label", "report", "--role", "auditor", "--days", "5")
    newest, *others = shell.value("user", "sessions", "x")["rows"]
    assert (newest["kind"], newest["label"], newest["roles"], len(others)) == ("api", "report", ["auditor"], 2)
    assert shell("user", "token", "x", "--role", "approver").code == 2
    assert shell.value("user", "end-sessions", "x")["ended"] == 0
    assert shell.value("user", "end-sessions", "x", "--tokens")["ended"] == 3
    assert shell.value("user", "sessions", "x")["rows"] == []
    assert shell.value("user", "disable", "x")["disabled_at"] is not None
    invited = shell.value("user", "invite", "vera", "--reset-factors")
    assert "/invitation#rvi_" in invited["link"] and "password" not in invited
    names = [user["name"] for user in shell.value("user", "list")["rows"]]
    assert names == ["aatu", "paula", "vera", "x"]
    linked = shell.value("user", "add", "y", "--role", "agent", "--agent", "liisa", "--token-file", "t2")
    assert linked["agent_id"] == shell.value("agent", "list")["rows"][0]["id"]


def test_roles_take_an_approval_once_somebody_can_approve(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("administrator", "team_lead", "approver"):
        shell.value("user", "add", name, "--role", name, "--token-file", f"{name}-token")
    asked: tuple[str, ...] = ("user", "add", "nea", "--role", "verifier", "--token-file", "nea-token")
    refused = shell(*asked)
    assert refused.code == 3 and "--as" in refused.err and not (shell.home / "nea-token").exists()
    asked += ("--as", "administrator", "--reason", "joins the team")
    with monkeypatch.context() as proving:
        proving.setenv("RECVAULT__ACCESS__SECOND_FACTOR", "required")
        unproved = shell(*asked)
        assert unproved.code == 3 and "command line cannot take" in unproved.err
        assert shell("user", "grant", "vera", "--role", "trainer", *asked[-4:]).code == 3
    made = shell.value(*asked)
    assert made["roles"] == [] and made["proposal"]["kind"] == "grant-roles"
    approved = shell.value("approval", "approve", made["proposal"]["id"], "--as", "approver")
    assert approved["state"] == "waiting" and not approved["by_one_person"]
    assert "approved, carried out after" in shell("approval", "list", "--as", "approver").out
    assert shell("user", "grant", "nea", "--role", "trainer").code == 3
    granted = shell.value("user", "grant", "nea", "--role", "agent", "--until", "31.12.2026")
    assert granted["roles"][0]["until"] == "2026-12-31T22:00:00+00:00" and granted["proposal"] is None
    assert shell("user", "grant", "nea", "--role", "agent", "--until", "some day").code == 2
    assert shell.value("user", "person", "nea", "--same-as", "approver")["person"] != made["id"]
    opened = shell.value(
        "access", "break-glass", "team_lead", "--as", "paula", "--role", "verifier", "--hours", "2", "--reason", "ill"
    )
    assert shell.value("approval", "approve", opened["id"], "--as", "approver")["state"] == "carried-out"
    reference = ("--reference", "POL-7", "--reason", "ordered", "--as", "paula")
    disclosure = ("access", "disclosure", "--statute", "an Act", *reference)
    assert shell(*disclosure).code == 2  # of what, is not said
    absent = shell(*disclosure, "--communication", "none")
    assert absent.code == 3 and "not there" in absent.err
    review = shell.value("review", "--as", "team_lead")
    assert review["unusual"] == 0 and {one["name"] for one in review["accounts"]} >= {"vera", "team_lead"}
    assert review["digest"] in shell("review", "--as", "team_lead").out
    assert shell("review", "--as", "team_lead", "--confirm", "0" * 64).code == 3
    assert shell.value("review", "--as", "team_lead", "--confirm", review["digest"])["week"] == review["week"]
    assert shell("review", "--as", "vera").code == 3


def test_what_asks_for_a_proof_of_the_person_is_not_done_here(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECVAULT__ACCESS__SECOND_FACTOR", "required")
    for command in (
        "hold release --as paula none --reason settled",
        "purge unsuspend --as paula",
        "purge confirm --as paula",
        "purpose end none --as paula --purpose training --reason old",
        "statute end none --as paula --reason old",
        "access break-glass vera --as paula --role trainer --hours 2 --reason ill",
        "access disclosure --as paula --reference POL-7 --statute Act --reason x --communication none",
    ):
        said = shell(*command.split())
        assert said.code == 3 and "command line cannot take" in said.err, command


def test_people_are_refused(shell: Shell) -> None:
    assert shell("user", "add", "vera", "--token-file", "t").code == 3
    assert shell("user", "add", "x", "--role", "king", "--token-file", "t3").code == 2
    assert shell("user", "add", "x", "--token-file", "vera-token").code == 2
    assert shell("user", "add", "x", "--password-file", "vera-token").code == 2  # nobody sets a password for another
    assert shell("user", "disable", "nobody").code == 3
    assert shell("user", "add", "x", "--agent", "nobody", "--token-file", "t4").code == 3


def test_sources(shell: Shell) -> None:
    added = shell.value("source", "add", "second")
    assert added["token"].startswith("rvs_")
    assert shell("source", "add", "second").code == 3
    assert shell.value("source", "revoke", "second")["revoked_at"] is not None
    assert [source["name"] for source in shell.value("source", "list")["rows"]] == ["pbx", "second"]
    assert shell("source", "revoke", "third").code == 3
    certificate = make_authority(shell.home).file
    bound = shell.value("source", "certificate", "add", "pbx", certificate)["certificates"]
    assert shell("source", "certificate", "add", "pbx", certificate).code == 3
    assert shell.value("source", "certificate", "list", "pbx")["certificates"] == bound
    assert shell.value("source", "list")["rows"][0]["certificates"] == bound
    assert shell.value("source", "certificate", "remove", "pbx", bound[0]["sha256"])["certificates"] == []
    assert shell("source", "certificate", "remove", "pbx", bound[0]["sha256"]).code == 3
    refused = shell("ingest", recording(shell), "--as-source", "second")
    assert refused.code == 3


def test_the_register(shell: Shell) -> None:
    assert shell.value("customer", "add", "Toinen Oy", "--number", "1002", "--tel", "0401234502")["written"] == 1
    assert shell("customer", "add", "Kolmas Oy").code == 2
    bad = shell.home / "bad.csv"
    bad.write_text("asiakasnumero;nimi;puhelin\n1003;Neljäs Oy;xyz\n1004;Viides Oy;\n", "utf-8")
    said = shell("customer", "import", bad, "--json")
    assert said.code == 1
    assert said.value()["written"] == 1
    assert said.value()["faults"][0]["line"] == 2
    assert "xyz" not in said.out
    assert shell.value("agent", "list")["rows"][0]["ref"] == "liisa"


# --- recordings


def test_ingest_and_search(shell: Shell) -> None:
    file = recording(shell)
    stored = ingest(shell, file, "--agent", "1101", "--queue", "laskutus")
    again = shell.value("ingest", file, "--as-source", "pbx", "--channel", "call")["files"][0]
    assert (again["id"], again["already_stored"]) == (stored, True)
    shell.value("ingest", recording(shell, "m.txt", b"Hei"), "--source-token-file", "pbx-token", "--channel", "sms")

    def found(*options: str) -> list[str]:
        rows = shell.value("search", "--as", "vera", "--purpose", "verification", *options)["rows"]
        return [row["id"] for row in rows]

    assert len(found()) == 2
    for options in (
        ("--customer", "1001"),
        ("--customer", "mallikau"),
        ("--agent", "liisa"),
        ("--team", "laskutus"),
        ("--queue", "laskutus"),
        ("--channel", "call"),
        ("--from", "2020-01-01", "--until", "31.12.2199", "--channel", "call"),
    ):
        assert found(*options) == [stored], options
    assert found("--until", "2020-01-01") == []
    assert found("--number", "040 123 4501") == []
    assert len(found("--unmatched")) == 1
    assert stored not in found("--needs-attention", "--channel", "sms")
    plain = shell("search", "--as", "vera", "--purpose", "verification", "--customer", "1001")
    assert "Mallikauppa Oy" in plain.out
    page = shell.value("search", "--as", "vera", "--purpose", "verification", "--limit", "1")
    assert len(found("--limit", "1", "--after", page["next"])) == 1


def test_search_is_refused(shell: Shell) -> None:
    said = shell("search", "--as", "aatu", "--purpose", "verification", "--json")
    assert (said.code, said.problem()["type"]) == (3, "/problems/forbidden")
    assert shell("search", "--as", "nobody", "--purpose", "verification").code == 3
    assert shell("search", "--as", "vera", "--purpose", "verification", "--customer", "nobody").code == 3
    assert shell("search", "--as", "vera", "--purpose", "verification", "--number", "abc").code == 2
    assert shell("search", "--as", "vera", "--purpose", "verification", "--from", "yesterday").code == 2
    assert shell("search", "--as", "vera", "--purpose", "curiosity").code == 2


def test_one_file_at_fault_does_not_stop_the_others(shell: Shell) -> None:
    first = recording(shell, "a.wav")
    metadata = shell.home / "metadata.json"
    metadata.write_text(json.dumps({"source_id": "one", "channel": "call"}), "utf-8")
    assert shell("ingest", first, "--as-source", "pbx", "--metadata", metadata).code == 0
    other = recording(shell, "b.wav", b"other content under the same id")
    said = shell("ingest", other, first, "--as-source", "pbx", "--metadata", metadata, "--json")
    assert said.code == 3
    assert said.value()["files"][0]["problem"] == "conflict"
    assert said.value()["files"][1]["already_stored"] is True
    metadata.write_text("[]", "utf-8")
    assert shell("ingest", first, "--as-source", "pbx", "--metadata", metadata).code == 2
    assert shell("ingest", first, other, "--as-source", "pbx", "--source-id", "x").code == 2


# --- destruction


def released_by_two(shell: Shell, hold: str) -> None:
    """Proposed by one, decided by another; what neither may do is refused."""
    assert shell("user", "add", "arvo", "--role", "approver").code == 0
    first = shell.value("hold", "release", hold, "--as", "paula", "--reason", "settled")
    assert first["state"] == "open"
    assert shell("approval", "approve", first["id"], "--as", "paula").code == 3
    assert shell.value("approval", "withdraw", first["id"], "--as", "paula")["state"] == "withdrawn"
    second = shell.value("hold", "release", hold, "--as", "paula", "--reason", "settled indeed")
    assert shell.value("approval", "refuse", second["id"], "--as", "arvo")["state"] == "refused"
    third = shell.value("hold", "release", hold, "--as", "paula", "--reason", "settled after all")
    assert [row["id"] for row in shell.value("approval", "list", "--as", "arvo")["rows"]] == [third["id"]]
    assert third["id"] in shell("approval", "list", "--as", "arvo").out
    assert shell.value("purge", "--now")["destroyed"] == []
    assert shell.value("approval", "approve", third["id"], "--as", "arvo")["state"] == "carried-out"
    assert len(shell.value("approval", "list", "--as", "arvo", "--decided")["rows"]) == 3


def test_suspension_and_forecast_by_command(shell: Shell) -> None:
    held = old_call(shell)
    assert shell("purge", "suspend", "--as", "vera", "--reason", "no role").code == 3
    assert shell("purge", "suspend", "--as", "paula", "--reason", "an inquiry", "--days", "8").code == 2
    until = shell.value("purge", "suspend", "--as", "paula", "--reason", "an inquiry", "--days", "2")["until"]
    stopped = shell("purge", "--now")
    assert stopped.code == 3 and "suspended until" in stopped.out and until[:10] in stopped.out
    assert "suspended until" in shell("purge", "--dry-run").out
    assert "suspended until" in shell("doctor").out
    far = shell("purge", "extend", "--as", "paula", "--reason", "still looking", "--until", "2199-01-01")
    assert far.code == 2 and "90 days" in far.err
    assert shell("purge", "unsuspend", "--as", "paula").code == 0
    assert shell("purge", "unsuspend", "--as", "paula").code == 3
    assert shell.value("purge", "forecast")["due"] == 1
    assert "forecast 1 of" in shell("purge", "forecast").out
    assert shell("purge", "confirm", "--as", "vera").code == 3
    assert shell.value("purge", "confirm", "--as", "paula")["due"] == 1
    assert shell.value("purge", "--now")["destroyed"] == [held]


def test_hold_purge_certificate(shell: Shell) -> None:
    held = old_call(shell)
    hold = shell.value("hold", "place", "--as", "paula", "--communication", held, "--reason", "a claim")
    assert hold["covered"] == 1
    assert shell.value("purge", "--now")["destroyed"] == []
    assert [row["id"] for row in shell.value("hold", "list", "--as", "paula")["rows"]] == [hold["id"]]
    assert shell("certificate", "show", held).code == 3
    assert [row["kept_back"] for row in shell.value("hold", "report", "--as", "paula")["rows"]] == [1]
    released_by_two(shell, hold["id"])
    assert shell("hold", "release", hold["id"], "--as", "paula", "--reason", "again").code == 3
    assert shell.value("purge", "--dry-run")["due"] == 1
    assert shell.value("purge", "--now")["destroyed"] == [held]
    assert shell("hold", "place", "--as", "paula", "--communication", held, "--reason", "late").code == 3
    again = shell("ingest", shell.home / "old.wav", "--as-source", "pbx", "--channel", "call", "--json")
    assert (again.code, again.value()["files"][0]["problem"]) == (3, "destroyed")
    assert [row["id"] for row in shell.value("certificate", "list")["rows"]] == [held]
    assert shell.value("certificate", "show", held)["stage"] == "inaccessible"
    assert "item: " + held in shell("certificate", "show", held).out
    assert shell("certificate", "export", held, "--out", "c.json").code == 0
    assert shell("certificate", "export", held, "--out", "c.json").code == 2
    assert shell("certificate", "export", held, "--stage", "complete", "--out", "d.json").code == 3
    assert shell("certificate", "public-key", "--out", "key.pem").code == 0
    assert shell.value("audit", "verify")["entries"] > 5
    assert shell.value("ledger", "verify")["database_behind"] == 0
    assert shell.value("ledger", "replay")["followed"] == 0
    verify_elsewhere(shell, held)


def verify_elsewhere(shell: Shell, communication: str) -> None:
    """The stand-alone verifier needs no archive, and openssl reads the key."""
    elsewhere = shell.home.parent / "elsewhere"
    elsewhere.mkdir()
    for name in ("c.json", "key.pem"):
        shutil.copy(shell.home / name, elsewhere)
    (elsewhere / "tampered.json").write_bytes((elsewhere / "c.json").read_bytes().replace(b"A", b"B", 1))
    (elsewhere / "recvault.toml").write_text("this is not even TOML", "utf-8")

    def verify(*words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "recvault", "certificate", "verify", *words]
        return subprocess.run(program, cwd=elsewhere, env={}, capture_output=True, text=True, check=False, timeout=500)

    genuine = verify("c.json", "--key", "key.pem", "--json")
    assert genuine.returncode == 0, genuine.stderr
    assert json.loads(genuine.stdout)["certificate"]["item"] == communication
    assert verify("tampered.json", "--key", "key.pem").returncode == 1
    assert verify("c.json", "--key", "c.json").returncode == 2
    assert verify("absent.json", "--key", "key.pem").returncode == 2
    if openssl := shutil.which("openssl"):
        read = [openssl, "pkey", "-pubin", "-in", "key.pem", "-noout", "-text"]
        assert b"ED25519" in subprocess.run(read, cwd=elsewhere, capture_output=True, check=True).stdout.upper()


def test_a_customer_is_held_as_a_whole(shell: Shell) -> None:
    old_call(shell)
    placed = shell.value(
        *("hold", "place", "--as", "paula", "--customer", "1001", "--reason", "a claim", "--review-on", "2199-01-31")
    )
    assert (placed["covered"], placed["review_on"]) == (1, "2199-01-31")
    assert shell.value("purge", "--now")["destroyed"] == []
    assert shell("hold", "place", "--as", "paula", "--customer", "77", "--reason", "x").code == 3
    assert shell("hold", "place", "--as", "paula", "--reason", "x").code == 2
    assert shell("hold", "place", "--as", "vera", "--customer", "1001", "--reason", "x").code == 3
    assert (
        shell("hold", "place", "--as", "paula", "--customer", "1001", "--reason", "x", "--review-on", "soon").code == 2
    )


def test_the_purge_wants_its_hour_and_a_signed_policy(shell: Shell) -> None:
    old_call(shell)
    night = datetime.now(ZoneInfo("Europe/Helsinki")) + timedelta(hours=12)
    (shell.home / "recvault.toml").write_text(f"[purge]\nnightly_at = '{night:%H:%M}'\n", "utf-8")
    said = shell("purge")
    assert said.code == 3
    assert "--now" in said.err
    assert shell.value("purge", "--dry-run")["due"] == 1
    shown = shell.value("policy", "show")
    assert shown["signed_at"] is not None
    assert "call-sms-chat" in {rule["name"] for rule in shown["rules"]}
    with sqlite3.connect(shell.home / "recvault-data" / "recvault.db") as database:
        database.execute("UPDATE policies SET signed_by = NULL, signed_at = NULL")
    unsigned = shell("purge", "--now", "--json")
    assert unsigned.code == 3
    assert "policy sign" in unsigned.value()["stopped_because"]
    assert shell("policy", "sign", "--as", "vera").code == 3
    assert shell.value("policy", "sign", "--as", "paula")["version"] == "defaults-1"


def test_an_altered_audit_log_is_found(shell: Shell) -> None:
    shell.value("audit", "verify")
    with sqlite3.connect(shell.home / "recvault-data" / "recvault.db") as database:
        assert database.execute("UPDATE audit_entries SET actor_tag = zeroblob(16)").rowcount > 0
    said = shell("audit", "verify", "--json")
    assert said.code == 1
    assert said.problem()["type"] == "/problems/audit"


def test_the_keyring(shell: Shell) -> None:
    told = shell.value("keys", "status")
    assert told["backup_confirmed"] is True
    assert told["keys"]["sign"] == {"living": 3, "destroyed": 0}
    kit = (shell.home / "recvault-recovery-kit.txt").read_text("utf-8")
    assert told["root_key_id"] in kit
    (shell.home / "recvault-root.key").chmod(0o644)
    assert "chmod 600" in shell("keys", "status").err
