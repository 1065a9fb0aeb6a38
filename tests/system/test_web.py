"""The plain page in a real Chromium, against a real server and an archive on SQLite and a folder.

Every page is watched: an error on the console, a refused resource (Content-Security-Policy) or a request to another host
fails the test that saw it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Response, sync_playwright

from tests.support.desk import HOSTILE, PASSWORD, Desk, chromium_missing, desk, launch
from tests.support.serving import serve

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk")) as made_:
        yield made_


@pytest.fixture(scope="module")
def base(made: Desk) -> Iterator[str]:
    with serve(made.world.archive) as served:
        yield f"http://127.0.0.1:{served.port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if missing := chromium_missing():
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


class Watched:
    """A page, and what it complained of. ``expected`` are faults that a test brings about on purpose."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.expected: list[str] = []
        self.faults: list[str] = []
        self.answers: list[Response] = []
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"a dialog opened: {dialog.message}"))
        page.on("request", self._require_here)
        page.on("response", self._note)

    def _note(self, answer: Response) -> None:
        self.answers.append(answer)

    def _require_here(self, request: Request) -> None:
        if not request.url.startswith(self.base) and not request.url.startswith("data:"):
            self.faults.append(f"a request left for {request.url}")

    def verify(self) -> None:
        """No complaint but the expected ones."""
        assert [fault for fault in self.faults if not any(word in fault for word in self.expected)] == []


Visit = Callable[..., Watched]


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Visit]:
    """Opens a browser of its own, signed in as a person (or as nobody), and looks after it."""
    opened: list[Watched] = []

    def new(who: str | None = None, *, language: str = "fi", narrow: bool = False, javascript: bool = True) -> Watched:
        size = {"width": 360, "height": 740} if narrow else {"width": 1280, "height": 800}
        context = browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            java_script_enabled=javascript,
        )
        context.add_cookies([{"name": "lang", "value": language, "url": base}])
        watched = Watched(context.new_page(), base)
        opened.append(watched)
        if who is not None:
            sign_in(watched.page, base, who)
            assert watched.page.url != f"{base}/sign-in"
        return watched

    yield new
    for watched in opened:
        watched.page.context.close()
    for watched in opened:
        watched.verify()


def sign_in(page: Page, base: str, who: str, password: str = PASSWORD) -> None:
    page.goto(f"{base}/sign-in")
    page.fill("[name=name]", who)
    page.fill("[name=password]", password)
    with page.expect_navigation():
        page.click("main button.main")


