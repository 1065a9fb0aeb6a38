"""Pictures of every page, in both languages, wide and narrow, light and dark, into ``docs/pictures``; to be looked at.

    python scripts/screenshots.py [NAME...]

The archive is one made up for the purpose. ``search.png`` and ``certificate.png`` are those that the README shows; the others
stay out of the repository.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import structlog  # noqa: E402
from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, sync_playwright  # noqa: E402

from recvault.domain.access import Role  # noqa: E402
from recvault.domain.holds import HoldKind  # noqa: E402
from tests.support.desk import PASSWORD, Desk, chromium_missing, desk, launch  # noqa: E402
from tests.support.serving import serve  # noqa: E402

OUT = ROOT / "docs" / "pictures"
SIZES: dict[str, ViewportSize] = {"wide": {"width": 1280, "height": 800}, "narrow": {"width": 390, "height": 844}}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
UPPER: FloatRect = {"x": 0, "y": 0, "width": 1280, "height": 720}
README = {"results-fi-wide-light": "search.png", "destruction-fi-wide-light": "certificate.png"}

Shot = Callable[[Page, str, Desk], None]


def sign_in(page: Page, base: str, name: str) -> None:
    page.goto(f"{base}/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("main button.main")
    page.wait_for_url(f"{base}/*")


def results(page: Page, base: str, _: Desk) -> None:
    sign_in(page, base, "maija")
    page.select_option("[name=purpose]", "verification")
    page.click("form.search button.main")
    page.wait_for_selector("table")


def choices(page: Page, base: str, _: Desk) -> None:
    sign_in(page, base, "maija")
    page.fill("[name=customer]", "kallion")
    page.click("form.search button.main")


def trainer(page: Page, base: str, _: Desk) -> None:
    sign_in(page, base, "teemu")
    page.click("form.search button.main")


def faulty(page: Page, base: str, _: Desk) -> None:
    page.goto(f"{base}/sign-in")
    page.fill("[name=name]", "maija")
    page.fill("[name=password]", "väärä salasana")
    page.click("main button.main")


def communication(name: str, who: str = "maija", *, opened: bool = False) -> Shot:
    def shoot(page: Page, base: str, desk_: Desk) -> None:
        sign_in(page, base, who)
        page.goto(f"{base}/communications/{desk_.ids[name]}")
        if opened:
            if page.locator("[name=reason]").count():
                page.select_option("section [name=reason]", "complaint")
            page.click("section:has(#content) form button.main")
            page.wait_for_timeout(400)

    return shoot


def restricted(page: Page, base: str, desk_: Desk) -> None:
    call, world = desk_.ids["case"], desk_.world
    with world.archive.database.read() as unit:
        standing = unit.holds.restricted([call])
    if not standing:
        review = (world.clock.now() + timedelta(days=90)).date()
        world.archive.holds.place(
            world.actor(Role.PRIVACY_HANDLER),
            reason="Asiakas kiistää tallenteen",
            review_on=review,
            communication_id=call,
            kind=HoldKind.RESTRICTION,
        )
    communication("case")(page, base, desk_)


def path(address: str, who: str) -> Shot:
    def shoot(page: Page, base: str, desk_: Desk) -> None:
        sign_in(page, base, who)
        page.goto(base + address.format(**desk_.destroyed, **desk_.ids))

    return shoot


def account(page: Page, base: str, _: Desk) -> None:
    sign_in(page, base, "maija")
    page.goto(f"{base}/account")
    page.click("section:has(#tokens) summary")
    page.fill("section:has(#tokens) [name=label]", "raportit")
    page.check("[name=role_verifier]")
    page.click("section:has(#tokens) details button")
    page.wait_for_selector("code.secret")
    page.click("section:has(#tokens) summary")


SHOTS: dict[str, Shot] = {
    "sign-in": lambda page, base, _: void(page.goto(f"{base}/sign-in")),
    "sign-in-wrong": faulty,
    "home": path("/", "maija"),
    "nothing": path("/", "olli"),
    "results": results,
    "results-trainer": trainer,
    "choices": choices,
    "communication": communication("case"),
    "communication-trainer": communication("call", "teemu"),
    "communication-attention": communication("stranger"),
    "player": communication("long", opened=True),
    "mail": communication("mail", opened=True),
    "download": communication("gsm", opened=True),
    "restricted": restricted,
    "holds": path("/holds", "maija"),
    "approvals": path("/approvals", "heikki"),
    "invitation": lambda page, base, _: void(page.goto(f"{base}/invitation#a-link-that-was-used")),
    "destructions": path("/destructions", "aino"),
    "destruction": path("/destructions/{first}", "aino"),
    "destruction-waiting": path("/destructions/{today}", "aino"),
    "log": path("/log", "aino"),
    "account": account,
    "prove": path("/prove", "maija"),
    "error-forbidden": path("/communications/{call}?purpose=verification", "aino"),
}


def void(_: object) -> None:
    """For its effect alone."""


def hold(desk_: Desk) -> None:
    """Two holds and a proposal to release one, so that there is something to see."""
    world = desk_.world
    handler = world.actor(Role.PRIVACY_HANDLER)
    today = world.clock.now().date()
    customer = world.archive.customers.search(handler, "1003")[0]
    world.archive.holds.place(
        handler,
        reason="Kuluttajariita",
        authority="KRIL 1234/2026",
        review_on=today + timedelta(days=90),
        communication_id=desk_.ids["case"],
    )
    released = world.archive.holds.place(
        handler, reason="Vahingonkorvausvaatimus", review_on=today + timedelta(days=180), customer_id=customer.id
    )
    world.archive.holds.propose_release(world.archive.approvals, handler, released.hold.id, reason="Asia on sovittu")


def shoot(browser: Browser, base: str, desk_: Desk, wanted: list[str]) -> None:
    """Every wanted page in all eight ways: taken once a language, then seen wide and narrow, light and dark."""
    for language, locale in (("fi", "fi-FI"), ("en", "en-GB")):
        for name, take in SHOTS.items():
            if wanted and name not in wanted:
                continue
            context = browser.new_context(locale=locale)
            context.add_cookies([{"name": "lang", "value": language, "url": base}])
            page = context.new_page()
            take(page, base, desk_)
            for size, viewport in SIZES.items():
                page.set_viewport_size(viewport)
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    page.screenshot(path=OUT / f"{name}-{language}-{size}-{scheme}.png", full_page=True)
                    if README.get(f"{name}-{language}-{size}-{scheme}"):
                        page.screenshot(path=OUT / README[f"{name}-{language}-{size}-{scheme}"], clip=UPPER)
            context.close()
            print(name, language)


def main() -> int:
    """Takes the pictures; 1 when there is no browser."""
    if missing := chromium_missing():
        print(missing, file=sys.stderr)
        return 1
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, desk(Path(directory)) as desk_:
        hold(desk_)
        with serve(desk_.world.archive) as served, sync_playwright() as playwright:
            browser = launch(playwright)
            shoot(browser, f"http://127.0.0.1:{served.port}", desk_, sys.argv[1:])
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
