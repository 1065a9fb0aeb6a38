"""The plain page in a real Chromium: listening with seeking, reading messages, markup that stays text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.support.browsing import Visit, open_content, search, text, wait
from tests.support.desk import HOSTILE, Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
    watched.expected = ["401"]  # a change of roles ends the person's sessions
    try:
        page.evaluate(
            "() => { const a = document.querySelector('audio'); a.currentTime = 550; a.play().catch(() => 0) }"
        )
        page.wait_for_selector("[data-fault]:visible")
        assert any(a.status == 401 for a in watched.answers if "/v1/playback/" in a.url)
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
