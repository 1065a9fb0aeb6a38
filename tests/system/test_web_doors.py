"""Who the page lets in, and what every answer of it carries; over plain HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest
import uvicorn

from recvault.domain.access import Grant, Role
from recvault.interfaces.http.app import create_app
from recvault.interfaces.http.identity import COOKIE
from recvault.interfaces.web.reading import mail_text
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.serving import Served, problem_of, serve

PASSWORD = "pitka ja rauhallinen 7"
NAMES = {"name": "maija", "password": PASSWORD}


@pytest.fixture(scope="module")
def world() -> World:
    world = make_world()
    world.archive.accounts.add_user(
        "maija", display_name="Maija", password=PASSWORD, grants=(Grant(role=Role.VERIFIER),), by="system:test"
    )
    return world


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """A browser of its own, signed in."""
    own = f"http://127.0.0.1:{served.port}"
    with httpx.Client(base_url=own, headers={"Origin": own}) as client:
        assert client.post("/sign-in", data=NAMES).status_code == 303
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "archive.example"},
        {"Host": "127.0.0.1.attacker.example:8470"},
        {"Host": ""},
    ],
)
@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/style.css", "/destructions"])
def test_what_came_through_a_proxy_or_by_another_name_is_refused(
    client: httpx.Client, headers: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 403
    assert "vain arkiston omalla koneella" in answer.text and "SSH" in answer.text


@contextmanager
def listening_to(world: World, host: str) -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind((host, 0))
        server = uvicorn.Server(uvicorn.Config(create_app(world.archive), log_config=None))
        thread = Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            thread.join(0.01)
        yield int(bound.getsockname()[1])
        server.should_exit = True
        thread.join(10)


def test_another_machine_is_refused_even_when_the_server_listens(world: World) -> None:
    mine = own_address()
    with listening_to(world, "0.0.0.0") as port:
        answer = httpx.get(f"http://{mine}:{port}/sign-in", headers={"Host": "localhost"})
        assert answer.status_code == 403
        assert httpx.get(f"http://127.0.0.1:{port}/sign-in").status_code == 200


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def test_the_page_can_be_switched_off() -> None:
    parts = memory_parts()
    parts.config = configuration(SERVER__WEB_ENABLED="false")
    with serve(make_world(parts=parts).archive) as server:
        assert problem_of(server.client.get("/"))["status"] == 404
        assert server.client.get("/sign-in").status_code == 404


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/page.js", "/communications/none", "/destructions"])
def test_every_answer_carries_its_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["x-frame-options"] == "DENY" and headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert path.startswith("/static/") or headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_style_or_script(client: httpx.Client) -> None:
    for path in ("/", "/sign-in", "/destructions"):
        body = client.get(path).text
        assert "style=" not in body and "<style" not in body and "<script>" not in body and " on" + "click" not in body


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
@pytest.mark.parametrize("path", ["/search", "/sign-out", "/sign-in", "/holds/x/release"])
def test_another_sites_form_does_nothing(client: httpx.Client, headers: dict[str, str], path: str) -> None:
    assert client.post(path, data={"purpose": "verification", **NAMES}, headers=headers).status_code == 403
    assert client.get("/").status_code == 200


def test_the_session_is_the_cookies_alone_and_ends(client: httpx.Client, served: Served) -> None:
    secret = client.cookies[COOKIE]
    assert secret not in client.get("/").text
    assert client.post("/sign-out", data={}).headers["location"] == "/sign-in"
    again = httpx.get(f"http://127.0.0.1:{served.port}/", headers={"Cookie": f"{COOKIE}={secret}"})
    assert again.status_code == 303 and again.headers["location"] == "/sign-in?ended=1"


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/communications/../x", "/holds\r\nX: y"])
def test_signing_in_leads_nowhere_else(served: Served, onward: str) -> None:
    origin = {"Origin": f"http://127.0.0.1:{served.port}"}
    answer = served.client.post("/sign-in", data={**NAMES, "next": onward}, headers=origin)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"purpose": "verification"}', "application/json"),
        (b"purpose=verification&customer=" + b"a" * 40_000, "application/x-www-form-urlencoded"),
        (b"purpose=verification&customer=%ff%fe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(100)), "application/x-www-form-urlencoded"),
        (b"purpose=authority", "application/x-www-form-urlencoded"),
        (b"purpose=verification&cursor=!!", "application/x-www-form-urlencoded"),
        (b"purpose=verification&day_from=9999-12-31", "application/x-www-form-urlencoded"),
        (b"purpose=verification&day_until=0001-01-01", "application/x-www-form-urlencoded"),
    ],
)
def test_odd_forms_get_a_calm_page(client: httpx.Client, body: bytes, kind: str) -> None:
    answer = client.post("/search", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (413, 422) and answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text


def test_control_characters_and_long_words_find_nothing(client: httpx.Client) -> None:
    for customer in ("\x00", "a\x00b", "x" * 5000, "%_%", "'; drop table customers"):
        answer = client.post("/search", data={"purpose": "verification", "customer": customer})
        assert answer.status_code == 200


def test_what_is_not_there_is_a_page(client: httpx.Client) -> None:
    answer = client.get("/communications/01a20320-a200-7bb6-a9f4-63ee8705b636")
    assert answer.status_code == 404 and "Tällaista yhteydenottoa ei ole." in answer.text
    assert client.get("/static/../routes.py").status_code == 404
    assert client.get("/destructions").status_code == 403


def test_an_email_without_bottom_is_shown_as_it_came() -> None:
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(4000))
    assert mail_text(nested).body.startswith("Content-Type: multipart/mixed")
    assert mail_text(b"Content-Type: text/plain; charset=klingon\n\nHei \xc3\xa4").body == "Hei \u00e4"
    assert mail_text(b"Content-Type: text/html\n\n<p>Hei</p>").only_markup
