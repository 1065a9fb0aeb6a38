"""Every sample there is, real, odd and hostile, goes in over HTTP and comes back byte for byte, with harmless headers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recvault.domain.access import Role
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.serving import Served, serve

SAMPLES = Path(__file__).parents[1] / "samples"


def manifest(folder: str) -> list[dict[str, Any]]:
    whole = json.loads((SAMPLES / folder / "manifest.json").read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = whole["files"] if isinstance(whole, dict) else whole
    return [{**entry, "file": SAMPLES / folder / entry["path"]} for entry in entries]


ENTRIES = [entry for folder in ("real", "audio") for entry in manifest(folder)]


@pytest.fixture(scope="module")
def world() -> World:
    parts = memory_parts()
    parts.config = configuration(ACCESS__OPENS_PER_HOUR="10000")
    return make_world(parts=parts)


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['file'].parent.name}/{entry['path']}")
def test_what_goes_in_comes_back(served: Served, world: World, entry: dict[str, Any]) -> None:
    content = entry["file"].read_bytes()
    metadata = {
        "source_id": f"{entry['file'].parent.name}/{entry['path']}",
        "channel": "call",
        "direction": "inbound",
        "started_at": "2026-11-22T11:00:00Z",
        "filename": entry.get("upload_filename") or entry.get("original_name") or entry["path"],
    }
    answer = served.upload(world.token, metadata, content)
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()

    token = world.archive.sessions.issue_token(Role.VERIFIER.value, by="system:test")
    headers = {"Authorization": f"Bearer {token}"}
    opened = served.client.post(
        f"/v1/communications/{receipt['id']}/open",
        json={"purpose": "verification", "reason": "complaint"},
        headers=headers,
    ).json()
    played = served.client.get(opened["playback"], headers=headers)
    assert played.content == content
    kind = played.headers["content-type"]
    assert not any(active in kind for active in ("html", "svg", "script", "xml"))
    if "html" in entry["path"] or "svg" in entry["path"] or "zip" in entry["path"]:
        assert played.headers["content-disposition"].startswith("attachment") or kind.startswith("audio/")
    assert played.headers["content-security-policy"] == "default-src 'none'; sandbox"
