"""The plain page in a real Chromium: signing in, searching."""

from __future__ import annotations

import pytest

from tests.support.browsing import Visit, search, sign_in, text
from tests.support.desk import PASSWORD, Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


# --- signing in


def test_signing_in_and_out(visit: Visit, base: str) -> None:
    page = visit("maija").page
    assert page.inner_text("h1") == "Hae yhteydenottoja"
    (session,) = [c for c in page.context.cookies() if c["name"] == "recvault_session"]
    assert session["httpOnly"] and session["sameSite"] == "Strict"
    page.click("text=Kirjaudu ulos")
    page.goto(f"{base}/")
    assert page.url == f"{base}/sign-in"


def test_a_wrong_password_is_told_and_lets_nobody_in(visit: Visit, base: str) -> None:
    watched = visit()
    watched.expected = ["401"]
    sign_in(watched.page, base, "maija", "väärä salasana")
    assert "Nimi tai salasana on väärä." in text(watched.page)
    assert watched.page.input_value("[name=password]") == ""
    watched.page.goto(f"{base}/holds")
    assert watched.page.url.startswith(f"{base}/sign-in")


def test_signing_in_leads_to_the_page_of_a_link(visit: Visit, base: str, made: Desk) -> None:
    page = visit().page
    address = f"{base}/communications/{made.ids['call']}"
    page.goto(address)
    page.fill("[name=name]", "maija")
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url(address)


def test_a_link_in_another_sites_page_finds_the_session(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    address = f"{base}/communications/{made.ids['call']}"
    page.goto("data:text/html,<a href='" + address + "'>x</a>")
    page.click("a")
    page.wait_for_selector("#facts")
    assert page.url == address


def test_a_session_that_ended_says_so(visit: Visit, base: str) -> None:
    page = visit("maija").page
    page.context.add_cookies([{"name": "recvault_session", "value": "rvw_old", "url": base}])
    page.goto(f"{base}/holds")
    assert "Istunto on päättynyt" in text(page)


# --- searching


def test_search_by_customer_and_page_on(visit: Visit, made: Desk) -> None:
    page = visit("maija").page
    search(page)
    assert page.locator("table.results tbody tr").count() == 25
    with page.expect_navigation():
        page.click("text=Näytä vanhempia")
    assert page.locator("table.results tbody tr").count() == len(made.ids) - 25
    for box in ("Virtanen", "1001", "040 1234501", "+358401234501"):
        search(page, customer=box)
        customers = page.locator("table.results tbody td:nth-child(3)").all_inner_texts()
        assert customers and all("Virtanen Oy" in one for one in customers), box
    search(page, customer="tilaukset@koivumaki.example")
    assert page.locator("table.results tbody tr").count() == 1
    search(page, customer="2345678-5", channel="sms")
    assert page.locator("table.results tbody tr").count() == 1
    assert "?" not in page.url and "koivum" not in page.url


def test_a_name_that_fits_several_is_chosen_from(visit: Visit) -> None:
    page = visit("maija").page
    search(page, customer="kallion")
    with page.expect_navigation():
        page.click("text=Kallion Konepaja Oy")
    customers = page.locator("table.results tbody td:nth-child(3)").all_inner_texts()
    assert customers and all("Kallion Konepaja Oy" in one for one in customers)


def test_what_is_not_there_and_what_is_not_understood(visit: Visit) -> None:
    watched = visit("maija")
    search(watched.page, customer="ei sellaista")
    assert "Rekisterissä ei ole" in text(watched.page)
    watched.expected = ["422"]
    watched.page.evaluate("document.querySelector('[name=day_from]').type = 'text'")
    search(watched.page, customer="", day_from="eilen")
    assert "Päivä kirjoitetaan muodossa 22.11.2026." in text(watched.page)


def test_days_are_the_archives_days(visit: Visit) -> None:
    page = visit("maija").page
    search(page, day_from="2026-11-22", day_until="2026-11-22")
    times = page.locator("table.results tbody td:first-child").all_inner_texts()
    assert times and all(one.startswith("22.11.2026") for one in times)


def test_what_needs_attention_says_why(visit: Visit) -> None:
    page = visit("maija").page
    page.click("summary:has-text('Lisää rajauksia')")
    page.check("[name=attention]")
    search(page)
    shown = text(page)
    assert "vaatii huomiota" in shown and "asiakasta ei löytynyt" in shown and "henkilötunnus on peitetty" in shown


def test_from_the_results_and_back(visit: Visit, base: str) -> None:
    page = visit("maija").page
    search(page, customer="1003")
    with page.expect_navigation():
        page.locator("table.results button.link").first.click()
    assert "Kallion Kahvila Ky" in text(page)
    with page.expect_navigation():
        page.click("text=Takaisin hakutuloksiin")
    assert page.inner_text("#results") == "Hakutulokset: Kallion Kahvila Ky"
