"""Sessions over HTTP: by which way a cookie counts, what ends it, what asks for a proof, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from recvault.domain.access import Role
from recvault.domain.sessions import Method
from recvault.interfaces.http.app import create_app
from recvault.interfaces.http.browsers import browser_of
from recvault.interfaces.http.headers import ALL
from recvault.interfaces.http.identity import COOKIE, HOST_COOKIE
from tests.support.archives import World, configuration, make_world, memory_parts, wav
from tests.support.serving import Served, problem_of, serve

NAME = "archive.company.example"
PROXIED = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
PASSWORD = "pitka ja rauhallinen 7"
FULL = (Method.PASSWORD, Method.TOTP)


def make(**settings: str) -> World:
    parts = memory_parts()
    parts.config = configuration(**settings)
    return make_world(parts=parts)


@pytest.fixture(scope="module")
def world() -> World:
    """A desk behind a proxy that ends TLS; second factors are required."""
    world = make(
        SERVER__PUBLIC_URL=f"https://{NAME}", SERVER__TRUSTED_PROXIES='["127.0.0.1"]', ACCESS__SECOND_FACTOR="required"
    )
    world.archive.accounts.add_user("maija", display_name="Maija", password=PASSWORD, grants=(), by="system:test")
    return world


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


def opened(world: World, role: Role, *methods: Method) -> str:
    """The secret of a session of the person with the role."""
    with world.archive.database.begin() as unit:
        user = unit.accounts.user(world.actor(role).id)
        now = world.clock.now()
        secret = world.archive.sessions.open(unit, user, methods=methods or FULL, label="Firefox, Linux", now=now)
        unit.commit()
    return secret


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def cookie(secret: str, **more: str) -> dict[str, str]:
    return {**PROXIED, "Cookie": f"{HOST_COOKIE}={secret}", "Sec-Fetch-Site": "same-origin"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }


# --- the way in


def test_behind_the_proxy_the_desk_opens_and_its_cookie_is_for_this_host_alone(served: Served) -> None:
    origin = PROXIED | {"Origin": f"https://{NAME}"}
    answer = served.client.post("/sign-in", data={"name": "maija", "password": PASSWORD}, headers=origin)
    assert answer.status_code == 303
    (given,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{HOST_COOKIE}=")]
    marks = {mark.strip().lower() for mark in given.split(";")[1:]}
    assert marks == {"httponly", "path=/", "samesite=strict", "secure"}
    assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize(
    "changed",
    [
        {"Host": "evil.example"},
        {"Host": f"{NAME}.evil.example"},
        {"Host": f"{NAME}:8470"},
        {"Host": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"X-Forwarded-Proto": ""},
        {"X-Forwarded-Host": NAME, "Host": "evil.example"},
    ],
)
def test_every_other_way_is_refused(served: Served, world: World, changed: dict[str, str]) -> None:
    assert served.client.get("/sign-in", headers=PROXIED | changed).status_code == 403
    secret = opened(world, Role.VERIFIER)
    assert served.client.get("/v1/agents", headers=cookie(secret)).status_code == 200
    refused = served.client.get("/v1/agents", headers=cookie(secret) | changed | {"Cookie": f"{COOKIE}={secret}"})
    assert refused.status_code in (401, 403)


def test_a_cookie_of_the_other_kind_is_not_read(served: Served, world: World) -> None:
    """A plain cookie can be planted from a neighbouring name; over https only the __Host- one counts."""
    secret = opened(world, Role.VERIFIER)
    assert served.client.get("/v1/agents", headers=cookie(secret) | {"Cookie": f"{COOKIE}={secret}"}).status_code == 401
    direct = {"Cookie": f"{HOST_COOKIE}={secret}"}
    assert served.client.get("/v1/agents", headers=direct).status_code == 401
    assert served.client.get("/v1/agents", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 200


def test_a_proxy_that_is_not_configured_is_not_believed() -> None:
    with serve(make(SERVER__PUBLIC_URL=f"https://{NAME}", ACCESS__SECOND_FACTOR="required").archive) as server:
        assert server.client.get("/sign-in", headers=PROXIED).status_code == 403
        assert server.client.get("/sign-in").status_code == 200


# --- another site


@pytest.mark.parametrize(
    "sent",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": f"https://{NAME}"},
        {"Origin": "https://evil.example"},
        {"Origin": f"http://{NAME}"},
        {"Origin": f"https://{NAME}.evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_a_cookie_changes_nothing_when_another_site_sent_the_request(
    served: Served, world: World, sent: dict[str, str]
) -> None:
    headers = {name: value for name, value in cookie(opened(world, Role.PRIVACY_HANDLER)).items() if name[:3] != "Sec"}
    body = {"communication_id": "none", "reason": "x", "review_on": "2027-01-01"}
    assert served.client.post("/v1/holds", json=body, headers=headers | sent).status_code == 403
    own = served.client.post("/v1/holds", json=body, headers=headers | {"Origin": f"https://{NAME}"})
    assert own.status_code == 404, "our own page may"


# --- what ends it


def test_a_stolen_cookie_is_worth_nothing_after_signing_out(served: Served, world: World) -> None:
    stolen = opened(world, Role.AUDITOR)
    assert served.client.get("/account", headers=cookie(stolen)).status_code == 200
    assert served.client.post("/sign-out", headers=cookie(stolen)).status_code == 303
    assert served.client.get("/account", headers=cookie(stolen)).status_code == 303
    assert problem_of(served.client.get("/v1/account/sessions", headers=cookie(stolen)))["status"] == 401


def test_a_planted_secret_is_not_the_one_that_signing_in_gives(served: Served, world: World) -> None:
    planted = opened(world, Role.AUDITOR)
    answer = served.client.post("/sign-in", data={"name": "maija", "password": PASSWORD}, headers=cookie(planted))
    assert planted not in answer.headers["set-cookie"]
    assert served.client.get("/v1/account/sessions", headers=bearer(planted)).status_code == 401


def test_a_role_taken_away_ends_a_playback_at_its_next_range() -> None:
    world = make(ACCESS__SECOND_FACTOR="required")
    stored = world.store("call-1", wav(bytes(range(256)) * 300)).id
    with serve(world.archive) as server:
        headers = bearer(opened(world, Role.VERIFIER))
        path = server.client.post(
            f"/v1/communications/{stored}/open",
            json={"purpose": "verification", "reason": "complaint"},
            headers=headers,
        ).json()["playback"]
        assert server.client.get(path, headers=headers | {"Range": "bytes=0-99"}).status_code == 206
        world.archive.accounts.set_grants("verifier", (), by="system:test")
        assert server.client.get(path, headers=headers | {"Range": "bytes=100-199"}).status_code == 401
        again = bearer(opened(world, Role.VERIFIER))
        assert server.client.get(path, headers=again | {"Range": "bytes=100-199"}).status_code == 403


# --- half open, proved


def test_a_password_alone_leads_to_the_second_factor_and_nowhere_else(served: Served, world: World) -> None:
    half = opened(world, Role.VERIFIER, Method.PASSWORD)
    for path in ("/", "/holds", "/account", "/prove"):
        answer = served.client.get(path, headers=cookie(half))
        assert answer.status_code == 303 and answer.headers["location"].startswith("/second-factor")
    refused = served.client.get("/v1/agents", headers=bearer(half))
    assert problem_of(refused)["type"] == "/problems/second-factor-required"
    assert served.client.post("/sign-out", headers=cookie(half)).status_code == 303


def test_an_act_that_cannot_be_taken_back_asks_for_a_proof(served: Served, world: World) -> None:
    secret = opened(world, Role.PRIVACY_HANDLER)
    body = {"reason": "settled"}
    assert served.client.post("/v1/holds/none/release", json=body, headers=bearer(secret)).status_code == 404
    world.later(minutes=5)
    refused = served.client.post("/v1/holds/none/release", json=body, headers=bearer(secret))
    assert problem_of(refused)["type"] == "/problems/step-up-required" and refused.status_code == 401
    assert 'error="insufficient_user_authentication"' in refused.headers["www-authenticate"]
    assert 'max_age="300"' in refused.headers["www-authenticate"]
    token = world.archive.sessions.issue_token("privacy_handler", by="system:test")
    assert served.client.post("/v1/holds/none/release", json=body, headers=bearer(token)).status_code == 401
    from_page = cookie(secret, Referer=f"https://{NAME}/holds")
    asked = served.client.post("/holds/none/release", data={"release_reason": "x"}, headers=from_page)
    assert asked.headers["location"] == "/prove?next=%2Fholds"
    elsewhere = cookie(secret, Referer="https://evil.example/holds")
    asked = served.client.post("/holds/none/release", data={"release_reason": "x"}, headers=elsewhere)
    assert asked.headers["location"] == "/prove"


def test_a_proof_leads_back_with_a_new_secret() -> None:
    world = make(ACCESS__SECOND_FACTOR="off")
    world.archive.accounts.add_user("maija", display_name="Maija", password=PASSWORD, grants=(), by="system:test")
    with (
        serve(world.archive) as server,
        httpx.Client(base_url=str(server.client.base_url), headers={"Origin": str(server.client.base_url)}) as client,
    ):
        client.post("/sign-in", data={"name": "maija", "password": PASSWORD})
        before = client.cookies[COOKIE]
        assert "Salasana" in client.get("/prove?next=/holds").text
        wrong = client.post("/prove", data={"password": "x", "next": "/holds"})
        assert wrong.status_code == 422 and client.cookies[COOKIE] == before
        right = client.post("/prove", data={"password": PASSWORD, "next": "/holds"})
        assert right.headers["location"] == "/holds" and client.cookies[COOKIE] != before
        stolen = server.client.get("/account", headers={"Cookie": f"{COOKIE}={before}"})
        assert stolen.headers["location"] == "/sign-in?ended=1&next=%2Faccount"
        outside = client.post("/prove", data={"password": PASSWORD, "next": "https://evil.example/"})
        assert outside.headers["location"] == "/"


# --- the account


def test_own_sessions_and_tokens_over_the_api(served: Served, world: World) -> None:
    secret, other = opened(world, Role.TRAINER), opened(world, Role.TRAINER)
    form = {"label": "report", "roles": ["trainer"], "days": 7}
    made = served.client.post("/v1/account/tokens", json=form, headers=bearer(secret))
    assert made.status_code == 201 and made.json()["roles"] == ["trainer"]
    token = made.json()["token"]
    assert served.client.get("/v1/agents", headers=bearer(token)).status_code == 200
    rows = served.client.get("/v1/account/sessions", headers=bearer(secret)).json()["rows"]
    assert {(row["kind"], row["label"], row["current"]) for row in rows} >= {
        ("api", "report", False),
        ("session", "Firefox, Linux", True),
        ("session", "Firefox, Linux", False),
    }
    assert not any(held in str(rows) for held in (secret, other, token))
    for row in rows:
        if not row["current"]:
            path = f"/v1/account/sessions/{row['id']}"
            assert served.client.delete(path, headers=bearer(secret)).status_code == 204
            assert served.client.delete(path, headers=bearer(secret)).status_code == 404
    assert served.client.get("/v1/agents", headers=bearer(token)).status_code == 401
    assert served.client.get("/v1/agents", headers=bearer(other)).status_code == 401
    wrongs: tuple[dict[str, object], ...] = (
        {"roles": ["approver"]},
        {"days": 0},
        {"days": 367},
        {"label": ""},
        {"roles": []},
    )
    for wrong in wrongs:
        refused = served.client.post("/v1/account/tokens", json=form | wrong, headers=bearer(secret))
        assert refused.status_code == 422


def test_a_token_makes_no_token(served: Served, world: World) -> None:
    token = world.archive.sessions.issue_token("trainer", by="system:test")
    answer = served.client.post("/v1/account/tokens", json={"label": "another"}, headers=bearer(token))
    assert answer.status_code == 403


def test_an_administrator_ends_a_persons_sessions(served: Served, world: World) -> None:
    theirs, mine = opened(world, Role.TRAINEE), opened(world, Role.ADMINISTRATOR)
    path = f"/v1/accounts/{world.actor(Role.TRAINEE).id}/end-sessions"
    assert served.client.post(path, json={}, headers=bearer(opened(world, Role.AUDITOR))).status_code == 403
    answer = served.client.post(path, json={"tokens": True}, headers=bearer(mine))
    assert answer.json() == {"ended": 1}
    assert served.client.get("/v1/account/sessions", headers=bearer(theirs)).status_code == 401
    assert served.client.post("/v1/accounts/nobody/end-sessions", json={}, headers=bearer(mine)).status_code == 404


def test_the_page_of_the_own_account(served: Served, world: World) -> None:
    secret, other = opened(world, Role.VERIFIER), opened(world, Role.VERIFIER)
    page = served.client.get("/account?lang=en", headers=cookie(secret))
    assert "Where you are signed in" in page.text and "Firefox, Linux" in page.text
    form = {"label": "ohjelma", "days": "5", "role_verifier": "1"}
    made = served.client.post("/account/tokens", data=form, headers=cookie(secret))
    token = made.text.partition('<code class="secret">')[2].partition("<")[0]
    assert served.client.get("/v1/agents", headers=bearer(token)).status_code == 200
    assert token not in served.client.get("/account", headers=cookie(secret)).text
    for wrong in ({"days": "x"}, {"days": "10" * 9}, {"label": " "}, {"role_approver": "1"}):
        refused = served.client.post("/account/tokens", data=form | wrong, headers=cookie(secret))
        assert refused.status_code == 422 and 'role="alert"' in refused.text
    found = world.archive.sessions.whose(other).session.id
    assert served.client.post(f"/account/sessions/{found}/end", headers=cookie(secret), data={}).status_code == 303
    assert served.client.get("/v1/agents", headers=bearer(other)).status_code == 401
    world.later(minutes=5)
    asked = served.client.post("/account/tokens", data=form, headers=cookie(secret, Referer=f"https://{NAME}/account"))
    assert asked.headers["location"] == "/prove?next=%2Faccount"


# --- headers


def routes_of(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """All of them, those of included routers in their place."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from routes_of(included.routes)


