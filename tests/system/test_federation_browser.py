"""Signing in at an issuer on another site in a real Chromium: redirects, cookies of SameSite, Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.servers.oidc_provider import Provider
from tests.servers.run import free_ports
from tests.support.federation import federated_world, issuer_table
from tests.support.serving import serve

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RULES = """
create = true
scopes = ["openid", "profile", "groups"]
second_factor_amr = ["mfa"]
entrusted_roles = ["verifier"]
grants = [{ group = "desk", role = "verifier" }]
"""


@pytest.fixture
def desk(oidc_provider: Provider, tmp_path: Path) -> Iterator[str]:
    """The archive at localhost; the issuer is at 127.0.0.1, which is another site."""
    port = free_ports(1)
    base = f"http://localhost:{port}"
    client = oidc_provider.register(
        oidc_provider.first,
        redirect_uris=[f"{base}/sign-in/oidc/company/callback"],
        post_logout_redirect_uris=[f"{base}/sign-in"],
    )
    table = issuer_table(
        tmp_path,
        name="company",
        issuer=oidc_provider.first,
        client_id=client["client_id"],
        secret=client["client_secret"],
        more=RULES,
    )
    text = f'[access]\nlocal_sign_in = "break-glass"\n[mail]\npublic_url = "{base}"\n{table}'
    with federated_world(tmp_path, text).archive as archive, serve(archive, port):
        yield base


def test_in_by_the_issuer_and_out_again_in_both_places(desk: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    context.set_default_timeout(120_000)
    page = context.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text) if "policy" in message.text.lower() else None)
    page.goto(f"{desk}/sign-in?lang=en")
    assert not page.locator("[name=password]").is_visible()
    page.click("text=Account of company")
    page.wait_for_url("**/interaction/**")
    page.fill("[name=account]", "chromium")
    page.click("button")
    page.wait_for_url(f"{desk}/")
    assert "chromium" in page.inner_text("header")
    cookies = {cookie["name"]: cookie for cookie in context.cookies(desk)}
    assert cookies["recvault_session"]["sameSite"] == "Strict" and cookies["recvault_session"]["httpOnly"]
    assert "recvault_issuer" not in cookies
    page.click("text=Sign out")
    page.click("text=Sign out there too")
    page.click("[name=logout]")
    page.wait_for_url(f"{desk}/sign-in")
    page.click("text=Account of company")
    page.wait_for_url("**/interaction/**")  # the issuer asks again
    assert blocked == []
    context.close()
