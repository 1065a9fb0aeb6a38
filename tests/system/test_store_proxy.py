"""Whole journeys over HTTP while a proxy before a real Ceph RGW refuses, delays, breaks off and lies (see
``tests.support.lying_proxy``): a clear answer or a later completion; nothing is acknowledged that is not there, nothing
certified that is, and no byte is played that was not recorded.

Said honestly at the end: a store that loses what it took and forges its confirmation is noticed at once where it comes in
parts, and a whole object only when somebody looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from recvault.config.model import Store
from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.interfaces.hook.client import ANSWER_SECONDS
from tests.servers.ceph import Ceph
from tests.servers.postgresql import fresh_database
from tests.support.aftermath import content_of, look, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, make_world, real_parts
from tests.support.lying_proxy import LyingProxy, Request, lying_proxy
from tests.support.serving import Served, problem_of, serve
from tests.support.worlds import SteadyS3, ceph_configuration

pytestmark = pytest.mark.s3

MIB = 1024 * 1024
CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 300
LONG = bytes(range(251)) * (20 * MIB // 251)

FAULTS: dict[str, dict[str, object]] = {
    "refuse": {},
    "refuse, for an hour": {"retry_after": "3600"},
    "hang_up": {},
    "cut_upload": {},
    "cut_answer": {},
    "late": {"seconds": 12.0},
    "drop_put": {},
}


@dataclass
class Place:
    """An archive behind the proxy; ``parts`` is the way past it, for looking."""

    world: World
    parts: Parts
    proxy: LyingProxy
    served: Served

    def send(self, ref: str, content: bytes = CALL) -> httpx.Response:
        metadata = {"source_id": ref, "remote": {"tel": "+358401234501"}, "started_at": "2026-11-22T09:00:00Z"}
        return self.served.upload(self.world.token, metadata, content)

    def rows(self, *ids: str) -> list[str]:
        return [row.id for row in rows_of(self.parts) if row.id in ids]

    def open(self, communication_id: str) -> tuple[str, dict[str, str]]:
        token = self.world.archive.sessions.issue_token(Role.VERIFIER.value, by="system:test")
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.served.client.post(
            f"/v1/communications/{communication_id}/open",
            json={"purpose": "verification", "reason": "complaint"},
            headers=headers,
        )
        assert answer.status_code == 200
        return answer.json()["playback"], headers

    def play(self, communication_id: str, part: str | None = None) -> tuple[int | None, bytes]:
        """The status (None: the answer broke off) and what came."""
        path, headers = self.open(communication_id)
        came = bytearray()
        try:
            with self.served.client.stream("GET", path, headers=headers | ({"Range": part} if part else {})) as answer:
                for piece in answer.iter_raw():
                    came += piece
        except httpx.RemoteProtocolError:
            return None, bytes(came)
        return answer.status_code, bytes(came)


@contextmanager
def behind_the_proxy(
    directory: Path, ceph: Ceph, *, versioned: bool, read_timeout: float = 4.0, tries: int = 2
) -> Iterator[Place]:
    bucket = ceph.make_bucket(versioned=versioned)
    with fresh_database() as url, lying_proxy(ceph.endpoint) as proxy:
        config = ceph_configuration(replace(ceph, endpoint=proxy.endpoint), bucket)
        settings = replace(
            ceph.settings(bucket), endpoint=proxy.endpoint, read_timeout_seconds=read_timeout, retries=tries - 1
        )
        through, past = SteadyS3(settings), SteadyS3(ceph.settings(bucket))
        parts = real_parts(directory, database_url=url, store=through, config=config)
        through.tell = past.tell = parts.clock.now
        with (world := make_world(parts=parts)).archive, serve(world.archive) as served:
            yield Place(world=world, parts=replace(parts, store=past), proxy=proxy, served=served)
        through.close()
        past.close()


@pytest.fixture(scope="module")
def place(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with behind_the_proxy(tmp_path_factory.mktemp("proxy"), ceph, versioned=True) as found:
        yield found


def is_put(request: Request) -> bool:
    return request.is_put


def is_part(request: Request) -> bool:
    return request.is_put and "partNumber" in request.target


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.target


# --- ingest


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("size", ["whole", "in parts"])
def test_while_the_fault_lasts_uploads_are_refused_and_afterwards_taken(place: Place, name: str, size: str) -> None:
    content = CALL if size == "whole" else LONG
    ref, before = f"{name}-{size}", len(rows_of(place.parts))
    begun = time.monotonic()
    with place.proxy.with_fault(name.partition(",")[0], is_put, **FAULTS[name]):
        answer = place.send(ref, content)
    assert time.monotonic() - begun < 60, "no wait that a store asks for is sat out"
    problem = problem_of(answer)
    assert (answer.status_code, problem["type"]) == (503, "/problems/store-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert len(rows_of(place.parts)) == before
    again = place.send(ref, content)
    assert again.status_code == 201
    assert place.play(again.json()["id"]) == (200, content)
    assert len(rows_of(place.parts)) == before + 1


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "drop_put"])
@pytest.mark.parametrize("size", ["whole", "in parts"])
def test_a_fault_that_strikes_once_is_not_noticed_by_the_sender(place: Place, name: str, size: str) -> None:
    content = CALL if size == "whole" else LONG
    with place.proxy.with_fault(name.partition(",")[0], is_put, times=1, **FAULTS[name]) as fault:
        answer = place.send(f"once-{name}-{size}", content)
    assert fault.times == 0 and answer.status_code == 201
    (row,) = (row for row in rows_of(place.parts) if row.id == answer.json()["id"])
    assert content_of(place.parts, place.world.archive, row) == content


@pytest.mark.parametrize("kind", ["cut_answer", "hang_up", "refuse", "short_answer"])
def test_completing_an_upload_whose_answer_is_lost(place: Place, kind: str) -> None:
    """Once: it is completed. For ever: refused, and the next sending is another upload."""
    with place.proxy.with_fault(kind, is_completion, times=1):
        first = place.send(f"complete-once-{kind}", LONG)
    assert first.status_code in (201, 503)
    with place.proxy.with_fault(kind, is_completion):
        assert place.send(f"complete-{kind}", LONG).status_code == 503
    for ref in (f"complete-once-{kind}", f"complete-{kind}"):
        answer = place.send(ref, LONG)
        assert answer.status_code == (200 if ref.startswith("complete-once") and first.status_code == 201 else 201)
        assert place.play(answer.json()["id"], "bytes=20000000-20000099") == (206, LONG[20000000:20000100])


# --- a store that forges its confirmations


def test_a_part_that_was_lost_behind_a_forged_confirmation_is_noticed_at_once(place: Place) -> None:
    with place.proxy.with_fault("drop_put_forged", is_part, times=1):
        answer = place.send("forged-part", LONG)
    assert answer.status_code >= 500
    assert place.send("forged-part", LONG).status_code == 201


# --- playing


@pytest.mark.parametrize("kind", ["refuse", "hang_up", "late", "cut_answer", "short_answer"])
@pytest.mark.parametrize("after", [0, 2], ids=lambda after: f"after {after} good answers")
def test_no_byte_that_was_not_recorded_is_played(place: Place, kind: str, after: int) -> None:
    """Either an error, or the beginning of the recording and then a connection that breaks off."""
    stored = place.send("to-be-played", LONG).json()["id"]
    asked = 0

    def later(request: Request) -> bool:
        nonlocal asked
        asked += request.is_content
        return request.is_content and asked > after

    with place.proxy.with_fault(kind, later, seconds=12.0):
        status, came = place.play(stored)
    assert place.proxy.struck[kind]
    if status is None:
        assert after and len(came) < len(LONG) and LONG.startswith(came)
    else:
        assert status == 503 and b"store-unavailable" in came
    assert place.play(stored) == (200, LONG)


def test_what_an_unlucky_day_leaves_is_swept(place: Place) -> None:
    """Last of those that share the archive: everything acknowledged is there, everything else goes."""
    look(place.parts, place.world.archive)
    named = {stream.object_name for row in rows_of(place.parts) for stream in row.streams}
    assert set(objects_of(place.parts)) >= named
    place.world.later(hours=25)
    place.world.archive.sweeper.run()
    assert set(objects_of(place.parts)) == named
    assert list(place.parts.store.list_uploads("")) == []


# --- purge


@pytest.fixture(params=[False, True], ids=["no versions", "versions"])
def fresh(request: pytest.FixtureRequest, ceph: Ceph, tmp_path: Path) -> Iterator[Place]:
    with behind_the_proxy(tmp_path, ceph, versioned=request.param) as found:
        yield found


def test_nothing_is_certified_that_is_still_there(fresh: Place) -> None:
    """Every fault in turn, on deletions and on listings; then the truth, and every object goes, doubled versions too."""
    with fresh.proxy.with_fault("cut_answer", is_put, times=1):
        receipts = [fresh.world.store(f"call-{number}", CALL + bytes([number])) for number in range(3)]
    ids = sorted(receipt.id for receipt in receipts)
    fresh.world.later(days=190)
    asked: tuple[tuple[str, Callable[[Request], bool]], ...] = (
        ("keep", lambda request: request.is_deletion),
        ("refuse", lambda request: request.is_deletion),
        ("hang_up", lambda request: request.is_deletion),
        ("late", lambda request: request.is_deletion),
        ("refuse", lambda request: request.is_listing),
        ("cut_answer", lambda request: request.is_listing),
        ("short_answer", lambda request: request.is_listing and "versions" in request.target),
    )
    for kind, when in asked:
        with fresh.proxy.with_fault(kind, when, seconds=12.0):
            report = fresh.world.archive.purge.run("worker-1")
        assert fresh.proxy.struck[kind]
        look(fresh.parts, fresh.world.archive)
        if kind != "late":  # the store does what it is told, late: the next look may find it done
            assert report.destroyed == [] and sorted(report.unfinished) == ids, kind
        fresh.world.later(minutes=6)
        if fresh.proxy.struck["late"]:
            break
        assert {item.stage for item in tombstones_of(fresh.parts).values()} == {Stage.SHREDDED}
    fresh.world.archive.purge.run("worker-1")
    assert objects_of(fresh.parts) == [] and rows_of(fresh.parts) == []
    look(fresh.parts, fresh.world.archive)


def test_a_whole_object_that_was_lost_behind_a_forged_confirmation_is_noticed_by_whoever_looks(fresh: Place) -> None:
    """The receipt is given: nobody can tell this answer from a true one. Opening it is an error, and never other bytes."""
    with fresh.proxy.with_fault("drop_put_forged", is_put, times=1):
        answer = fresh.send("forged")
    assert answer.status_code == 201
    status, came = fresh.play(answer.json()["id"])
    assert status == 502 and b"object-not-found" in came


# --- seconds as they are


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_store_that_takes_half_a_minute_is_waited_for(tmp_path: Path, ceph: Ceph) -> None:
    with behind_the_proxy(tmp_path, ceph, versioned=False, read_timeout=45.0) as slow:
        slow.served.client.timeout = httpx.Timeout(60)
        with slow.proxy.with_fault("late", is_put, times=1, seconds=30.0):
            answer = slow.send("slow")
        assert answer.status_code == 201
        assert slow.play(answer.json()["id"]) == (200, CALL)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", ["whole", "in parts"])
def test_a_store_that_never_answers_is_given_up_before_the_hook_gives_up(tmp_path: Path, ceph: Ceph, size: str) -> None:
    """With the shipped time-out and retries; the abort of what was begun hangs as well."""

    def is_sending_or_abort(request: Request) -> bool:
        return request.method == "DELETE" or (is_part(request) if size == "in parts" else request.is_put)

    store = Store()
    with behind_the_proxy(
        tmp_path, ceph, versioned=False, read_timeout=store.read_timeout_seconds, tries=store.retries + 1
    ) as hanging:
        hanging.served.client.timeout = httpx.Timeout(ANSWER_SECONDS)
        begun = time.monotonic()
        with hanging.proxy.with_fault("late", is_sending_or_abort, seconds=90.0):
            answer = hanging.send("hanging", CALL if size == "whole" else LONG)
        assert time.monotonic() - begun < ANSWER_SECONDS - 5
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert rows_of(hanging.parts) == []