def test_every_answer_carries_its_headers(served: Served, world: World) -> None:
    """Every route, whatever it answers: none forgets them, none says 'unsafe' or lets another site in."""
    secret = opened(world, Role.AUDITOR)
    seen = 0
    for route in routes_of(create_app(world.archive).routes):
        path = getattr(route, "path", "")
        methods = route.methods or set() if isinstance(route, APIRoute) else {"GET"}
        for method in sorted(methods - {"HEAD"}):
            for headers in (PROXIED, cookie(secret)):
                filled = path.replace("{", "").replace("}", "")
                answer = served.client.request(method, filled, headers=headers)
                assert answer.headers.keys() >= {name.lower() for name in ALL}, (method, path)
                policy = answer.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy and "*" not in policy and "http" not in policy, (method, path)
                assert "no-store" in answer.headers["cache-control"] or path.startswith("/static/"), (method, path)
                assert answer.headers["strict-transport-security"], (method, path)
                seen += 1
                if method == "POST" and path == "/sign-out":
                    secret = opened(world, Role.AUDITOR)
    assert seen > 100


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1", "Safari, iOS"),
        ("curl/8.5", ""),
    ],
)
def test_browsers_are_told_apart_coarsely(told: str, named: str) -> None:
    assert browser_of(told) == named
