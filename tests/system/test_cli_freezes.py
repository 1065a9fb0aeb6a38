"""Restrictions and open requests from the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.system.test_cli import Shell, ingest, made, recording, shell  # noqa: F401 - fixtures


def test_a_restriction_and_an_open_request(shell: Shell) -> None:  # noqa: F811
    call = ingest(shell, recording(shell))
    place = ("hold", "place", "--as", "paula", "--communication", call, "--reason", "contested")
    unnamed = shell(*place, "--kind", "request")
    assert (unnamed.code, "reference" in unnamed.err) == (2, True)
    request = shell.value(*place, "--kind", "request", "--authority", "R-7")
    restriction = shell.value(*place, "--kind", "restriction")
    listed = {row["id"]: row["kind"] for row in shell.value("hold", "list", "--as", "paula")["rows"]}
    assert listed == {request["id"]: "request", restriction["id"]: "restriction"}
    assert shell.value("hold", "close", request["id"], "--as", "paula", "--reason", "answered")["authority"] == "R-7"
    release = ("hold", "release", restriction["id"], "--as", "paula", "--reason", "settled")
    assert shell(*release).code == 2
    assert shell.value(*release, "--told-on", str(datetime.now(UTC).date()))["state"] == "open"
