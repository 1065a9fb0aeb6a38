"""Sealing into the spool: whole, secret, durable before the original goes, and nothing half left."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recvault.domain.errors import ConfigurationError
from recvault.interfaces.hook import enrolment
from recvault.interfaces.hook.cli import main
from recvault.interfaces.hook.spool import Sidecar, Spool, SpoolFull, now
from recvault.interfaces.hook.submit import FileChanged, submit
from tests.unit.hook.archive import Archive
from tests.unit.hook.conftest import Host

MARKER = b"THIS-WAS-SAID-BY-A-CUSTOMER"
NUMBER = "+358401234567"


def seal(host: Host, file: Path, *options: str) -> int:
    return main(["submit", str(file), "--source-id", "1.1", "--spool", str(host.spool_path), *options])


@pytest.mark.parametrize("size", [0, 1, 44, 16_383, 16_384, 1_048_576, 3_000_001])
def test_any_length_is_sealed_and_the_original_goes(host: Host, size: int) -> None:
    content = (MARKER * (size // len(MARKER) + 1))[:size]
    file = host.recording(content, f"in-{NUMBER}.wav")
    assert seal(host, file) == 0
    assert not file.exists()
    (name,) = host.spool.names()
    entry = host.spool.entry(name)
    assert entry is not None and entry.sidecar is not None
    assert (entry.sidecar.sha256, entry.sidecar.length) == (hashlib.sha256(content).hexdigest(), size)
    arrived = host.archive.open_file(entry.path)
    assert arrived.content == content
    assert arrived.metadata == {"source_id": "1.1", "filename": f"in-{NUMBER}.wav"}
    everything = host.everything()
    assert MARKER not in everything and NUMBER.encode() not in everything


def test_every_option_arrives(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECVAULT_HOOK_METADATA_BASE64", base64.b64encode(b"queue=environment\nagent=7\n").decode())
    facts = host.home / "facts.json"
    facts.write_text(json.dumps({"subject": "from the file", "agent": "6"}))
    options = [
        *("--channel", "call", "--direction", "inbound", "--started-at", "2026-11-01T10:00:00+02:00"),
        *("--ended-at", "1700000000", "--remote-tel", NUMBER, "--remote-mailto", "a@b.fi", "--remote-name", "Maija"),
        *("--local-tel", "+3589", "--team", "t", "--queue", "q", "--case-ref", "c", "--tag", "x", "--tag", "y"),
        *("--linked-id", "1.0", "--filename", "f.wav", "--media-type", "audio/x-wav", "--answered"),
        *("--metadata-file", str(facts)),
    ]
    assert seal(host, host.recording(b"sound"), *options) == 0
    assert host.archive.open_file(host.spool_path / "ready" / f"{host.spool.names()[0]}.rvedge").metadata == {
        "source_id": "1.1",
        "channel": "call",
        "direction": "inbound",
        "started_at": "2026-11-01T10:00:00+02:00",
        "ended_at": "2023-11-14T22:13:20+00:00",
        "remote": {"tel": NUMBER, "mailto": "a@b.fi", "name": "Maija"},
        "local": {"tel": "+3589"},
        "agent": "7",
        "team": "t",
        "queue": "q",
        "case_ref": "c",
        "tags": ["x", "y"],
        "extra": {"linked_id": "1.0"},
        "filename": "f.wav",
        "media_type": "audio/x-wav",
        "answered": True,
        "subject": "from the file",
    }


def test_the_asterisk_call_with_a_configuration_file(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECVAULT_HOOK_METADATA_BASE64", base64.b64encode(b"direction=inbound\nanswered=yes\n").decode())
    config = host.home / "hook.toml"
    config.write_text(f'url = "{host.archive.url}"\ntoken_file = "{host.token}"\nspool = "{host.spool_path}"\n')
    file = host.recording(b"RIFF")
    command = ["submit", str(file), "--config", str(config), "--channel", "call", "--source-id", "17.5"]
    assert main([*command, "--linked-id", "17.4", "--ended-at", "1700000000"]) == 0
    arrived = host.archive.open_file(host.spool_path / "ready" / f"{host.spool.names()[0]}.rvedge")
    assert arrived.metadata["extra"] == {"linked_id": "17.4"}
    assert arrived.metadata["answered"] is True


def test_an_odd_file_name_is_carried(host: Host) -> None:
    file = host.home / os.fsdecode(b"p\xe4iv\xe4\n\xf0\x9f\x93\x9e.wav")
    file.write_bytes(b"x")
    assert seal(host, file) == 0
    arrived = host.archive.open_file(host.spool_path / "ready" / f"{host.spool.names()[0]}.rvedge")
    assert arrived.metadata["filename"].startswith("päivä\n")


def test_keep_and_keep_original(host: Host) -> None:
    file = host.recording(b"kept")
    assert seal(host, file, "--keep") == 0
    assert file.read_bytes() == b"kept"
    assert len(host.spool.names()) == 1


def test_the_spool_and_its_files_are_the_owners_only(host: Host) -> None:
    host.submit(b"x")
    for path in [host.spool_path, *host.spool_path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    host.spool_path.chmod(0o750)
    assert seal(host, host.recording(b"y")) == 78


@pytest.mark.parametrize("kind", ["missing", "directory", "link", "pipe"])
def test_what_is_no_recording_is_refused(host: Host, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = host.home / f"rec-{NUMBER}"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(host.recording(b"real"))
    elif kind == "pipe":
        os.mkfifo(path)
    assert seal(host, path) == (66 if kind == "missing" else 74)
    assert host.spool.names() == [] and not list((host.spool_path / "incoming").iterdir())
    assert NUMBER not in capsys.readouterr().err
    assert kind != "link" or (host.home / "call.wav").read_bytes() == b"real"


def test_a_missing_source_id_keeps_the_file(host: Host) -> None:
    file = host.recording(b"x")
    assert main(["submit", str(file), "--spool", str(host.spool_path)]) == 65
    assert file.exists() and host.spool.names() == []


class _Growing(Spool):
    """A spool during whose first write the recording grows."""

    file: Path

    def draft(self):  # type: ignore[no-untyped-def]
        with self.file.open("ab") as late:
            late.write(b"more")
        return super().draft()


def test_a_file_that_grows_while_it_is_read_stays(host: Host) -> None:
    spool = _Growing(host.spool_path)
    spool.file = host.recording(b"begin")
    with pytest.raises(FileChanged, match="submit it again"):
        submit(spool.file, {"source_id": "1"}, spool=spool, enrolment=enrolment.require(spool))
    assert spool.file.read_bytes() == b"beginmore"
    assert spool.names() == [] and not list((host.spool_path / "incoming").iterdir())


def _without_override() -> None:
    """Takes from root the right to pass over file modes (PR_CAPBSET_DROP, CAP_DAC_OVERRIDE), before it execs."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def test_a_file_that_cannot_be_removed_is_sealed_and_told(host: Host) -> None:
    folder = host.home / "locked"
    folder.mkdir()
    file = folder / "call.wav"
    file.write_bytes(b"x")
    folder.chmod(0o500)
    try:
        done = subprocess.run(
            host.words("submit", str(file), "--source-id", "1", "--spool", str(host.spool_path)),
            preexec_fn=_without_override,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o700)
    assert (done.returncode, file.exists(), len(host.spool.names())) == (77, True, 1)
    assert "could not be removed" in done.stderr


