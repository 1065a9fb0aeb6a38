"""The spool's upkeep, the configuration's strict keys, enrolling and status."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from recvault.domain import errors
from recvault.interfaces.hook.cli import exit_code, main
from recvault.interfaces.hook.config import load, parse, resolve
from recvault.interfaces.hook.spool import Sidecar, Spool, now
from tests.unit.hook.archive import Archive, problem
from tests.unit.hook.conftest import Host


def test_a_sweep_takes_what_the_dead_left_and_nothing_else(host: Host) -> None:
    host.submit(b"x")
    incoming, ready = host.spool_path / "incoming", host.spool_path / "ready"
    (incoming / "dead.rvedge").write_bytes(b"half")
    (incoming / "dead.part").write_bytes(b"half")
    (ready / "orphan.json").write_bytes(b"{}")
    with host.spool.draft() as draft:
        assert host.spool.sweep() == 0  # too fresh
        assert host.spool.sweep(stale_seconds=0) == 3
        assert [path.name for path in incoming.iterdir()] == [draft.name + ".rvedge"]
        draft.write(b"sealed")
        draft.commit(Sidecar(sha256="0" * 64, length=6, created_at=now()))
    assert len(host.spool.names()) == 2


def test_the_agent_sweeps(host: Host) -> None:
    left = host.spool_path / "incoming" / "dead.rvedge"
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 3600,) * 2)
    assert host.agent().once() == 0
    assert not left.exists() and host.events() == ["swept"]


def test_a_move_to_refused_that_a_crash_cut_in_two_is_finished(host: Host) -> None:
    name = host.submit(b"x")
    for_person = host.spool_path / "refused"
    (host.spool_path / "ready" / f"{name}.rvedge").rename(for_person / f"{name}.rvedge")
    host.spool.sweep(stale_seconds=0)
    assert {path.name for path in for_person.iterdir()} == {f"{name}.rvedge", f"{name}.json"}


def test_removing_and_asking_for_what_is_gone(host: Host) -> None:
    name = host.submit(b"x")
    host.spool.remove(name)
    host.spool.remove(name)
    assert host.spool.entry(name) is None


def test_names_sort_by_time(host: Host) -> None:
    names = [host.submit(b"x", source_id=str(number)) for number in range(20)]
    assert host.spool.names() == names


def test_a_sidecar_carries_zones() -> None:
    with pytest.raises(ValueError, match="created_at"):
        Sidecar(sha256="0", length=0, created_at=now().replace(tzinfo=None))


def test_configuration(tmp_path: Path) -> None:
    file = tmp_path / "hook.toml"
    file.write_text('url = "https://a.fi"\ntoken_file = "/t"\nspool = "/s"\nca_file = "/c"\nkeep_original = true\n')
    found = load(file)
    assert (found.url, found.token_file, found.spool, found.ca_file) == (
        "https://a.fi",
        Path("/t"),
        Path("/s"),
        Path("/c"),
    )
    assert found.keep_original
    over = resolve(config=file, spool=tmp_path / "other", keep=False)
    assert (over.spool, over.keep_original, over.url) == (tmp_path / "other", True, "https://a.fi")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tokenfile": "/t"}, "did you mean token_file"),
        ({"nonsense": 1}, "known are url"),
        ({"url": 1}, "url must be text"),
        ({"spool": ""}, "spool must be text"),
        ({"spool": "relative"}, "from the root"),
        ({"keep_original": "yes"}, "true or false"),
    ],
)
def test_configuration_that_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=said):
        parse(values)


def test_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="cannot be read"):
        load(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"url = \xff")
    with pytest.raises(errors.ConfigurationError, match="not TOML"):
        load(tmp_path / "bad")
    with pytest.raises(errors.ConfigurationError, match="--spool"):
        parse({}).spool_path()


def test_enrolling_from_a_configuration_file(host: Host, archive: Archive, tmp_path: Path) -> None:
    file = tmp_path / "hook.toml"
    file.write_text(f'url = "{archive.url}/"\ntoken_file = "{host.token}"\nspool = "{tmp_path}/new/spool"\n')
    assert main(["enrol", "--config", str(file)]) == 0
    call = host.recording(b"x")
    assert main(["submit", str(call), "--source-id", "1", "--config", str(file)]) == 0
    assert main(["agent", "--once", "--config", str(file)]) == 0
    assert len(archive.arrived) == 1


@pytest.mark.parametrize(("status", "code"), [(401, 77), (503, 75), (404, 74)])
def test_enrolling_that_fails(host: Host, archive: Archive, status: int, code: int) -> None:
    archive.edge_key = problem(status, "whatever")
    command = ["enrol", "--url", archive.url, "--token-file", str(host.token), "--spool", str(host.spool_path)]
    assert main(command) == code
    assert main(["enrol", "--spool", str(host.spool_path)]) == 78


def test_status(host: Host, archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["status", "--spool", str(host.spool_path)]
    host.submit(b"refused", source_id="1")
    host.submit(b"waits", source_id="2")
    archive.script = [problem(422, "invalid-input"), problem(500, "internal")]
    host.agent().once()
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["waiting"], found["refused"], found["most_tries"]) == (1, 1, 1)
    assert (found["agent_running"], found["key"], found["key_expired"]) == (False, "edge/2026-11", False)
    with host.spool.agent_lock():
        assert main(command) == 0
    shown = capsys.readouterr().out
    assert "cannot read this envelope" in shown and "agent      running" in shown


def test_usage() -> None:
    assert main(["bogus"]) == main([]) == main(["submit"]) == 64
    assert main(["submit", "--help"]) == 0


def test_every_error_has_an_exit_code() -> None:
    assert exit_code(errors.RecvaultError("x")) == 74
    assert exit_code(errors.TooLarge("x")) == 65


def test_a_spool_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="hook enrol"):
        Spool(tmp_path / "none")
    (tmp_path / "empty").mkdir(mode=0o700)
    with pytest.raises(errors.ConfigurationError, match="hook enrol"):
        Spool(tmp_path / "empty")
