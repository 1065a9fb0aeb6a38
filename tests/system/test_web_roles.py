"""The plain page in a real Chromium: what each role sees; holds, do-not-keep, certificates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recvault.domain.access import Role
from tests.support.browsing import Visit, open_content, search, text, wait
from tests.support.desk import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


# --- roles


def test_a_trainer_does_not_learn_who_called(visit: Visit, base: str, made: Desk) -> None:
    page = visit("teemu").page
    assert page.locator("[name=customer]").count() == 0
    search(page)
    assert "Virtanen" not in page.content() and "peitetty" in text(page)
    with page.expect_navigation():
        page.locator("table.results button.link").first.click()
    open_content(page, reason=None)
    wait(page, "audio => audio.duration > 1")
    assert not re.search(r"Virtanen|40 ?123", page.content())


def test_a_trainer_cannot_find_by_customer_either(visit: Visit) -> None:
    watched = visit("teemu")
    watched.expected = ["422"]
    watched.page.evaluate(
        """() => { const box = document.createElement('input'); box.name = 'customer'; box.value = '1001';
        document.querySelector('form.search').append(box) }"""
    )
    search(watched.page)
    assert "Asiakkaat on peitetty kouluttajilta" in text(watched.page)


def test_a_team_lead_sees_the_own_queue_for_two_purposes(visit: Visit) -> None:
    page = visit("laura").page
    search(page, purpose="verification")
    assert "Virtanen Oy" in text(page) and "toimitus" not in text(page)
    search(page, purpose="training")
    assert "Virtanen Oy" not in text(page) and "peitetty" in text(page)


def test_an_auditor_sees_the_certificate_and_no_content(visit: Visit, base: str, made: Desk) -> None:
    watched = visit("aino")
    page = watched.page
    assert page.inner_text("h1") == "Tuhoamiset"
    with page.expect_navigation():
        page.locator("td.lead a").last.click()
    shown = text(page)
    assert shown.count("Allekirjoitus on oikea") == 2 and "ei tuo sitä takaisin, olipa se kuinka vanha tahansa" in shown
    with page.expect_download() as download:
        page.locator("text=Lataa todistus").first.click()
    assert '"payloadType"' in Path(download.value.path()).read_text()
    watched.expected = ["403"]
    page.goto(f"{base}/communications/{made.ids['call']}")
    assert "Ei käyttöoikeutta" in text(page) and page.locator("audio").count() == 0


def test_who_has_no_role_is_told_so(visit: Visit) -> None:
    assert "Sinulla ei ole voimassa olevaa roolia" in text(visit("olli").page)


# --- holds, do-not-keep, destructions


def test_a_hold_is_placed_and_released(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.ids['alaw']}")
    page.click("summary:has-text('Aseta tuhoamiskielto')")
    page.fill("form[action$='/hold'] [name=reason]", "Kuluttajariita")
    with page.expect_navigation():
        page.click("form[action$='/hold'] button.main")
    assert "mutta ei ennen tuhoamiskiellon purkamista" in text(page)
    page.goto(f"{base}/holds")
    assert "Kuluttajariita" in text(page) and "Maija Meriläinen" in text(page)
    page.click("summary:has-text('Ehdota purkamista')")
    page.fill("[name=release_reason]", "Riita on sovittu")
    with page.expect_navigation():
        page.click("main button:text-is('Ehdota')")
    assert "purkamista ehdotettu" in text(page)
    assert not page.query_selector("main form[action$='/release']")
    page.goto(f"{base}/approvals")
    assert "Riita on sovittu" in text(page) and not page.query_selector("button:text-is('Hyväksy')")

    other = visit("heikki").page
    other.goto(f"{base}/approvals")
    assert "Kuluttajariita" in text(other) and "Maija Meriläinen" in text(other)
    with other.expect_navigation():
        other.click("main button:text-is('Hyväksy')")
    assert "Toteutettu" in text(other) and "Mikään ei odota päätöstä." in text(other)
    page.goto(f"{base}/holds")
    assert "Voimassa olevia tuhoamiskieltoja ei ole." in text(page)


def test_what_is_restricted_is_shown_and_not_opened_and_a_request_is_closed(
    visit: Visit, base: str, made: Desk
) -> None:
    page = visit("maija").page
    where = f"{base}/communications/{made.ids['gsm']}"
    for kind, reason in (("restriction", "Asiakas kiistää tallenteen"), ("request", "Tarkastuspyyntö")):
        page.goto(where)
        page.click("summary:has-text('Aseta tuhoamiskielto')")
        page.select_option("form[action$='/hold'] [name=kind]", kind)
        page.fill("form[action$='/hold'] [name=reason]", reason)
        page.fill("form[action$='/hold'] [name=authority]", "R-7")
        with page.expect_navigation():
            page.click("form[action$='/hold'] button.main")
    assert "Sen käsittelyä on rajoitettu." in text(page) and not page.query_selector("form[action$='/open']")
    page.goto(f"{base}/holds")
    assert "käsittelyn rajoittaminen" in text(page) and "avoin pyyntö" in text(page)
    page.click("summary:has-text('Sulje pyyntö')")
    page.fill("form[action$='/close'] [name=release_reason]", "Vastattu")
    with page.expect_navigation():
        page.click("form[action$='/close'] button")
    assert "avoin pyyntö" not in text(page)
    page.click("summary:has-text('Ehdota rajoituksen poistamista')")
    page.fill("[name=told_on]", "2026-11-20")
    page.fill("form[action$='/release'] [name=release_reason]", "Asia on selvitetty")
    with page.expect_navigation():
        page.click("main button:text-is('Ehdota')")
    approvals = made.world.archive.approvals
    approvals.approve(made.world.actor(Role.APPROVER), approvals.open()[0].id)
    page.goto(where)
    assert page.query_selector("form[action$='/open']")


def test_a_suspension_is_on_every_page(visit: Visit, base: str, made: Desk) -> None:
    suspensions, admin = made.world.archive.suspensions, made.world.actor(Role.ADMINISTRATOR)
    suspensions.suspend(admin, reason="selvitys", days=2)
    page = visit("emma").page
    assert page.inner_text(".banner") == "Automaattinen tuhoaminen on keskeytetty 24.11.2026 klo 14.00 asti."
    suspensions.end(admin)
    page.reload()
    assert not page.query_selector(".banner")


def test_a_hold_over_a_customer_needs_a_day_ahead(visit: Visit, base: str, made: Desk) -> None:
    watched = visit("maija")
    page = watched.page
    page.goto(f"{base}/communications/{made.ids['sms']}")
    page.click("summary:has-text('Aseta tuhoamiskielto')")
    page.fill("form[action$='/hold'] [name=reason]", "Vaatimus")
    page.fill("[name=review_on]", "2026-01-01")
    page.check("[value=customer]")
    watched.expected = ["422"]
    with page.expect_navigation():
        page.click("form[action$='/hold'] button.main")
    assert "Tarkistuspäivän on oltava tulevaisuudessa" in text(page)
    page.fill("[name=review_on]", "2027-01-01")
    page.check("[value=customer]")
    with page.expect_navigation():
        page.click("form[action$='/hold'] button.main")
    page.goto(f"{base}/communications/{made.ids['mail']}")
    assert "Koskee kaikkea, mikä on asiakkaan." in text(page)
    page.click("summary:has-text('Ehdota purkamista')")
    page.fill("[name=release_reason]", "Vaatimus on peruttu")
    with page.expect_navigation():
        page.click("main button:text-is('Ehdota')")
    assert "purkamista ehdotettu" in text(page)
    approvals = made.world.archive.approvals
    approvals.approve(made.world.actor(Role.APPROVER), approvals.open()[0].id)
    page.reload()
    assert "Ei tuhoamiskieltoa." in text(page)


def test_do_not_keep_and_its_undoing(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.ids['sms']}")
    page.click("summary:has-text('Asiakas pyysi')")
    with page.expect_navigation():
        page.click("text=Älä säilytä")
    assert "ei säilytetä" in text(page) and "Tuhotaan 23.11.2026 klo 14.00" in text(page)
    with page.expect_navigation():
        page.click("text=Säilytä sittenkin")
    assert "ei säilytetä" not in text(page) and "Tuhotaan 21.5.2027" in text(page)


def test_what_is_destroyed_shows_its_certificate(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.destroyed['first']}")
    assert page.url == f"{base}/destructions/{made.destroyed['first']}"
    assert "Tuhoaminen valmis" in text(page)
    page.goto(f"{base}/destructions/{made.destroyed['today']}")
    assert "ei vielä" in text(page) and text(page).count("Allekirjoitus on oikea") == 1


def test_whoever_may_not_read_certificates_is_told_it_is_gone(visit: Visit, base: str, made: Desk) -> None:
    watched = visit("emma", language="en")
    watched.expected = ["410"]
    watched.page.goto(f"{base}/communications/{made.destroyed['first']}")
    assert "This communication has been destroyed." in text(watched.page)
