"""Delivery: what each answer does to an entry, retries for ever, one agent a spool, nothing lost or told."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recvault.domain.errors import ConfigurationError
from recvault.interfaces.hook import enrolment
from recvault.interfaces.hook.agent import (
    DONE,
    FIRST_WAIT,
    LONGEST_WAIT,
    REFUSED,
    REMAINS,
    Agent,
    backoff,
    is_due,
)
from recvault.interfaces.hook.cli import main
from recvault.interfaces.hook.client import ArchiveClient, TokenUnreadable, check_url, read_token
from recvault.interfaces.hook.config import HookConfig
from recvault.interfaces.hook.log import json_lines
from recvault.interfaces.hook.spool import AgentRunning, Entry, Sidecar, now
from tests.unit.hook.archive import TOKEN, Archive, Reply, certificate, problem, receipt, running
from tests.unit.hook.conftest import Host

CONTENT = b"what was said" * 5000


def waits(host: Host) -> float:
    """Seconds until the next try of the only entry."""
    (name,) = host.spool.names()
    entry = host.spool.entry(name)
    assert entry is not None and entry.sidecar is not None and entry.sidecar.next_try is not None
    return (entry.sidecar.next_try - now()).total_seconds()


def set_aside(host: Host) -> dict[str, object]:
    """The problem beside the only refused entry, which is whole."""
    (name,) = host.spool.names("refused")
    entry = host.spool.entry(name, "refused")
    assert entry is not None and entry.sidecar is not None
    assert host.archive.open_file(entry.path).content == CONTENT
    found = json.loads((host.spool_path / "refused" / f"{name}.problem.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("status", [200, 201])
def test_delivered_on_a_true_receipt(host: Host, archive: Archive, status: int) -> None:
    host.submit(CONTENT)
    archive.script = [Reply(status=status)]
    assert host.agent().once() == DONE
    assert [found.content for found in archive.arrived] == [CONTENT]
    assert [p.name for p in host.spool_path.rglob("*") if p.is_file()] == ["enrolment.json"]
    assert host.events() == ["delivered"]


def test_oldest_first_and_every_size(host: Host, archive: Archive) -> None:
    sizes = [0, 1, 44, 16_384, 3_000_000]
    for number, size in enumerate(sizes):
        host.submit(b"x" * size, source_id=str(number))
    assert host.agent().once() == DONE
    assert [len(found.content) for found in archive.arrived] == sizes


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"length": len(CONTENT) + 1}])
def test_a_receipt_for_other_content_is_for_a_person(host: Host, archive: Archive, wrong: dict[str, object]) -> None:
    host.submit(CONTENT)
    archive.script = [Reply(body=receipt(CONTENT, **wrong))]
    assert host.agent().once() == REFUSED
    assert "other content" in str(set_aside(host)["reason"])


@pytest.mark.parametrize("body", [b"", b"<html>Welcome to the hotel", b"[]", b'{"sha256": "x"}', b"{" * 200_000])
def test_a_page_that_is_no_receipt_is_tried_again(host: Host, archive: Archive, body: bytes) -> None:
    host.submit(CONTENT)
    archive.script = [Reply(status=200, body=body)]
    assert host.agent().once() == REMAINS
    assert host.agent().once() == DONE


def test_destroyed_ends_a_call_sent_again(host: Host, archive: Archive) -> None:
    host.submit(CONTENT)
    archive.script = [problem(410, "destroyed")]
    assert host.agent().once() == DONE
    assert host.events() == ["destroyed"] and host.spool.names("refused") == []


def test_gone_for_another_reason_is_for_a_person(host: Host, archive: Archive) -> None:
    host.submit(CONTENT)
    archive.script = [problem(410, "key-destroyed")]
    assert host.agent().once() == REFUSED
    set_aside(host)


@pytest.mark.parametrize(("status", "code"), [(409, "conflict"), (413, "too-large"), (422, "invalid-input")])
def test_refused_is_kept_with_the_problem(host: Host, archive: Archive, status: int, code: str) -> None:
    name = host.submit(CONTENT)
    archive.script = [problem(status, code)]
    assert host.agent().once() == REFUSED
    found = set_aside(host)
    answer = found["answer"]
    assert isinstance(answer, dict)
    assert (found["status"], answer["type"]) == (status, f"/problems/{code}")
    assert host.agent().once() == DONE  # it does not stand in the way
    for kind in (".rvedge", ".json"):  # a person moves it back
        (host.spool_path / "refused" / (name + kind)).rename(host.spool_path / "ready" / (name + kind))
    assert host.agent().once() == DONE
    assert archive.arrived[-1].content == CONTENT


@pytest.mark.parametrize("status", [301, 307, 400, 404, 408, 429, 500, 502, 504])
def test_other_answers_are_tried_again(host: Host, archive: Archive, status: int) -> None:
    host.submit(CONTENT)
    archive.script = [problem(status, "whatever", Location="http://127.0.0.1:9/elsewhere")]
    assert host.agent().once() == REMAINS
    assert 0 < waits(host) <= FIRST_WAIT
    assert host.agent().once() == DONE


def test_a_bad_token_waits_loudly_and_a_new_one_is_read(host: Host, archive: Archive) -> None:
    host.submit(CONTENT)
    good = host.token.read_text()
    host.token.write_text("wrong")
    agent = host.agent()
    assert agent.once() == REMAINS
    line = json.loads(host.lines[-1])
    assert (line["level"], line["status"]) == ("error", 401)
    host.token.unlink()
    assert agent.once() == REMAINS
    host.token.write_text(good)
    host.token.chmod(0o644)
    assert agent.once() == REMAINS
    assert "chmod" in host.lines[-1]
    host.token.chmod(0o600)
    assert agent.once() == DONE


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(host: Host, archive: Archive, form: str) -> None:
    date = (datetime.now(UTC) + timedelta(seconds=45)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    value = "40" if form == "seconds" else date
    host.submit(CONTENT)
    host.submit(CONTENT, source_id="2")
    archive.script = [problem(503, "unavailable", Retry_After=value)]
    assert host.agent().once() == REMAINS
    assert archive.uploads == 1  # the archive is left alone
    first = host.spool.entry(host.spool.names()[0])
    assert first is not None and first.sidecar is not None and first.sidecar.next_try is not None
    assert 25 < (first.sidecar.next_try - now()).total_seconds() < 50


@pytest.mark.parametrize("value", ["999999999", "never", "-1", "1e9"])
def test_an_absurd_retry_after_does_not_stop_delivery(host: Host, archive: Archive, value: str) -> None:
    host.submit(CONTENT)
    archive.script = [problem(503, "unavailable", Retry_After=value)]
    assert host.agent().once() == REMAINS
    assert 0 < waits(host) <= 3600


@pytest.mark.parametrize("reply", [Reply(close_after=0), Reply(close_after=30_000), Reply(silent=True)])
def test_a_connection_that_breaks_is_tried_again(host: Host, archive: Archive, reply: Reply) -> None:
    host.submit(CONTENT)
    archive.script = [reply]
    assert host.agent(answer_seconds=0.5).once() == REMAINS
    assert host.agent().once() == DONE
    assert [found.content for found in archive.arrived] == [CONTENT]


def test_nobody_there(host: Host) -> None:
    host.submit(CONTENT)
    config = HookConfig(url="http://127.0.0.1:9", token_file=host.token)
    with pytest.raises(Exception, match="does not answer"):
        Agent(spool=host.spool, config=config, log=json_lines(host.lines.append))  # another archive: its key is needed
    stored = json.loads((host.spool_path / "enrolment.json").read_text())
    (host.spool_path / "enrolment.json").write_text(json.dumps({**stored, "url": "http://127.0.0.1:9"}))
    assert host.agent().once() == REMAINS
    assert "127.0.0.1" not in host.lines[-1]


def test_an_entry_that_always_fails_holds_nobody_up(host: Host, archive: Archive) -> None:
    host.submit(b"poison", source_id="poison")
    for number in range(3):
        host.submit(CONTENT, source_id=str(number))
    archive.script = [problem(500, "internal")]
    assert host.agent().once() == REMAINS
    assert len(archive.arrived) == 3 and len(host.spool.names()) == 1


def test_after_three_failures_in_a_row_the_archive_is_left_alone(host: Host, archive: Archive) -> None:
    for number in range(5):
        host.submit(CONTENT, source_id=str(number))
    archive.script = [problem(500, "internal")] * 5
    assert host.agent().once() == REMAINS
    assert archive.uploads == 3


def test_a_lost_sidecar_is_sent_and_kept_for_a_person(host: Host, archive: Archive) -> None:
    name = host.submit(CONTENT)
    (host.spool_path / "ready" / f"{name}.json").write_text("{")
    assert host.agent().once() == REFUSED
    assert archive.arrived[0].content == CONTENT
    assert host.spool.names("refused") == [name]


def test_a_full_disk_does_not_keep_the_agent_from_making_room(host: Host, archive: Archive) -> None:
    first = host.submit(CONTENT, source_id="refused")
    host.submit(CONTENT, source_id="2")
    archive.script = [problem(409, "conflict")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert host.agent().once() == REMAINS
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (host.events(), host.spool.names()) == (["spool", "delivered"], [first])


def test_over_tls_only_to_who_the_authority_vouches_for(tmp_path: Path) -> None:
    host_directory = tmp_path / "host"
    host_directory.mkdir()
    with running(certificate(tmp_path)) as archive:
        host = Host(host_directory, archive)
        host.token.write_text(TOKEN)
        host.token.chmod(0o600)
        words = ["enrol", "--url", archive.url, "--token-file", str(host.token), "--spool", str(host.spool_path)]
        assert main(words) == 75  # not trusted
        assert main([*words, "--ca-file", str(tmp_path / "ca.pem")]) == 0
        host.submit(CONTENT)
        other = tmp_path / "other"
        other.mkdir()
        certificate(other)
        stranger = HookConfig(ca_file=other / "ca.pem")
        assert Agent(spool=host.spool, config=stranger, log=json_lines(host.lines.append)).once() == REMAINS
        assert (archive.uploads, "SSLCertVerificationError" in host.lines[-1]) == (0, True)
        assert host.agent().once() == DONE
        assert [found.content for found in archive.arrived] == [CONTENT]


def test_back_off_doubles_to_five_minutes_with_jitter() -> None:
    assert [backoff(n, jitter=0) for n in (1, 2, 3)] == [2, 4, 8]
    assert backoff(9, jitter=0) == backoff(10_000, jitter=0) == LONGEST_WAIT == 300
    assert backoff(9, jitter=1) == 150


def test_a_clock_that_went_back_delays_nothing() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)

    def entry(next_try: datetime | None) -> Entry:
        sidecar = Sidecar(sha256="0", length=0, created_at=moment, next_try=next_try)
        return Entry(name="n", path=Path("n"), size=0, sidecar=sidecar)

    assert is_due(entry(None), moment) and is_due(entry(moment), moment)
    assert not is_due(entry(moment + timedelta(minutes=5)), moment)
    assert is_due(entry(moment + timedelta(days=400)), moment)


def test_it_runs_until_told_to_stop(host: Host, archive: Archive) -> None:
    agent = host.agent()
    thread = threading.Thread(target=agent.run)
    thread.start()
    archive.script = [problem(500, "internal")]
    host.submit(CONTENT)
    host.submit(CONTENT, source_id="2")
    deadline = time.monotonic() + 120
    while host.spool.names() and time.monotonic() < deadline:
        time.sleep(0.05)
    agent.stop()
    thread.join(10)
    assert not thread.is_alive() and host.spool.names() == []
    assert host.events()[-1] == "stopped"


def test_two_agents_do_not_share_a_spool(host: Host) -> None:
    host.submit(CONTENT)
    with host.spool.agent_lock():
        with pytest.raises(AgentRunning), host.spool.agent_lock():
            pass
        done = subprocess.run(
            host.words("agent", "--once", "--spool", str(host.spool_path)), capture_output=True, text=True, check=False
        )
        assert (done.returncode, "another agent" in done.stderr) == (75, True)
    assert subprocess.call(host.words("agent", "--once", "--spool", str(host.spool_path))) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_breaks_off_an_upload_and_loses_nothing(host: Host, archive: Archive, number: signal.Signals) -> None:
    busy = threading.Event()

    def slow() -> None:
        busy.set()
        time.sleep(1.0)

    archive.during = slow
    host.submit(b"x" * 40_000_000)
    process = host.command("agent", "--spool", str(host.spool_path))
    assert busy.wait(20)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(errors.splitlines()[-1])["event"] == "stopped"
    archive.during = lambda: None
    assert host.agent().once() == DONE
    assert [len(found.content) for found in archive.arrived] == [40_000_000]


def test_killed_agents_lose_nothing(host: Host, archive: Archive) -> None:
    for number in range(12):
        host.submit(CONTENT + str(number).encode(), source_id=str(number))
    for round_number in range(8):
        process = host.command("agent", "--once", "--spool", str(host.spool_path))
        time.sleep(0.15 + 0.03 * round_number)
        process.kill()
        process.communicate()
    assert host.agent().once() == DONE
    assert {found.metadata["source_id"] for found in archive.arrived} == {str(n) for n in range(12)}


def test_nothing_personal_is_logged(host: Host, archive: Archive) -> None:
    host.submit(CONTENT, source_id="+358401234567")
    archive.script = [problem(500, "internal"), problem(409, "conflict")]
    agent = host.agent()
    agent.once()
    agent.once()
    logged = "".join(host.lines)
    assert host.events() == ["not-delivered", "refused"]
    for secret in ("358401234567", host.token.read_text().strip(), str(host.home)):
        assert secret not in logged


# -- the archive's key
# ----------------------------------------------------------------------------------------------------------


def _aged(host: Host, hours: int) -> None:
    stored = json.loads((host.spool_path / "enrolment.json").read_text())
    stored["fetched_at"] = (now() - timedelta(hours=hours)).isoformat()
    (host.spool_path / "enrolment.json").write_text(json.dumps(stored))


@pytest.mark.parametrize(("hours", "fetched"), [(1, False), (25, True)])
def test_the_key_is_fetched_daily(host: Host, archive: Archive, hours: int, fetched: bool) -> None:
    _aged(host, hours)
    archive.key_id = "edge/2026-12"
    host.agent().once()
    assert enrolment.require(host.spool).key_id == ("edge/2026-12" if fetched else "edge/2026-11")


@pytest.mark.parametrize(
    "answer",
    [
        Reply(status=200, body=b"<html>"),
        Reply(status=200, body=b'{"key_id": "edge/1", "public_key": "AA==", "not_after": "2099-01-01T00:00:00Z"}'),
        Reply(status=200, body=b'{"key_id": "../x y", "public_key": "", "not_after": 3}'),
        problem(503, "unavailable"),
        problem(403, "forbidden"),
    ],
)
def test_a_bad_answer_leaves_the_key_that_is_there(host: Host, archive: Archive, answer: Reply) -> None:
    before = enrolment.require(host.spool).key_id
    _aged(host, 25)
    archive.edge_key = answer
    host.submit(CONTENT)
    assert host.agent().once() == DONE
    assert host.events() == ["key-not-fetched", "delivered"]
    assert enrolment.require(host.spool).key_id == before


def test_an_expired_key_is_not_taken(host: Host, archive: Archive) -> None:
    _aged(host, 25)
    archive.not_after = "2026-01-01T00:00:00Z"
    host.agent().once()
    assert enrolment.require(host.spool).not_after.year == 2099


# -- the client
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["https://archive.example.fi", "http://127.0.0.1:8470/", "http://localhost:1", "http://[::1]:1"]
)
def test_addresses_that_are_taken(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "archive",
        "http://archive.example.fi",
        "ftp://127.0.0.1",
        "https://u:p@a.fi",
        "https://a.fi/?x",
        "https://a.fi:x",
        "http://127.0.0.1.a.fi",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        check_url(url)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "ä", "x" * 5000])
def test_tokens_that_are_none(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(0o600)
    with pytest.raises(TokenUnreadable):
        read_token(file)


def test_a_missing_authority_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ca_file"):
        ArchiveClient(url="https://a.fi", token_file=tmp_path / "t", ca_file=tmp_path / "none.pem")
