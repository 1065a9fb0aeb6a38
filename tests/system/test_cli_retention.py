"""The commands of retention on an archive of the embedded default: policies, events, early ends, statutes."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recvault import bootstrap
from recvault.config import load
from recvault.domain.accounts import actor_of
from tests.system.test_cli import Shell, ingest, made, recording, shell  # noqa: F401 - fixtures

TRAINING = 'name = "training"\npurpose = "training"\nkeep = "P3M"'
CALLS = 'purpose = "verification"\nkeep = "P6M"\nfrom = "contact"\npriority = 10'


def new_policy(shell: Shell, *pairs: tuple[str, str], version: str = "defaults-2") -> Path:  # noqa: F811
    text = (shell.home / "config" / "retention.toml").read_text("utf-8").replace("defaults-1", version)
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file = shell.home / "new.toml"
    file.write_text(text, "utf-8")
    return file


def call(shell: Shell, *options: str) -> str:  # noqa: F811
    """Stores a call of five minutes."""
    now = datetime.now(UTC)
    began, ended = ((now - timedelta(minutes=ago)).isoformat() for ago in (6, 1))
    return ingest(shell, recording(shell), "--started-at", began, "--ended-at", ended, *options)


def approve(proposal: str) -> None:
    """As an approver of the archive in this directory."""
    with bootstrap.build(load(None, dict(os.environ))) as archive:
        archive.approvals.approve(actor_of(archive.accounts.user_named("anna")), proposal)


def add_approver(shell: Shell) -> None:  # noqa: F811
    assert shell("user", "add", "anna", "--role", "approver", "--token-file", "anna-token").code == 0


def test_a_policy_from_check_to_effect(shell: Shell) -> None:  # noqa: F811
    stored = call(shell)
    file = new_policy(shell, (CALLS, CALLS.replace("P6M", "P2M")), (TRAINING, TRAINING.replace("P3M", "P1M")))
    checked = shell.value("policy", "check", file)
    assert (checked["version"], checked["rules"]) == ("defaults-2", 13)
    told = shell.value("policy", "diff", file)
    assert {(one["where"], one["key"], one["before"], one["after"]) for one in told["differences"]} == {
        ("rule.call-sms-chat", "keep", "P6M", "P2M"),
        ("rule.call-sms-chat", "cap", "P6M", "P2M"),
        ("rule.training", "keep", "P3M", "P1M"),
        ("rule.training", "cap", "P3M", "P1M"),
    }
    assert 'rule.training.keep: "P3M" -> "P1M"' in shell("policy", "diff", file).out
    trial = shell.value("policy", "simulate", file, "--ids", shell.home / "moves.jsonl")
    assert (trial["communications"], trial["sooner"], trial["now"], trial["later"], trial["same"]) == (1, 1, 0, 0, 0)
    (line,) = (shell.home / "moves.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["id"] == stored
    assert (shell.home / "moves.jsonl").stat().st_mode & 0o777 == 0o600
    assert shell("policy", "simulate", file, "--ids", shell.home / "moves.jsonl").code == 2
    assert "destroyed on" in shell("policy", "simulate", file).out
    assert shell("policy", "activate", file, "--as", "vera").code == 3
    assert shell.value("policy", "activate", file, "--as", "paula")["version"] == "defaults-2"
    grades = {one["part"]: one for one in json.loads(shell("doctor", "--json").out)["findings"]}
    assert "configured file says defaults-1" in str(grades["policy"])
    applied = shell.value("policy", "apply")
    assert (applied["looked_at"], applied["moved"]) == (1, 1)
    explained = shell.value("policy", "explain", stored)
    assert (explained["destroy_at"], explained["policy"]) == (json.loads(line)["after"], "defaults-2")
    said = shell("policy", "explain", stored)
    assert said.code == 0
    assert "to be destroyed with the last purpose, by 'call-sms-chat', under policy defaults-2" in said.out
    assert shell("policy", "explain", "nothing").code == 3


def test_a_policy_with_problems_is_told_them(shell: Shell) -> None:  # noqa: F811
    file = new_policy(shell, (CALLS, CALLS.replace("P6M", "P60M")))
    for command in ("check", "diff", "simulate"):
        said = shell("policy", command, file)
        assert said.code == 1
        assert "ceiling" in said.err
    unread = new_policy(shell, ("[ceiling]", "[celling]"))
    assert "did you mean 'ceiling'" in shell("policy", "check", unread).err


def test_events(shell: Shell) -> None:  # noqa: F811
    call(shell, "--case", "T-1")
    assert shell.value("event", "case-closed", "T-1", "--as", "paula") == {"concerned": 1, "moved": 1}
    assert shell("event", "case-closed", "T-1", "--as", "vera").code == 3
    assert shell("event", "case-closed", "T-1", "--as", "paula", "--at", "soon").code == 2
    assert shell.value("event", "relationship-end", "1001", "--as", "paula", "--on", "2026-12-31")["concerned"] == 1
    assert shell.value("event", "relationship-resumed", "1001", "--as", "paula", "--on", "1.2.2027")["moved"] == 0
    assert shell("event", "relationship-end", "77", "--as", "paula", "--on", "2026-12-31").code == 3
    assert shell("event", "relationship-end", "1001", "--as", "paula", "--on", "soon").code == 2
    objected = ("event", "training-objection", "--as", "paula", "--reason", "by post", "--customer", "1001")
    assert shell.value(*objected) == {"concerned": 1, "moved": 1}


def test_an_early_end(shell: Shell) -> None:  # noqa: F811
    stored = call(shell)
    add_approver(shell)
    ending = ("purpose", "end", stored, "--as", "paula", "--purpose", "verification", "--reason", "done")
    proposal = shell.value(*ending)["proposal"]
    assert shell(*ending).code == 3  # proposed already
    approve(proposal)
    (row,) = shell.value("purpose", "list", "--as", "paula")["rows"]
    assert (row["id"], row["communications"]) == (proposal, 1)
    assert shell.value("purpose", "withdraw", proposal, "--as", "paula")["concerned"] == 1
    assert shell("purpose", "list", "--as", "paula").out.strip() == "none"


def test_statutes(shell: Shell) -> None:  # noqa: F811
    stored = call(shell)
    add_approver(shell)
    assert "accounting-act" in shell("statute", "table").out
    words = ("statute", "place", "accounting-act", "--as", "paula", "--reason", "voucher", "--communication", stored)
    assert shell(*words).code == 2
    approve(shell.value(*words, "--year-end", "12-31")["proposal"])
    (row,) = shell.value("statute", "list", "--as", "paula")["rows"]
    assert row["covered"] == 1
    assert "mandatory" in shell("statute", "list", "--as", "paula").out
    assert shell.value("policy", "explain", stored)["decided_by"] == "statute:accounting-act"
    approve(shell.value("statute", "end", row["id"], "--as", "paula", "--reason", "mistaken")["proposal"])
    assert shell.value("statute", "list", "--as", "paula")["rows"] == []