def test_an_expired_key_keeps_the_file(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    stored = json.loads((host.spool_path / "enrolment.json").read_text())
    stored["not_after"] = "2026-01-01T00:00:00+00:00"
    (host.spool_path / "enrolment.json").write_text(json.dumps(stored))
    file = host.recording(b"x")
    assert seal(host, file) == 78
    assert file.exists() and host.spool.names() == []
    assert "recvault hook enrol" in capsys.readouterr().err


def test_not_enrolled_or_another_archive(host: Host, tmp_path: Path) -> None:
    file = host.recording(b"x")
    assert main(["submit", str(file), "--source-id", "1", "--spool", str(tmp_path / "none")]) == 78
    with pytest.raises(ConfigurationError, match="another archive"):
        enrolment.require(host.spool, url="https://other.example")
    (host.spool_path / "enrolment.json").unlink()
    assert seal(host, file) == 78
    assert file.exists()


def _small_files(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.mark.parametrize("limit", [0, 50, 100_000, 1_500_000])
def test_a_full_disk_keeps_the_original_and_leaves_no_scraps(host: Host, limit: int) -> None:
    content = MARKER * 80_000
    file = host.recording(content)
    done = subprocess.run(
        host.words("submit", str(file), "--source-id", "1", "--spool", str(host.spool_path)),
        preexec_fn=lambda: _small_files(limit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 75
    assert "free space" in done.stderr and str(file) not in done.stderr
    assert file.read_bytes() == content
    assert host.spool.names() == [] and not list((host.spool_path / "incoming").iterdir())
    assert seal(host, file) == 0  # and once there is room again it goes through


def test_no_room_for_the_sidecar_leaves_nothing(host: Host) -> None:
    with pytest.raises(SpoolFull), host.spool.draft() as draft:
        draft.write(b"sealed")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            draft.commit(Sidecar(sha256="0" * 64, length=6, created_at=now()))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in host.spool_path.rglob("*") if path.is_file() and path.name != "enrolment.json"]


def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_in_clear(host: Host) -> None:
    content = MARKER * 400_000  # 10.8 MB
    started = time.perf_counter()
    first = host.words("submit", str(host.recording(content)), "--source-id", "0", "--spool", str(host.spool_path))
    assert subprocess.call(first) == 0
    whole = time.perf_counter() - started
    moments = random.Random(20261122)
    kept = finished = 0
    for number in range(1, 21):
        file = host.recording(content, f"{number}.wav")
        process = host.command("submit", str(file), "--source-id", str(number), "--spool", str(host.spool_path))
        # Most of the time goes into starting: half of the kills aim at the work behind it.
        time.sleep(whole * (moments.uniform(0.5, 1.0) if number % 2 else moments.random()))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        sealed = {
            host.archive.open_file(host.spool_path / "ready" / f"{name}.rvedge").metadata["source_id"]: name
            for name in host.spool.names()
        }
        assert file.exists() or str(number) in sealed
        if file.exists():
            assert file.read_bytes() == content
            kept += 1
        else:
            finished += 1
        assert MARKER not in host.everything()
        for name in host.spool.names():
            entry = host.spool.entry(name)
            assert entry is not None and entry.sidecar is not None
            assert entry.sidecar.length == len(content)
            host.spool.remove(name)
    print(f"killed 20 times: {kept} originals stayed, {finished} were sealed before")
    host.spool.sweep(stale_seconds=0)
    left = [path.name for path in host.spool_path.rglob("*") if path.is_file()]
    assert left == ["enrolment.json"]


def test_how_long_ten_megabytes_take(host: Host) -> None:
    times = []
    for _ in range(5):
        file = host.recording(os.urandom(10_000_000))
        started = time.perf_counter()
        command = host.words("submit", str(file), "--source-id", "1", "--spool", str(host.spool_path))
        assert subprocess.call(command) == 0
        times.append(time.perf_counter() - started)
    print("submit of 10 MB, start-up included:", ", ".join(f"{1000 * t:.0f} ms" for t in sorted(times)))


def test_submit_imports_little() -> None:
    heavy = [
        "urllib3",
        "sqlalchemy",
        "fastapi",
        "pydantic",
        "typer",
        "rich",
        "structlog",
        "asyncio",
        "ssl",
        "http.client",
        "email",
    ]
    code = (
        "import sys; from recvault.interfaces.hook import cli, config, enrolment, metadata, spool, submit; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_enrolment_names_the_key_it_got(host: Host, archive: Archive) -> None:
    found = enrolment.require(host.spool)
    assert (found.url, found.key_id, found.token_file) == (archive.url, archive.key_id, host.token)
    assert found.public_key == archive.private.public_key().public_bytes_raw()
