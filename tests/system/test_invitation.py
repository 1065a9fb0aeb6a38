"""An invitation in the browser: the secret of its link goes into the form and nowhere else."""

from __future__ import annotations

import httpx
import pytest

from recvault.domain.access import Grant, Role
from tests.support.browsing import Visit, Watched, sign_in, text
from tests.support.desk import Desk

pytestmark = pytest.mark.browser

FIRST, SECOND = "aurinkoinen ja tyyni 1", "  sateinen ja tuulinen 2"


def invited(made: Desk, name: str) -> str:
    """The secret of a new invitation of a new person."""
    archive = made.world.archive
    if name not in {user.name for user in archive.accounts.users()}:
        archive.accounts.add_user(
            name, display_name=name.title(), password=None, grants=(Grant(role=Role.VERIFIER),), by="system:test"
        )
    link = archive.invitations.invite(name, by="system:operator").link
    assert link is not None
    return link.partition("#")[2]


def fill(watched: Watched, password: str, again: str | None = None) -> None:
    watched.page.fill("[name=password]", password)
    watched.page.fill("[name=password_again]", password if again is None else again)
    with watched.page.expect_navigation():
        watched.page.click("main button.main")


def test_a_new_person_sets_a_password_and_signs_in(made: Desk, base: str, visit: Visit) -> None:
    secret = invited(made, "uusi")
    watched = visit()
    watched.page.goto(f"{base}/invitation#{secret}")
    assert watched.page.url == f"{base}/invitation" and watched.page.input_value("[name=secret]") == secret
    assert not watched.page.is_visible("[name=secret]") and "Aseta salasana" in text(watched.page)
    watched.page.click("a[hreflang=en]")
    assert "Set your password" in text(watched.page) and watched.page.input_value("[name=secret]") == secret
    watched.page.click("a[hreflang=fi]")
    watched.expected = ["422"]
    fill(watched, FIRST, SECOND)
    assert "Salasanat eivät ole samat" in text(watched.page) and not watched.page.is_visible("[name=secret]")
    fill(watched, SECOND)
    assert watched.page.url == f"{base}/sign-in?set=1" and "Salasana on asetettu" in text(watched.page)
    assert all(secret not in answer.url for answer in watched.answers)
    sign_in(watched.page, base, "uusi", SECOND)
    assert watched.page.url == f"{base}/"


def test_a_link_works_once(made: Desk, base: str, visit: Visit) -> None:
    secret = invited(made, "kerran")
    first, watched = visit(), visit()
    for one in (first, watched):
        one.page.goto(f"{base}/invitation#{secret}")
        one.expected = ["401"]
        fill(one, FIRST)
    assert "Salasana on asetettu" in text(first.page) and "Linkki on käytetty" in text(watched.page)
    assert watched.page.input_value("[name=secret]") == "" and watched.page.is_visible("[name=secret]")


def test_without_a_script_the_code_is_typed(made: Desk, base: str, visit: Visit) -> None:
    secret = invited(made, "ilman")
    watched = visit(javascript=False, narrow=True)
    watched.page.goto(f"{base}/invitation")
    watched.page.fill("[name=secret]", secret)
    fill(watched, FIRST)
    assert watched.page.url == f"{base}/sign-in?set=1"


def test_what_other_sites_and_odd_forms_send_is_refused(made: Desk, base: str) -> None:
    secret = invited(made, "toisaalta")
    form = {"secret": secret, "password": FIRST, "password_again": FIRST}
    with httpx.Client(base_url=base, headers={"Origin": base}) as client:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/invitation", data=form, headers=foreign).status_code == 403
        assert client.post("/invitation", json=form).status_code == 422
        assert client.post("/invitation", data=form | {"password": "x", "password_again": "x"}).status_code == 422
        assert client.post("/invitation", data=form | {"secret": "rvi_x"}).status_code == 401
        assert client.post("/invitation", data={"secret": ""}).status_code == 401
        assert client.get("/invitation", headers={"Via": "1.1 proxy"}).status_code == 403
        assert client.post("/invitation", data=form).status_code == 303
