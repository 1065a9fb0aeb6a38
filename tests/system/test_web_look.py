"""The plain page in a real Chromium: languages, narrow screens, no JavaScript, labels, focus, contrast."""

from __future__ import annotations

import pytest

from tests.support.browsing import Visit, open_content, search
from tests.support.desk import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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
