"""Opening and playing over HTTP: ranges, headers, rights decided at every range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import RangeNotSatisfiable, Tampered
from recvault.interfaces.http.byte_ranges import ByteRange, parse_range
from recvault.interfaces.http.communications import gathered
from tests.support.archives import World, eventually, make_world, wav
from tests.support.serving import Served, problem_of, serve

CALL = wav(bytes(range(256)) * 300)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


@pytest.fixture(scope="module")
def stored(world: World) -> str:
    return world.store("call-1", CALL).id


def token(world: World, role: Role) -> dict[str, str]:
    return {"Authorization": "Bearer " + world.archive.sessions.issue_token(role.value, by="system:test")}


def opened(served: Served, world: World, stored: str) -> tuple[str, dict[str, str]]:
    headers = token(world, Role.VERIFIER)
    answer = served.client.post(
        f"/v1/communications/{stored}/open", json={"purpose": "verification", "reason": "complaint"}, headers=headers
    )
    assert answer.status_code == 200
    return answer.json()["playback"], headers


def get(served: Served, path: str, headers: dict[str, str], **more: str) -> httpx.Response:
    return served.client.get(path, headers=headers | more)


def test_the_whole_and_ranges(served: Served, world: World, stored: str) -> None:
    path, headers = opened(served, world, stored)
    whole = get(served, path, headers)
    assert (whole.status_code, whole.content) == (200, CALL)
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["cache-control"] == "no-store"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"].startswith("inline")
    for header, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=16383-16385", 16383, 16385),
        ("bytes=70000-", 70000, len(CALL) - 1),
        ("bytes=-5", len(CALL) - 5, len(CALL) - 1),
        ("bytes=0-99999999", 0, len(CALL) - 1),
    ):
        part = get(served, path, headers, Range=header)
        assert (part.status_code, part.content) == (206, CALL[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(CALL)}"


def test_a_range_outside_is_416(served: Served, world: World, stored: str) -> None:
    path, headers = opened(served, world, stored)
    answer = get(served, path, headers, Range=f"bytes={len(CALL)}-")
    assert problem_of(answer)["status"] == 416 and answer.headers["content-range"] == f"bytes */{len(CALL)}"


def test_if_range_and_head(served: Served, world: World, stored: str) -> None:
    path, headers = opened(served, world, stored)
    head = served.client.head(path, headers=headers)
    assert head.status_code == 200 and head.headers["content-length"] == str(len(CALL)) and head.content == b""
    assert get(served, path, headers, Range="bytes=0-9", **{"If-Range": head.headers["etag"]}).status_code == 206
    assert get(served, path, headers, Range="bytes=0-9", **{"If-Range": '"other"'}).status_code == 200


def test_role_gone_the_next_range_fails(served: Served, world: World, stored: str) -> None:
    path, headers = opened(served, world, stored)
    assert get(served, path, headers, Range="bytes=0-9").status_code == 206
    grants = world.archive.accounts.user_named("verifier").grants
    world.archive.accounts.set_grants("verifier", (), by="system:test")
    try:
        assert problem_of(get(served, path, headers, Range="bytes=10-19"))["status"] == 403
    finally:
        world.archive.accounts.set_grants("verifier", grants, by="system:test")


def test_another_person_cannot_use_the_address(served: Served, world: World, stored: str) -> None:
    path, _ = opened(served, world, stored)
    assert get(served, path, token(world, Role.TEAM_LEAD)).status_code == 404
    assert get(served, path, {}).status_code == 401


def test_every_range_leaves_its_trace(served: Served, world: World, stored: str) -> None:
    path, headers = opened(served, world, stored)
    get(served, path, headers, Range="bytes=100-199")

    def closed() -> bool:
        with world.archive.database.read() as unit:
            entries = [e for e in unit.audit.about(stored, 500) if e.act is Act.CLOSED]
        return any(e.detail.get("first") == 100 and e.detail.get("length") == 100 for e in entries)

    eventually(closed)


def test_an_altered_object_is_an_error_and_not_a_short_body(served: Served, world: World) -> None:
    receipt = world.store("altered-1", CALL)
    (version,) = world.archive.store.list_versions(f"{receipt.id}/")
    sealed = bytearray(b"".join(world.archive.store.get(version.name, version.version_id)))
    sealed[-1] ^= 1
    with world.archive.database.read() as unit:
        kept = unit.communications.get(receipt.id).streams[0]
    versions = world.archive.store._objects[kept.object_name]  # type: ignore[attr-defined]
    versions[0] = replace(versions[0], data=bytes(sealed))
    path, headers = opened(served, world, receipt.id)
    assert problem_of(get(served, path, headers))["status"] == 500


def test_opening_needs_a_purpose_and_a_reason(served: Served, world: World, stored: str) -> None:
    headers = token(world, Role.VERIFIER)
    for body in ({}, {"purpose": "curiosity"}, {"purpose": "verification"}, {"purpose": "verification", "reason": "x"}):
        answer = served.client.post(f"/v1/communications/{stored}/open", json=body, headers=headers)
        assert problem_of(answer)["status"] == 422


def test_search_pages_by_cursor_and_tells_no_names(served: Served, world: World) -> None:
    for number in range(5):
        world.store(f"page-{number}", CALL)
        world.later(seconds=1)
    headers = token(world, Role.VERIFIER)
    seen: list[str] = []
    cursor = None
    while True:
        body = {"purpose": "verification", "limit": 2, "customer_number": "1001", "cursor": cursor}
        answer = served.client.post("/v1/communications/search", json=body, headers=headers)
        assert answer.status_code == 200 and "Virtanen" not in answer.text and "+358" not in answer.text
        page = answer.json()
        seen += [row["id"] for row in page["rows"]]
        if (cursor := page["next"]) is None:
            break
    assert len(seen) == len(set(seen)) >= 5


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-", ByteRange(0, 9, 10)),
        ("bytes=3-5", ByteRange(3, 5, 10)),
        ("bytes=-3", ByteRange(7, 9, 10)),
        ("bytes=-30", ByteRange(0, 9, 10)),
        ("bytes=5-3", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
    ],
)
def test_range_headers(header: str | None, expected: ByteRange | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=11-12", "bytes=-0"])
def test_ranges_outside(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 10)


def test_nothing_of_an_empty_recording_lies_inside() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-", 0)


def test_a_store_that_fails_in_mid_answer_breaks_it_off(served: Served, world: World) -> None:
    content = wav(bytes(range(256)) * 12_000)  # 3 MB: several fetches
    receipt = world.store("mid-answer-1", content)
    (version,) = world.archive.store.list_versions(f"{receipt.id}/")
    path, headers = opened(served, world, receipt.id)
    body = bytearray()
    with (
        pytest.raises(httpx.RemoteProtocolError),
        served.client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        world.archive.store.delete_versions([version])
        for piece in answer.iter_bytes():
            body += piece
    assert content.startswith(bytes(body)) and len(body) < len(content)


def test_pieces_are_gathered_and_what_came_before_a_fault_is_given_out() -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b"ab", b"cd", b"e")
        raise Tampered("chunk 3")

    given = gathered(pieces(), 4)
    assert [next(given), next(given)] == [b"abcd", b"e"]
    with pytest.raises(Tampered):
        next(given)
    assert list(gathered(iter([b"abc", b"d", b"ef"]), 4)) == [b"abcd", b"ef"] and list(gathered(iter(()), 4)) == []
