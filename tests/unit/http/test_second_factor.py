"""Second factors over HTTP: the desk's pages and the API's two steps."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pyotp
import pytest

from recvault.domain.access import Grant, Role
from recvault.interfaces.http.identity import COOKIE
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.hashing import CountingHasher
from tests.support.serving import Served, problem_of, serve

PASSWORD = "pitka ja rauhallinen 7"


@pytest.fixture(scope="module")
def world() -> World:
    parts = memory_parts()
    parts.config = configuration(ACCESS__SECOND_FACTOR="required", CONTROLLER__NAME="Esimerkki Oy")
    return make_world(parts=parts, hasher=CountingHasher())


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


@pytest.fixture
def browser(served: Served) -> Iterator[httpx.Client]:
    own = f"http://127.0.0.1:{served.port}"
    with httpx.Client(base_url=own, headers={"Origin": own}, cookies={"lang": "en"}) as client:
        yield client


def add(world: World, name: str) -> None:
    world.archive.accounts.add_user(
        name, display_name=name.title(), password=PASSWORD, grants=(Grant(role=Role.VERIFIER),), by="system:test"
    )


def code(world: World, secret: str) -> str:
    return pyotp.TOTP(secret).at(world.clock.now())


def begin(world: World, browser: httpx.Client, name: str) -> str:
    """Signs in with the password and begins an app; its secret."""
    add(world, name)
    answer = browser.post("/sign-in", data={"name": name, "password": PASSWORD, "next": "/holds"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/second-factor?next=%2Fholds")
    assert "Add an app" in browser.get("/second-factor").text
    shown = browser.post("/account/factors/totp", data={"next": "/holds"})
    assert "<svg" in shown.text and "no-store" in shown.headers["cache-control"]
    found = re.search(r'class="secret">([A-Z2-7 ]+)<', shown.text)
    assert found is not None
    return found[1].replace(" ", "")


def test_the_first_sign_in_leads_to_an_app_and_recovery_codes(world: World, browser: httpx.Client) -> None:
    secret = begin(world, browser, "eka")
    for path in ("/", "/holds", "/account"):  # a password alone gets no further
        assert browser.get(path).headers["location"].startswith("/second-factor")
    wrong = browser.post("/account/factors/totp/confirm", data={"code": "000000", "next": "/holds"})
    assert wrong.status_code == 422 and "<svg" not in wrong.text and secret not in wrong.text
    half = browser.cookies[COOKIE]
    shown = browser.post("/account/factors/totp/confirm", data={"code": code(world, secret), "next": "/holds"})
    assert len(re.findall(r"<code>([0-9a-z]{4}(?:-[0-9a-z]{4}){3})</code>", shown.text)) == 10
    assert browser.cookies[COOKIE] != half and 'href="/holds"' in shown.text
    assert browser.get("/").status_code == 200
    page = browser.get("/account").text
    assert "Replace the app" in page and "Unused recovery codes: 10." in page and "an app was added" in page


def test_the_next_sign_in_asks_for_a_code_and_the_browser_is_known_afterwards(
    world: World, browser: httpx.Client
) -> None:
    secret = begin(world, browser, "toka")
    browser.post("/account/factors/totp/confirm", data={"code": code(world, secret)})
    browser.post("/sign-out")
    world.later(minutes=1)
    browser.post("/sign-in", data={"name": "toka", "password": PASSWORD})
    assert "Code of your app" in browser.get("/second-factor").text
    wrong = browser.post("/second-factor", data={"code": "000000", "next": "/account"})
    assert wrong.status_code == 401 and "wrong, too old or used" in wrong.text
    right = browser.post("/second-factor", data={"code": code(world, secret), "next": "/account"})
    assert right.headers["location"] == "/account"
    device = next(one for one in right.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}_device="))
    assert "HttpOnly" in device and "samesite=strict" in device.lower()
    assert browser.get("/second-factor").headers["location"] == "/"  # nothing more is asked


def test_factors_are_changed_at_the_account_page_after_a_proof(world: World, browser: httpx.Client) -> None:
    secret = begin(world, browser, "kolmas")
    browser.post("/account/factors/totp/confirm", data={"code": code(world, secret)})
    world.later(minutes=6)
    own = {"Referer": f"{browser.base_url}/account"}
    asked = browser.post("/account/factors/recovery", headers=own)
    assert asked.headers["location"] == "/prove?next=%2Faccount"
    assert browser.post("/prove", data={"code": code(world, secret), "next": "/account"}).status_code == 303
    assert "<li><code>" in browser.post("/account/factors/recovery").text
    last = browser.post("/account/factors/totp/remove")
    assert last.status_code == 409 and "add another before" in html.unescape(last.text)


def test_too_many_tries_at_the_desk_are_told_with_the_wait(world: World, browser: httpx.Client) -> None:
    add(world, "hoppu")
    for _ in range(6):
        assert browser.post("/sign-in", data={"name": "hoppu", "password": "vaara salasana 1"}).status_code == 401
    late = browser.post("/sign-in", data={"name": "hoppu", "password": PASSWORD})
    assert late.status_code == 429 and late.headers["retry-after"] == "2"
    assert "Try again in 2 s." in late.text


def test_the_api_signs_in_in_two_steps(world: World, served: Served, browser: httpx.Client) -> None:
    secret = begin(world, browser, "ohjelma")
    browser.post("/account/factors/totp/confirm", data={"code": code(world, secret)})
    world.clock.advance(timedelta(minutes=1))
    first = served.client.post("/v1/session", json={"name": "ohjelma", "password": PASSWORD})
    assert first.status_code == 201 and first.json()["complete"] is False and first.json()["device"] is None
    assert first.json()["factors"] == ["otp", "recovery"]
    half = {"Authorization": f"Bearer {first.json()['token']}"}
    refused = served.client.get("/v1/agents", headers=half)
    assert refused.status_code == 401 and problem_of(refused)["type"] == "/problems/second-factor-required"
    wrong = served.client.post("/v1/session/factor", json={"code": "123"}, headers=half)
    assert wrong.status_code == 401
    second = served.client.post("/v1/session/factor", json={"code": code(world, secret)}, headers=half)
    assert second.status_code == 200 and second.json()["complete"] and second.json()["device"]
    whole = {"Authorization": f"Bearer {second.json()['token']}"}
    assert served.client.get("/v1/agents", headers=whole).status_code != 401
    assert served.client.get("/v1/agents", headers=half).status_code == 401
    again = served.client.post(
        "/v1/session", json={"name": "ohjelma", "password": PASSWORD, "device": second.json()["device"]}
    )
    assert again.status_code == 201


def test_the_api_tells_how_long_to_wait(world: World, served: Served) -> None:
    for _ in range(6):
        answer = served.client.post("/v1/session", json={"name": "en-ole", "password": "vaara salasana 1"})
        assert answer.status_code == 401
    late = served.client.post("/v1/session", json={"name": "en-ole", "password": "vaara salasana 1"})
    assert late.status_code == 429 and late.headers["retry-after"] == "2"
    assert problem_of(late)["type"] == "/problems/too-many-attempts"
