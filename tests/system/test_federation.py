"""Signing in at real issuers of OpenID Connect, step by step over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.accounts import User
from recvault.domain.audit import Act, Entry
from recvault.domain.sessions import Method
from recvault.interfaces.http.identity import COOKIE
from tests.servers.oidc_provider import Provider
from tests.servers.run import free_ports
from tests.support.archives import World, eventually
from tests.support.federation import Browser, federated_world, issuer_table, onward, query_of
from tests.support.serving import Served, serve

DESK = "http://127.0.0.1:8470"
GROUPS = """
scopes = ["openid", "profile", "email", "groups"]
required_group = "staff"
create = true
second_factor_amr = ["mfa"]
second_factor_acr = ["phr"]
entrusted_roles = ["trainer", "verifier"]
grants = [
    { group = "qa", role = "trainer", scope = "teams" },
    { group = "desk", role = "verifier", scope = "queues", values = ["laskutus"] },
    { group = "audit", role = "auditor" },
]
teams = { "team-north" = "north", "team-south" = "south" }
"""
PARTNERS = """
scopes = ["openid", "profile", "groups"]
userinfo = true
entrusted_roles = ["verifier"]
grants = [{ group = "desk", role = "verifier" }]
"""


@dataclass
class Place:
    """The archive, its server, and the issuers."""

    world: World
    served: Served
    provider: Provider
    clients: dict[str, dict[str, Any]]

    def user(self, name: str) -> User:
        return self.world.archive.accounts.user_named(name)

    def acts(self, act: Act) -> list[Entry]:
        self.world.archive.audit.sequence()
        with self.world.archive.database.read() as unit:
            return [one.entry for one in unit.audit.read(0, 1000) if one.entry.act is act]


@pytest.fixture(scope="module")
def place(oidc_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("federation")
    port = free_ports(1)
    clients = {
        "company": oidc_provider.register(
            oidc_provider.first,
            redirect_uris=[f"{DESK}/sign-in/oidc/company/callback"],
            post_logout_redirect_uris=[f"{DESK}/sign-in"],
            id_token_signed_response_alg="ES256",
            backchannel_logout_uri=f"http://127.0.0.1:{port}/sign-in/oidc/company/back-channel",
            backchannel_logout_session_required=True,
        ),
        "partners": oidc_provider.register(
            oidc_provider.second,
            redirect_uris=[f"{DESK}/sign-in/oidc/partners/callback"],
            id_token_signed_response_alg="EdDSA",
            token_endpoint_auth_method="client_secret_post",
        ),
    }
    tables = [
        issuer_table(
            directory,
            name=name,
            issuer=issuer,
            client_id=client["client_id"],
            secret=client["client_secret"],
            more=more,
        )
        for (name, client), issuer, more in zip(
            clients.items(), (oidc_provider.first, oidc_provider.second), (GROUPS, PARTNERS), strict=True
        )
    ]
    tables.append(issuer_table(directory, name="away", issuer="http://127.0.0.1:1", client_id="recvault"))
    world = federated_world(directory, "\n".join(tables))
    with world.archive, serve(world.archive, port) as served:
        yield Place(world=world, served=served, provider=oidc_provider, clients=clients)


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    place.world.clock.set(datetime.now(UTC))
    browser = Browser(place.served)
    yield browser
    browser.close()


def methods(place: Place, browser: Browser) -> frozenset[Method]:
    return place.world.archive.sessions.half_open(browser.archive.cookies[COOKIE]).session.methods


def test_the_sign_in_page_has_a_button_for_each_issuer(place: Place, browser: Browser) -> None:
    page = browser.archive.get("/sign-in").text
    assert re.findall(r'action="/sign-in/oidc/(\w+)"', page) == ["company", "partners", "away"]
    assert "Account of company" in page and 'name="password"' in page


def test_who_comes_first_gets_an_account_with_the_roles_of_the_groups(place: Place, browser: Browser) -> None:
    address = browser.start("company")
    asked = query_of(address)
    assert asked["code_challenge_method"] == "S256" and asked["redirect_uri"].startswith(DESK)
    assert {"state", "nonce", "code_challenge"} < set(asked) and asked["response_type"] == "code"
    cookie = browser.archive.cookies["recvault_issuer"]
    assert cookie not in address
    groups = ["staff", "qa", "desk", "team-north", "of no meaning here"]
    back = browser.way_back(address, "maija", group=groups, amr=["pwd", "mfa"], name="Maija Meikäläinen")
    assert query_of(back)["iss"] == place.provider.first
    page = browser.come_back(back)
    assert page.status_code == 200 and onward(page) == "/"
    assert "recvault_issuer" not in browser.archive.cookies
    assert 'class="bar-user"' in browser.archive.get("/").text
    user = place.user("maija")
    assert user.display_name == "Maija Meikäläinen" and user.password_hash is None
    assert {(grant.role, grant.scope) for grant in user.grants} == {
        (Role.TRAINER, Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"}))),
        (Role.VERIFIER, Scope(kind=ScopeKind.QUEUES, values=frozenset({"laskutus"}))),
    }
    assert {grant.origin for grant in user.grants} == {"oidc:company"}
    assert all(grant.valid_until is not None for grant in user.grants)
    assert methods(place, browser) == {Method.FEDERATED, Method.FEDERATED_MFA}
    (entry,) = [one for one in place.acts(Act.SIGNED_IN) if one.actor == user.id]
    assert entry.detail == {"by": "oidc:company", "several_factors": True}


def test_without_several_factors_there_the_archive_asks_for_one(place: Place, browser: Browser) -> None:
    page = browser.sign_in("company", "otto", group=["staff", "desk"], amr=["pwd"])
    assert onward(page) == "/second-factor"
    assert methods(place, browser) == {Method.FEDERATED}
    assert browser.archive.get("/").headers["location"].startswith("/second-factor")


def test_an_acr_that_is_believed_counts_as_several_factors(place: Place, browser: Browser) -> None:
    assert query_of(browser.start("company"))["acr_values"] == "phr"
    page = browser.sign_in("company", "aino", group=["staff", "desk"], acr="phr")
    assert onward(page) == "/" and Method.FEDERATED_MFA in methods(place, browser)


def test_a_group_that_is_gone_takes_its_role_and_every_session(place: Place, browser: Browser) -> None:
    browser.sign_in("company", "teemu", group=["staff", "desk", "audit"], amr=["mfa"])
    user = place.user("teemu")
    here = Grant(role=Role.APPROVER)
    place.world.archive.accounts.set_grants("teemu", (here,), by="system:test")
    assert {grant.role for grant in place.user("teemu").grants} == {Role.VERIFIER, Role.AUDITOR, Role.APPROVER}
    browser.archive.cookies.clear()
    browser.sign_in("company", "teemu")  # the issuer still knows the browser
    first = browser.archive.cookies[COOKIE]
    again = Browser(place.served)
    page = again.sign_in("company", "teemu", group=["staff", "audit"], amr=["mfa"])
    assert onward(page) == "/"
    assert {(grant.role, grant.origin) for grant in place.user("teemu").grants} == {
        (Role.AUDITOR, "oidc:company"),
        (Role.APPROVER, None),
    }
    assert browser.archive.cookies[COOKIE] == first
    assert browser.archive.get("/").headers["location"].startswith("/sign-in")
    given = [one.detail["roles"] for one in place.acts(Act.ROLE_GRANTED) if one.target == user.id]
    assert ["auditor", "verifier"] in given and ["auditor"] in given
    again.close()


def test_who_is_not_of_the_required_group_any_more_loses_all_and_stays_out(place: Place, browser: Browser) -> None:
    browser.sign_in("company", "laura", group=["staff", "desk"], amr=["mfa"])
    again = Browser(place.served)
    page = again.sign_in("company", "laura", group=["desk"], amr=["mfa"])
    assert page.status_code == 403 and COOKIE not in again.archive.cookies
    assert place.user("laura").grants == ()
    assert browser.archive.get("/").headers["location"].startswith("/sign-in")
    user = place.user("laura")
    (refused,) = [one for one in place.acts(Act.SIGN_IN_FAILED) if one.target == user.id]
    assert refused.detail == {"by": "oidc:company", "reason": "not-admitted"}
    again.close()


def test_without_any_role_nobody_gets_an_account(place: Place, browser: Browser) -> None:
    page = browser.sign_in("company", "olli", group=["staff"])
    assert page.status_code == 403 and "Yksikään ryhmistäsi" in page.text
    assert "olli" not in {user.name for user in place.world.archive.accounts.users()}


def test_a_name_that_is_taken_is_not_handed_over(place: Place, browser: Browser) -> None:
    place.world.archive.accounts.add_user(
        "heikki", display_name="Heikki", password=None, grants=(Grant(role=Role.VERIFIER),), by="system:test"
    )
    page = browser.sign_in("company", "stranger", username="heikki", group=["staff", "desk"], amr=["mfa"])
    assert page.status_code == 403 and COOKIE not in browser.archive.cookies
    assert {grant.origin for grant in place.user("heikki").grants} == {None}


def test_a_second_issuer_with_claims_at_userinfo_needs_an_administrator_to_link(place: Place, browser: Browser) -> None:
    page = browser.sign_in("partners", "emma", group=["desk"])
    code = re.search(r"<code>([0-9a-f-]{71})</code>", page.text)
    assert page.status_code == 403 and code is not None
    archive = place.world.archive
    archive.accounts.add_user("emma", display_name="Emma", password=None, grants=(), by="system:test")
    archive.federation.link("emma", "partners", code[1], by="system:test")
    assert onward(browser.sign_in("partners", "emma")) == "/second-factor"
    assert {(grant.role, grant.origin) for grant in place.user("emma").grants} == {(Role.VERIFIER, "oidc:partners")}
    archive.federation.unlink("emma", "partners", by="system:test")
    assert place.user("emma").grants == ()
    assert browser.sign_in("partners", "emma").status_code == 403


def test_the_same_name_at_another_issuer_is_another_person(place: Place, browser: Browser) -> None:
    browser.sign_in("company", "sanna", group=["staff", "desk"], amr=["mfa"])
    page = browser.sign_in("partners", "sanna", group=["desk"])
    assert page.status_code == 403 and "<code>" in page.text


def test_an_answer_counts_once(place: Place, browser: Browser) -> None:
    cookie = browser.start("company")
    secret = browser.archive.cookies["recvault_issuer"]
    back = browser.way_back(cookie, "pekka", group=["staff", "desk"], amr=["mfa"])
    assert browser.come_back(back).status_code == 200
    browser.archive.cookies.set("recvault_issuer", secret)
    assert browser.come_back(back).status_code == 403


def test_a_code_that_was_used_is_refused_by_the_issuer(place: Place, browser: Browser) -> None:
    first = browser.way_back(browser.start("company"), "pirkko", group=["staff", "desk"], amr=["mfa"])
    assert browser.come_back(first).status_code == 200
    second = query_of(browser.way_back(browser.start("company"), "pirkko"))
    replayed = httpx.URL(first).copy_set_param("state", second["state"])
    page = browser.come_back(str(replayed))
    assert page.status_code == 403 and "ei voi luottaa" in page.text


def test_another_browser_cannot_be_signed_in_by_an_answer(place: Place, browser: Browser) -> None:
    """Login CSRF: the attacker's own answer in the victim's browser."""
    back = browser.way_back(browser.start("company"), "mallory", group=["staff", "desk"], amr=["mfa"])
    victim = Browser(place.served)
    assert victim.come_back(back).status_code == 403
    victim.start("company")
    assert victim.come_back(back).status_code == 403 and COOKIE not in victim.archive.cookies
    victim.close()


def test_a_state_that_nobody_gave_or_of_another_issuer_is_refused(place: Place, browser: Browser) -> None:
    back = httpx.URL(browser.way_back(browser.start("company"), "ville", group=["staff", "desk"], amr=["mfa"]))
    forged = back.copy_set_param("state", "A" * 43)
    assert browser.come_back(str(forged)).status_code == 403
    browser.archive.cookies.clear()
    back = httpx.URL(browser.way_back(browser.start("company"), "ville"))
    elsewhere = str(back).replace("/oidc/company/", "/oidc/partners/")
    secret = browser.archive.cookies["recvault_issuer"]
    assert browser.come_back(elsewhere).status_code == 403
    browser.archive.cookies.set("recvault_issuer", secret)
    unverified = {"by": "oidc:company", "reason": "not-verified"}
    before = [one.detail for one in place.acts(Act.SIGN_IN_FAILED)].count(unverified)
    mixed_up = back.copy_set_param("iss", place.provider.second)
    assert browser.come_back(str(mixed_up)).status_code == 403
    assert [one.detail for one in place.acts(Act.SIGN_IN_FAILED)].count(unverified) == before + 1


def test_too_late_is_too_late(place: Place, browser: Browser) -> None:
    back = browser.way_back(browser.start("company"), "pekka", group=["staff", "desk"], amr=["mfa"])
    place.world.later(minutes=11)
    page = browser.come_back(back)
    assert page.status_code == 403 and "Aloita alusta" in page.text


def test_who_turns_back_at_the_issuer_reads_a_calm_page(place: Place, browser: Browser) -> None:
    page = browser.sign_in("company", "pekka", refuse="yes")
    assert page.status_code == 403 and "ei päästänyt" in page.text
    assert "access_denied" not in page.text


def test_signing_out_offers_the_issuer_too(place: Place, browser: Browser) -> None:
    browser.sign_in("company", "maija2", group=["staff", "desk"], amr=["mfa"])
    secret = browser.archive.cookies[COOKIE]
    page = browser.archive.post("/sign-out")
    link = re.search(r'href="(http[^"]+/session/end[^"]+)"', page.text)
    assert page.status_code == 200 and link is not None
    assert query_of(link[1].replace("&amp;", "&")) == {
        "client_id": place.clients["company"]["client_id"],
        "post_logout_redirect_uri": f"{DESK}/sign-in",
    }
    assert COOKIE not in browser.archive.cookies
    browser.archive.cookies.set(COOKIE, secret)
    assert browser.archive.get("/").headers["location"].startswith("/sign-in")


def test_a_browser_that_the_issuer_knows_proves_nothing_anew(place: Place, browser: Browser) -> None:
    """Signing in once more without typing anything is no recent proof; the issuer is made to ask."""
    browser.sign_in("company", "tiina", group=["staff", "desk"], amr=["mfa"])
    sessions = place.world.archive.sessions

    def proved_at() -> datetime:
        moment = sessions.half_open(browser.archive.cookies[COOKIE]).session.proved_at
        assert moment is not None
        return moment

    first = proved_at()
    place.world.clock.advance(timedelta(seconds=50))  # as long as the issuer's clock and ours may differ
    browser.sign_in("company", "tiina")
    assert abs(proved_at() - first) < timedelta(seconds=3)  # the issuer tells whole seconds
    page = browser.archive.get("/prove")
    assert 'action="/sign-in/oidc/company"' in page.text and 'name="again"' in page.text
    address = browser.start("company", again=True)
    assert query_of(address)["prompt"] == "login"
    assert "/interaction/" in browser.issuer.get(address).headers["location"]
    place.world.clock.set(datetime.now(UTC) + timedelta(seconds=1))
    page = browser.come_back(browser.way_back(browser.start("company", again=True), "tiina", group=["staff", "desk"]))
    assert onward(page) == "/second-factor" and proved_at() >= first


def test_the_issuer_ends_our_session_when_it_ends_its_own(place: Place, browser: Browser) -> None:
    """Back-Channel Logout 1.0, by the issuer itself."""
    assert onward(browser.sign_in("company", "sami", group=["staff", "desk"], amr=["mfa"])) == "/"
    other = Browser(place.served)
    other.sign_in("company", "sami", group=["staff", "desk"], amr=["mfa"])
    question = browser.issuer.get(f"{place.provider.first}/session/end")
    token = re.search(r'name="xsrf" value="(\w+)"', question.text)
    assert token is not None
    target = f"{place.provider.first}/session/end/confirm"
    browser.issuer.post(target, data={"xsrf": token[1], "logout": "yes"})
    eventually(lambda: browser.archive.get("/").headers.get("location", "").startswith("/sign-in"))
    assert other.archive.get("/").status_code == 200
    assert [one.actor for one in place.acts(Act.SIGNED_OUT)].count("oidc:company") == 1
    other.close()


def test_nobody_else_ends_sessions(place: Place, browser: Browser) -> None:
    place_ = "/sign-in/oidc/company/back-channel"
    for form in ({"logout_token": "a.b.c"}, {"logout_token": ""}, {"x": "y"}):
        answer = browser.archive.post(place_, data=form)
        assert answer.status_code == 400 and answer.json() == {"error": "invalid_request"}
        assert answer.headers["cache-control"] == "no-store"


def test_an_issuer_that_is_away_is_a_calm_page(place: Place, browser: Browser) -> None:
    assert browser.archive.post("/sign-in/oidc/nobody", data={"next": ""}).status_code == 404
    page = browser.archive.post("/sign-in/oidc/away", data={"next": ""})
    assert page.status_code == 503 and "Kirjautumispalvelu ei vastaa" in page.text and page.headers["retry-after"]
    page = browser.archive.post("/sign-in/oidc/away", data={"next": ""}, headers={"Cookie": "lang=en"})
    assert "The sign-in service does not answer" in page.text
    assert set(place.world.archive.federation.check()) == {"away"}


def test_a_form_of_another_site_begins_nothing(place: Place, browser: Browser) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    answer = browser.archive.post("/sign-in/oidc/company", data={"next": ""}, headers=headers)
    assert answer.status_code == 403 and "recvault_issuer" not in browser.archive.cookies


def test_a_closed_account_stays_closed(place: Place, browser: Browser) -> None:
    browser.sign_in("company", "lahtija", group=["staff", "desk"], amr=["mfa"])
    place.world.archive.accounts.disable("lahtija", by="system:test")
    assert browser.archive.get("/").headers["location"].startswith("/sign-in")
    page = browser.sign_in("company", "lahtija", group=["staff", "desk"], amr=["mfa"])
    assert page.status_code == 403 and place.user("lahtija").grants == ()
