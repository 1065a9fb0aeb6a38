"""Fixtures of the browser's tests; a missing Chromium skips them, and fails them where ``CI`` is set."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tests.support.browsing import Visit, Watched, sign_in
from tests.support.desk import Desk, chromium_missing, desk, launch
from tests.support.serving import serve


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


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Visit]:
    """Opens a browser of its own, signed in as a person (or as nobody), and looks after it."""
    opened: list[Watched] = []

    def new(who: str | None = None, *, language: str = "fi", narrow: bool = False, javascript: bool = True) -> Watched:
        size: ViewportSize = {"width": 360, "height": 740} if narrow else {"width": 1280, "height": 800}
        context = browser.new_context(viewport=size, java_script_enabled=javascript)
        context.set_default_timeout(120_000)
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