def search(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        field = page.locator(f"form.search [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    with page.expect_navigation():
        page.click("form.search button.main")


def open_content(page: Page, reason: str | None = "complaint") -> None:
    if reason is not None:
        page.select_option("[name=reason]", reason)
    with page.expect_navigation():
        page.click("section:has(#content) form button.main")


def text(page: Page) -> str:
    return page.inner_text("main")


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


# --- listening and reading


def test_a_recording_plays_and_seeks(visit: Visit, base: str, made: Desk) -> None:
    watched = visit("maija")
    page = watched.page
    page.goto(f"{base}/communications/{made.ids['long']}")
    open_content(page)
    wait(page, "audio => audio.duration > 599")
    page.focus("audio")
    page.keyboard.press("Space")
    wait(page, "audio => audio.currentTime > 0.5")
    listen(page)
    assert abs(pitch(page, at=30) - 500) < 30
    watched.answers.clear()
    assert abs(pitch(page, at=9 * 60 + 30) - 1400) < 30
    wait(page, "audio => audio.currentTime > 570.5")
    ranges = [a for a in watched.answers if "/v1/playback/" in a.url]
    assert all(answer.status == 206 for answer in ranges)
    page.click("[data-skip='-30']")
    wait(page, "audio => audio.currentTime > 535 && audio.currentTime < 545")


def wait(page: Page, holds: str, seconds: float = 15) -> None:
    """Until a function of the audio element holds. (Playwright's own way needs eval, which the page's policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(f"({holds})(document.querySelector('audio'))"):
        assert time.monotonic() < end, f"not in time: {holds}"
        page.wait_for_timeout(50)


def listen(page: Page) -> None:
    """Puts an analyser behind the sound."""
    page.evaluate(
        """() => { const audio = document.querySelector('audio'); const context = new AudioContext();
        window.analyser = context.createAnalyser(); window.analyser.fftSize = 8192; window.context = context;
        context.createMediaElementSource(audio).connect(window.analyser).connect(context.destination); }"""
    )


def pitch(page: Page, *, at: float) -> float:
    """The strongest frequency (Hz) heard a little after the position."""
    page.evaluate("t => { document.querySelector('audio').currentTime = t }", at)
    wait(page, f"audio => !audio.seeking && audio.currentTime > {at} + 1")
    found = page.evaluate(
        """() => { const bins = new Float32Array(window.analyser.frequencyBinCount);
        window.analyser.getFloatFrequencyData(bins); const top = bins.indexOf(Math.max(...bins));
        return top * window.context.sampleRate / window.analyser.fftSize }"""
    )
    return float(found)


def test_a_law_plays(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.ids['alaw']}")
    open_content(page)
    page.focus("audio")
    page.keyboard.press("Space")
    wait(page, "audio => audio.currentTime > 0.3")


def test_a_role_taken_away_ends_the_listening(visit: Visit, base: str, made: Desk) -> None:
    accounts = made.world.archive.accounts
    watched = visit("emma", language="en")
    page = watched.page
    page.goto(f"{base}/communications/{made.ids['long']}")
    open_content(page)
    wait(page, "audio => audio.duration > 599")
    grants = accounts.user_named("emma").grants
    accounts.set_grants("emma", (), by="system:test")
    watched.expected = ["403"]
    try:
        page.evaluate(
            "() => { const a = document.querySelector('audio'); a.currentTime = 550; a.play().catch(() => 0) }"
        )
        page.wait_for_selector("[data-fault]:visible")
        assert any(a.status == 403 for a in watched.answers if "/v1/playback/" in a.url)
        assert "Playback has stopped" in text(page)
    finally:
        accounts.set_grants("emma", grants, by="system:test")


def test_opening_asks_why(visit: Visit, base: str, made: Desk) -> None:
    watched = visit("maija")
    watched.expected = ["422"]
    watched.page.goto(f"{base}/communications/{made.ids['call']}")
    open_content(watched.page, reason=None)
    assert "Valitse syy tai anna palvelutapauksen tunnus." in text(watched.page)
    assert watched.page.locator("audio").count() == 0


def test_what_no_browser_plays_is_for_downloading(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.ids['gsm']}")
    open_content(page)
    assert "Selaimet eivät toista tätä muotoa (audio/x-gsm" in text(page)
    with page.expect_download() as download:
        page.click("a:has-text('Lataa')")
    assert download.value.suggested_filename == f"recording-{made.ids['gsm']}.gsm"


def test_messages_are_read_as_text(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    page.goto(f"{base}/communications/{made.ids['mail']}")
    open_content(page)
    message = page.inner_text("pre.message")
    assert message.startswith("Hei!\n\nMuuttakaa tilaukseen 5512") and "onclick" not in page.content()
    assert "tilaus.pdf" in text(page)
    page.goto(f"{base}/communications/{made.ids['long-text']}")
    open_content(page)
    assert len(page.inner_text("pre.message").encode()) <= 256 * 1024
    assert "Tässä näkyy vain viestin alku" in text(page)


def test_markup_in_names_and_messages_is_inert(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    search(page, customer="<script>")
    assert HOSTILE in text(page) and "<b>jono</b>" in text(page)
    page.goto(f"{base}/communications/{made.ids['hostile']}")
    open_content(page)
    assert page.inner_text("pre.message") == "Hei <script>alert(2)</script>"
    shown = text(page)
    assert HOSTILE in shown and "<img src=x onerror=alert(3)>" in shown
    assert page.locator("main img, main script").count() == 0


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
    assert shown.count("Allekirjoitus on oikea") == 2 and "Mikään varmuuskopio ei tuo sitä takaisin" in shown
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
    with page.expect_navigation():
        page.click("main button:text-is('Pura')")
    assert "Voimassa olevia tuhoamiskieltoja ei ole." in text(page)


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
    with page.expect_navigation():
        page.click("text=Pura tuhoamiskielto")
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


# --- languages, sizes, no JavaScript


def test_the_language_is_the_persons_until_they_choose(visit: Visit, base: str) -> None:
    page = visit("maija").page
    assert page.get_attribute("html", "lang") == "fi"
    page.click("text=English")
    assert page.inner_text("h1") == "Search communications"
    page.goto(f"{base}/holds")
    assert page.inner_text("h1") == "Holds in force"
    other = visit("emma", language="-").page
    assert other.inner_text("h1") == "Search communications"


@pytest.mark.parametrize("language", ["fi", "en"])
def test_nothing_overflows_on_a_narrow_screen(visit: Visit, base: str, made: Desk, language: str) -> None:
    page = visit("maija", language=language, narrow=True).page

    def fits() -> bool:
        return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    assert fits()
    search(page)
    assert fits()
    for name in ("case", "hostile", "stranger", "long"):
        page.goto(f"{base}/communications/{made.ids[name]}")
        open_content(page)
        assert fits(), name
    for path in ("/holds", "/destructions", f"/destructions/{made.destroyed['first']}", "/sign-in"):
        page.goto(base + path)
        assert fits(), path


def test_it_works_without_javascript(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija", javascript=False).page
    page.click("form.search button.main")
    page.locator("table.results button.link").first.click()
    page.select_option("[name=reason]", "complaint")
    page.click("section:has(#content) form button.main")
    page.wait_for_selector("audio[controls]")
    assert not page.locator("[data-keys]").is_visible()


def test_every_input_has_a_label_and_focus_shows(visit: Visit, base: str, made: Desk) -> None:
    page = visit("maija").page
    for path in ("/", f"/communications/{made.ids['case']}", "/destructions"):
        page.goto(base + path)
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
            .filter(field => !field.labels.length || !field.labels[0].textContent.trim()).map(field => field.name)"""
        )
        assert unnamed == [], path
    page.goto(f"{base}/")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit: Visit, base: str, made: Desk, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for every text, on the pages with the most kinds of it."""
    page = visit("maija").page
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    search(page)
    assert page.evaluate(CONTRASTS) == []
    for path in (f"/communications/{made.ids['stranger']}", f"/destructions/{made.destroyed['first']}", "/holds"):
        page.goto(base + path)
        assert page.evaluate(CONTRASTS) == [], path


CONTRASTS = """() => {
  const colour = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = element => { for (let e = element; e; e = e.parentElement) {
    const c = colour(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c } return [255, 255, 255, 1] };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.offsetParent) continue;
    const [a, b] = [light(colour(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.innerText.slice(0, 30)}`);
  }
  return [...new Set(poor)];
}"""
