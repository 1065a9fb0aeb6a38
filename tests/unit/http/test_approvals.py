"""The API of what takes a second person, and of what stops destruction: statuses, problem documents, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from recvault.domain.access import Role
from tests.support.archives import World, make_world
from tests.support.passkeys import enrolled
from tests.support.serving import serve


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with serve(world.archive) as served:
        yield served.client


def bearer(world: World, role: Role) -> dict[str, str]:
    return {"Authorization": "Bearer " + world.archive.sessions.issue_token(role.value, by="system:test")}


def test_a_hold_on_a_search_is_reported_and_released_by_two(world: World, client: httpx.Client) -> None:
    handler, approver = bearer(world, Role.PRIVACY_HANDLER), bearer(world, Role.APPROVER)
    for number in range(3):
        world.store(f"call-{number}", queue="north")
    review = str((world.clock.now() + timedelta(days=30)).date())
    form = {"reason": "a claim", "review_on": review, "found_by": {"queue": "north"}}
    placed = client.post("/v1/holds", json=form, headers=handler)
    assert (placed.status_code, placed.json()["covered"], placed.json()["scope"]) == (201, 3, "snapshot")
    assert client.post("/v1/holds", json=form | {"found_by": {}}, headers=handler).status_code == 422
    (line,) = client.get("/v1/holds/report", headers=approver).json()["rows"]
    assert (line["id"], line["covered"], line["kept_back"]) == (placed.json()["id"], 3, 0)
    release = f"/v1/holds/{line['id']}/release"
    assert client.post(release, headers=handler).status_code == 422
    assert client.post(release, json={"reason": "r"}, headers=approver).status_code == 403
    proposed = client.post(release, json={"reason": "settled"}, headers=handler)
    assert (proposed.status_code, proposed.json()["state"]) == (202, "open")
    assert client.post(release, json={"reason": "settled"}, headers=handler).status_code == 409
    where = f"/v1/approvals/{proposed.json()['id']}"
    refused = client.post(f"{where}/approve", headers=handler)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert client.post(f"{where}/withdraw", headers=approver).status_code == 403
    done = client.post(f"{where}/approve", headers=approver)
    assert (done.status_code, done.json()["state"], done.json()["by_one_person"]) == (200, "carried-out", False)
    assert client.post(f"{where}/approve", headers=approver).status_code == 409
    listed = client.get("/v1/approvals", headers=bearer(world, Role.AUDITOR)).json()
    assert (listed["mode"], listed["standing"], len(listed["decided"])) == ("two_person", [], 1)
    assert client.get("/v1/approvals", headers=bearer(world, Role.VERIFIER)).status_code == 403
    assert client.post("/v1/approvals/nothing/approve", headers=approver).status_code == 404


def test_a_restriction_and_an_open_request_over_the_api(world: World, client: httpx.Client) -> None:
    handler, approver = bearer(world, Role.PRIVACY_HANDLER), bearer(world, Role.APPROVER)
    call = world.store("call").id
    review = str((world.clock.now() + timedelta(days=30)).date())
    form = {"reason": "contested", "review_on": review, "communication_id": call}
    assert client.post("/v1/holds", json=form | {"kind": "freeze"}, headers=handler).status_code == 422
    unnamed = client.post("/v1/holds", json=form | {"kind": "request"}, headers=handler)
    assert unnamed.status_code == 422 and "reference" in unnamed.json()["detail"]
    request = client.post("/v1/holds", json=form | {"kind": "request", "authority": "R-7"}, headers=handler).json()
    restriction = client.post("/v1/holds", json=form | {"kind": "restriction"}, headers=handler).json()
    assert (request["kind"], restriction["kind"]) == ("request", "restriction")
    opening = {"purpose": "verification", "case_ref": "CASE-1"}
    opened = client.post(f"/v1/communications/{call}/open", json=opening, headers=bearer(world, Role.VERIFIER))
    assert (opened.status_code, opened.json()["reason"]) == (403, "restricted")
    close, release = f"/v1/holds/{request['id']}/close", f"/v1/holds/{restriction['id']}/release"
    assert client.post(close, json={"reason": "answered"}, headers=approver).status_code == 403
    assert client.post(close, json={"reason": "answered"}, headers=handler).json()["released_at"] is not None
    assert client.post(close, json={"reason": "answered"}, headers=handler).status_code == 409
    assert client.post(release, json={"reason": "settled"}, headers=handler).status_code == 422
    told = {"reason": "settled", "told_on": str(world.clock.now().date())}
    assert client.post(release, json=told, headers=handler).status_code == 202
    assert client.get("/v1/approvals").status_code == 401


def test_suspending_extending_and_going_on(world: World, client: httpx.Client) -> None:
    admin, handler = bearer(world, Role.ADMINISTRATOR), bearer(world, Role.PRIVACY_HANDLER)
    assert client.get("/readyz").json() == {"status": "ready", "faults": {}}
    form = {"reason": "an inquiry", "days": 3}
    assert client.post("/v1/destruction/suspend", json=form, headers=bearer(world, Role.AUDITOR)).status_code == 403
    assert client.post("/v1/destruction/suspend", json=form | {"days": 8}, headers=admin).status_code == 422
    suspended = client.post("/v1/destruction/suspend", json=form, headers=admin)
    assert suspended.status_code == 201
    assert client.post("/v1/destruction/suspend", json=form, headers=admin).status_code == 409
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["destruction_suspended_until"]) == (200, suspended.json()["until"])
    assert "recvault_destruction_suspended 1" in client.get("/metrics").text
    state = client.get("/v1/destruction", headers=bearer(world, Role.TRAINEE)).json()
    assert "suspended until" in state["stopped_because"] and state["suspension"]["id"] == suspended.json()["id"]
    until = (world.clock.now() + timedelta(days=30)).isoformat()
    longer = client.post("/v1/destruction/extend", json={"reason": "still", "until": until}, headers=handler)
    assert (longer.status_code, longer.json()["kind"]) == (202, "extend-suspension")
    approve = f"/v1/approvals/{longer.json()['id']}/approve"
    assert client.post(approve, headers=bearer(world, Role.APPROVER)).status_code == 200
    assert client.get("/readyz").json()["destruction_suspended_until"] == until
    assert client.post("/v1/destruction/unsuspend", headers=admin).status_code == 200
    assert client.post("/v1/destruction/unsuspend", headers=admin).status_code == 404


def test_the_forecast_is_shown_and_a_run_confirmed(world: World, client: httpx.Client) -> None:
    for number in range(21):
        world.store(f"call-{number}")
    world.later(days=400)
    handler = bearer(world, Role.PRIVACY_HANDLER)
    state = client.get("/v1/destruction", headers=handler).json()
    assert (state["due"], state["forecast"]) == (21, None) and "forecast" in state["stopped_because"]
    assert client.post("/v1/destruction/confirm", headers=bearer(world, Role.ADMINISTRATOR)).status_code == 403
    assert client.post("/v1/destruction/confirm", headers=handler).json()["due"] == 21
    state = client.get("/v1/destruction", headers=handler).json()
    assert (state["stopped_because"], len(state["forecast"]["days"])) == (None, 31)


def test_an_assertion_through_the_api(client: httpx.Client, world: World) -> None:
    """The archive of this test takes an account's word, and a passkey's all the same."""
    handler, approver = bearer(world, Role.PRIVACY_HANDLER), bearer(world, Role.APPROVER)
    hold = world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER),
        reason="a claim",
        review_on=(world.clock.now() + timedelta(days=9)).date(),
        communication_id=world.store("call").id,
    ).hold
    proposed = client.post(f"/v1/holds/{hold.id}/release", json={"reason": "settled"}, headers=handler).json()
    where = f"/v1/approvals/{proposed['id']}"
    assert client.get(where, headers=approver).json()["expires_at"] == proposed["expires_at"] is not None
    assert client.post(f"{where}/challenge", headers=approver).status_code == 409  # no passkey yet
    assert client.post(f"{where}/challenge", headers=handler).status_code == 403
    device = enrolled(world, world.actor(Role.APPROVER))
    question = client.post(f"{where}/challenge", headers=approver).json()
    assert question["act"]["proposal"] == proposed["id"]
    form = {"decision": "approve", "assertion": device.get(question["publicKey"])}
    another = bearer(world, Role.APPROVER)  # another token is another session
    refused = client.post(f"{where}/decide", json=form, headers=another)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/passkey-refused")
    form["assertion"] = device.get(client.post(f"{where}/challenge", headers=approver).json()["publicKey"])
    done = client.post(f"{where}/decide", json=form, headers=approver).json()
    assert (done["state"], done["proof"]) == ("carried-out", "passkey")
    (kept,) = client.get(f"{where}/assertions", headers=bearer(world, Role.AUDITOR)).json()["rows"]
    device.verify_elsewhere(kept)
    assert client.post(f"{where}/decide", json={"decision": "refuse"}, headers=approver).status_code == 409
    assert client.post(f"{where}/decide", json={"decision": "perhaps"}, headers=approver).status_code == 422
