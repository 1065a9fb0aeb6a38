"""Day keys from the command line: how far each has come, and re-keying a day."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tests.system.test_cli import Shell, ingest, made, recording, shell

__all__ = ["made", "shell"]


def test_a_day_is_rekeyed_by_hand_and_the_status_tells_until_when_the_old_key_waits(shell: Shell) -> None:
    kept = ingest(shell, recording(shell))
    row = shell.value("search", "--purpose", "verification", "--as", "vera")["rows"][0]
    day = datetime.fromisoformat(row["destroy_at"]).astimezone(ZoneInfo("Europe/Helsinki")).date().isoformat()
    assert shell("user", "add", "ada", "--role", "administrator", "--token-file", "ada-token").code == 0
    states = shell.value("keys", "status")["periods"]["states"]
    assert states["open"]["data_keys"] == 1 and states["waiting"]["keys"] == 0
    refused = shell("keys", "rekey", day, "--as", "paula", "--json")
    assert refused.code == 3
    told = shell.value("keys", "rekey", day, "--as", "ada", "--reason", "key-seen")["keys"]
    assert {one["id"]: (one["state"], one["data_keys"]) for one in told} == {
        f"day/{day}/1": ("waiting", 0),
        f"day/{day}/2": ("open", 1),
    }
    lines = shell("keys", "status").out
    (line,) = (line for line in lines.splitlines() if line.startswith(f"day/{day}/1"))
    assert "waiting" in line and "UTC" in line
    found = shell.value("search", "--purpose", "verification", "--as", "vera")["rows"]
    assert [row["id"] for row in found] == [kept]
