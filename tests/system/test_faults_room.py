"""Too much for memory, too much for the disk, next to nothing, and a server that is killed: over real HTTP, with the server
in a process of its own, on SQLite with a folder.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from recvault.domain.access import Role
from tests.support.aftermath import end_of, look, objects_of, rows_of
from tests.support.archives import Parts, World, make_world
from tests.support.server_process import MIB, ServerProcess, served
from tests.support.serving import problem_of
from tests.support.worlds import sqlite_and_folder

LONG = 1024 * MIB
GROWTH = 150 * MIB
BLOCK = bytes(range(256)) * 4096


@dataclass
class Place:
    """An archive in files, and a verifier's token."""

    world: World
    parts: Parts
    directory: Path
    token: str

    def meta(self, ref: str, **more: object) -> dict[str, object]:
        """Metadata of a call."""
        times = {"started_at": "2026-11-22T11:00:00Z", "ended_at": "2026-11-22T11:05:00Z"}
        return {"source_id": ref, "channel": "call", "direction": "inbound", **times, **more}

    def play(self, server: ServerProcess, communication_id: str, ranges: str) -> httpx.Response:
        """A range of a recording, opened by the verifier."""
        headers = {"Authorization": f"Bearer {self.token}"}
        form = {"purpose": "verification", "reason": "complaint"}
        opened = server.client.post(f"/v1/communications/{communication_id}/open", json=form, headers=headers)
        assert opened.status_code == 200, opened.text
        return server.client.get(opened.json()["playback"], headers=headers | {"Range": ranges})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with sqlite_and_folder(tmp_path) as parts, (world := make_world(parts=parts)).archive:
        token = world.archive.sessions.issue_token(Role.VERIFIER.value, by="system:test")
        yield Place(world=world, parts=parts, directory=tmp_path, token=token)


