"""Uploads over HTTP: what is accepted, refused, marked; nothing half stored, nothing acknowledged lost."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator

import pytest

from recvault.domain.access import Role
from recvault.domain.purpose import Purpose
from recvault.sealing.edge import EdgeSealer
from tests.support.archives import World, eventually, make_world
from tests.support.serving import BOUNDARY, Served, multipart, problem_of, serve

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 100


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


def meta(ref: str, **more: object) -> dict[str, object]:
    return {
        "source_id": ref,
        "channel": "call",
        "direction": "inbound",
        "started_at": "2026-11-22T11:00:00Z",
        "ended_at": "2026-11-22T11:05:00Z",
        "remote": {"tel": "040 123 4501", "name": "Matti"},
        **more,
    }


def objects(world: World) -> set[str]:
    return {version.name for version in world.archive.store.list_versions("")}


def test_a_stored_call_gets_a_receipt(served: Served, world: World) -> None:
    answer = served.upload(world.token, meta("a-1"), CALL)
    assert answer.status_code == 201
    receipt = answer.json()
    assert receipt["sha256"] == hashlib.sha256(CALL).hexdigest()
    assert receipt["length"] == len(CALL) and receipt["destroy_at"] and receipt["needs_attention"] == []
    assert served.upload(world.token, meta("a-1"), CALL).status_code == 200


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385])
def test_odd_sizes_are_accepted(served: Served, world: World, size: int) -> None:
    content = bytes(size)
    receipt = served.upload(world.token, meta(f"size-{size}"), content).json()
    assert receipt["length"] == size
    assert ("empty_content" in receipt["needs_attention"]) is (size == 0)


def test_a_body_larger_than_the_buffer_streams(served: Served, world: World) -> None:
    content = b"RIFF" + bytes(20 * 1024 * 1024) + b"end"
    receipt = served.upload(world.token, meta("large-1", length=len(content)), content).json()
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_sealed_envelope_is_opened_and_stored(served: Served, world: World) -> None:
    key = served.client.get("/v1/edge-key", headers={"Authorization": f"Bearer {world.token}"}).json()
    sealer = EdgeSealer(
        public_key=base64.b64decode(key["public_key"]), key_id=key["key_id"], metadata=json.dumps(meta("e-1")).encode()
    )
    body = sealer.head() + sealer.update(CALL) + sealer.finish()
    answer = served.send(world.token, body, "application/vnd.recvault.sealed")
    assert answer.status_code == 201 and answer.json()["sha256"] == hashlib.sha256(CALL).hexdigest()
    cut = served.send(world.token, body[:-20], "application/vnd.recvault.sealed")
    assert problem_of(cut)["status"] == 422


@pytest.mark.parametrize("token", ["rvs_", "rvs_unknown", "rvt_person", "nonsense"])
def test_without_a_source_token_nothing_is_read(served: Served, token: str) -> None:
    answer = served.upload(token, meta("b-1"), CALL)
    assert answer.status_code == 401 and answer.headers["www-authenticate"]
    problem_of(answer)


BAD_BODIES = {
    "metadata missing": multipart(("content", CALL)),
    "metadata after content": multipart(("content", CALL), ("metadata", meta("c-1"))),
    "content missing": multipart(("metadata", meta("c-2"))),
    "metadata twice": multipart(("metadata", meta("c-3")), ("metadata", meta("c-3")), ("content", CALL)),
    "content twice": multipart(("metadata", meta("c-4")), ("content", CALL), ("content", CALL)),
    "another part": multipart(("metadata", meta("c-5")), ("file", CALL)),
    "not JSON": multipart(("metadata", b"{not json"), ("content", CALL)),
    "not an object": multipart(("metadata", [1, 2]), ("content", CALL)),
    "no source_id": multipart(("metadata", {"channel": "call"}), ("content", CALL)),
    "not multipart": b"hello",
    "no end": multipart(("metadata", meta("c-6")), ("content", CALL))[:-10],
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_wrong_body_is_refused_and_leaves_nothing(served: Served, world: World, body: bytes) -> None:
    before = objects(world)
    answer = served.send(world.token, body)
    assert answer.status_code == 422
    problem_of(answer)
    assert objects(world) == before


def test_metadata_over_its_limit_is_refused(served: Served, world: World) -> None:
    answer = served.upload(world.token, meta("d-1", extra={"x": "y" * 70_000}), CALL)
    assert answer.status_code == 413 and "65536" in problem_of(answer)["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300])
def test_another_content_type_is_refused(served: Served, world: World, kind: str) -> None:
    assert problem_of(served.send(world.token, b"x", kind))["status"] == 422


def test_unknown_fields_and_lying_values_are_accepted_and_marked(served: Served, world: World) -> None:
    odd = meta("f-1", colour="red", channel="carrier-pigeon", started_at="tomorrow", media_type="text/html")
    receipt = served.upload(world.token, odd, CALL).json()
    assert {"unknown_field", "value_not_understood", "time_unreadable"} <= set(receipt["needs_attention"])


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\nb", "📞.wav", "x" * 4096, 'q"; filename=evil', "\u202egpj.wav"]
)
def test_hostile_file_names_come_back_harmless(served: Served, world: World, name: str) -> None:
    ref = "name-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    receipt = served.upload(world.token, meta(ref, filename=name), CALL).json()
    assert not any(name in stored for stored in objects(world))
    opened = world.archive.retrieval.open(
        world.actor(Role.VERIFIER), receipt["id"], Purpose.VERIFICATION, reason="complaint"
    )
    assert opened.filename is not None


def test_an_identity_code_is_masked(served: Served, world: World) -> None:
    receipt = served.upload(world.token, meta("hetu-1", case_ref="131052-308T", tags=["131052-308T"]), CALL).json()
    assert "identity_code_masked" in receipt["needs_attention"]
    with world.archive.database.read() as unit:
        row = unit.communications.get(receipt["id"])
    assert "131052" not in f"{row.case_ref} {row.tags}"


def test_other_content_under_the_same_id_is_a_conflict(served: Served, world: World) -> None:
    served.upload(world.token, meta("g-1"), CALL)
    answer = served.upload(world.token, meta("g-1"), CALL + b"!")
    assert answer.status_code == 409 and problem_of(answer)["kept_as"]


@pytest.mark.parametrize("announced", [{"length": 5}, {"sha256": "0" * 64}])
def test_what_differs_from_its_announcement_is_refused(
    served: Served, world: World, announced: dict[str, object]
) -> None:
    before = objects(world)
    answer = served.upload(world.token, meta("h-1", **announced), CALL)
    assert problem_of(answer)["status"] == 422
    assert objects(world) == before


def test_a_connection_cut_anywhere_leaves_nothing(served: Served, world: World) -> None:
    before = objects(world)
    body = multipart(("metadata", meta("cut-1")), ("content", CALL))
    for cut in (0, 1, 40, 120, 400, 1000, len(body) // 2, len(body) - 1):
        served.send_raw(world.token, body[:cut], announced=len(body))
    large = multipart(("metadata", meta("cut-2")), ("content", bytes(12 * 1024 * 1024)))
    served.send_raw(world.token, large[: 10 * 1024 * 1024], announced=len(large))
    eventually(lambda: objects(world) == before and not list(world.archive.store.list_uploads("")))


def test_the_same_upload_twice_at_once_is_stored_once(served: Served, world: World) -> None:
    before = objects(world)
    answers: list[tuple[int, str]] = []

    def send() -> None:
        answer = served.upload(world.token, meta("race-1"), CALL)
        answers.append((answer.status_code, answer.json().get("id", "")))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(code for code, _ in answers) == [200] * 7 + [201]
    assert len({identifier for _, identifier in answers}) == 1
    assert len(objects(world) - before) == 1


def test_a_token_revoked_in_mid_upload_stores_nothing(served: Served, world: World) -> None:
    source, token = world.archive.sources.add("short-lived", by="system:test")
    before = objects(world)
    body = multipart(("metadata", meta("revoked-1")), ("content", bytes(10 * 1024 * 1024)))

    def slowly() -> Iterator[bytes]:
        half = len(body) // 2
        yield body[:half]
        world.archive.sources.revoke(source.name, by="system:test")
        yield body[half:]

    answer = served.client.post(
        "/v1/communications",
        content=slowly(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        },
    )
    assert problem_of(answer)["status"] == 401
    assert objects(world) == before