def numbered(length: int) -> Iterator[bytes]:
    """Blocks that tell where they stand."""
    for number in range(length // len(BLOCK)):
        yield number.to_bytes(8) + BLOCK[8:]


@pytest.mark.slow
def test_a_gibibyte_passes_through_bounded_memory_and_its_end_plays(place: Place) -> None:
    with served(place.parts, place.directory) as server:
        warm = server.upload(place.world.token, place.meta("warm"), BLOCK)
        assert warm.status_code == 201
        idle = server.memory("VmRSS")
        server.forget_peak()
        answer = server.stream(place.world.token, place.meta("long"), numbered(LONG), LONG)
        assert answer.status_code == 201, answer.text
        receipt = answer.json()
        assert receipt["length"] == LONG
        grown = server.memory("VmHWM") - idle
        assert grown < GROWTH, f"{grown / MIB:.0f} MiB more than idle"
        last = (LONG // len(BLOCK) - 1).to_bytes(8) + BLOCK[8:]
        part = place.play(server, receipt["id"], f"bytes=-{len(BLOCK)}")
        assert (part.status_code, part.content) == (206, last)
        assert part.headers["content-range"] == f"bytes {LONG - len(BLOCK)}-{LONG - 1}/{LONG}"
        middle = place.play(server, receipt["id"], f"bytes={LONG // 2}-{LONG // 2 + 7}")
        assert middle.content == (LONG // 2 // len(BLOCK)).to_bytes(8)
        assert server.memory("VmHWM") - idle < GROWTH


def test_one_byte_and_no_byte(place: Place) -> None:
    with served(place.parts, place.directory) as server:
        for content in (b"x", b""):
            ref = f"call of {len(content)}"
            announced = place.meta(ref, sha256=hashlib.sha256(content).hexdigest(), length=len(content))
            answer = server.upload(place.world.token, announced, content)
            receipt = answer.json()
            assert (answer.status_code, receipt["length"]) == (201, len(content))
            assert ("empty_content" in receipt["needs_attention"]) == (not content)
            again = server.upload(place.world.token, announced, content)
            assert (again.status_code, again.json()["id"]) == (200, receipt["id"])
            whole = _whole(place, server, receipt["id"])
            assert (whole.status_code, whole.content) == (200, content)
            outside = place.play(server, receipt["id"], f"bytes={len(content)}-")
            assert outside.status_code == 416
    assert end_of(place.parts, place.world.archive).objects == 2


def _whole(place: Place, server: ServerProcess, communication_id: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {place.token}"}
    form = {"purpose": "verification", "reason": "complaint"}
    opened = server.client.post(f"/v1/communications/{communication_id}/open", json=form, headers=headers)
    return server.client.get(opened.json()["playback"], headers=headers)


def test_a_full_disk_is_said_and_leaves_nothing_half_stored(place: Place) -> None:
    length = 24 * MIB
    with served(place.parts, place.directory, file_limit=4 * MIB) as server:
        for _ in range(2):
            answer = server.stream(place.world.token, place.meta("long"), numbered(length), length)
            told: dict[str, Any] = problem_of(answer)
            assert answer.status_code == 503 and answer.headers["retry-after"]
            assert told["type"] == "/problems/store-unavailable" and "no room" in told["detail"]
        assert rows_of(place.parts) == [] and objects_of(place.parts) == []
        assert list(place.parts.store.list_uploads("")) == []
        small = server.upload(place.world.token, place.meta("short"), BLOCK)
        assert small.status_code == 201, "what fits is taken all the same"
    with served(place.parts, place.directory) as server:
        answer = server.stream(place.world.token, place.meta("long"), numbered(length), length)
        assert answer.status_code == 201, "the hook sends it again when there is room"
    assert end_of(place.parts, place.world.archive).objects == 2


def test_a_server_killed_in_the_middle_of_an_upload_leaves_what_the_sweeper_takes(place: Place) -> None:
    length = 64 * MIB
    with served(place.parts, place.directory) as server:
        assert server.upload(place.world.token, place.meta("before"), BLOCK).status_code == 201
        under_way, killed = threading.Event(), threading.Event()

        def endless() -> Iterator[bytes]:
            for number, block in enumerate(numbered(length)):
                if number == 48:
                    under_way.set()
                    killed.wait(30)
                yield block

        def send() -> None:
            with pytest.raises(httpx.HTTPError):
                server.stream(place.world.token, place.meta("cut"), endless(), length)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        assert under_way.wait(30)
        until = time.monotonic() + 120
        while not list(place.parts.store.list_uploads("")):
            assert time.monotonic() < until
            time.sleep(0.02)
        server.process.kill()
        killed.set()
        sender.join(30)
    assert len(list(place.parts.store.list_uploads(""))) == 1
    look(place.parts, place.world.archive)
    assert len(rows_of(place.parts)) == 1 == len(objects_of(place.parts))
    with served(place.parts, place.directory) as server:
        again = server.stream(place.world.token, place.meta("cut"), numbered(length), length)
        assert again.status_code == 201
    assert place.world.archive.sweeper.run() == []
    place.world.later(hours=25)
    assert len(place.world.archive.sweeper.run()) == 1
    end = end_of(place.parts, place.world.archive)
    assert (end.uploads, end.objects, len(end.rows)) == (0, 2, 2)


def test_a_full_disk_under_the_database_is_said_and_nothing_acknowledged_is_lost(place: Place) -> None:
    """The object is written, the row has no room: 503, and the same upload is taken when there is room again."""
    room = (place.directory / "recvault.db").stat().st_size
    accepted: list[str] = []
    with served(place.parts, place.directory, file_limit=room) as server:
        while True:
            number = len(accepted)
            answer = server.upload(place.world.token, place.meta(f"call-{number}"), BLOCK[: 1000 + number])
            if answer.status_code != 201:
                break
            accepted.append(answer.json()["id"])
            assert number < 100, "the disk never filled"
        told = problem_of(answer)
        assert (answer.status_code, told["type"]) == (503, "/problems/database-unavailable")
    look(place.parts, place.world.archive)
    assert {row.id for row in rows_of(place.parts)} == set(accepted)
    again = place.world.store(f"call-{number}", BLOCK[: 1000 + number])
    place.world.later(hours=25)
    place.world.archive.sweeper.run()
    assert {row.id for row in rows_of(place.parts)} == {*accepted, again.id}
    assert end_of(place.parts, place.world.archive).objects == len(accepted) + 1
