"""A browser on the plain page: watched pages, and the few things that every journey does.

An error on the console, a refused resource (Content-Security-Policy), a dialog or a request to another host is a fault of the
page that shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page, Request, Response

from tests.support.desk import PASSWORD


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
"""Opens a browser of its own, signed in as a person or as nobody."""


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


def wait(page: Page, holds: str, seconds: float = 60) -> None:
    """Until a function of the audio element holds. (Playwright's own way needs eval, which the page's policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(f"({holds})(document.querySelector('audio'))"):
        assert time.monotonic() < end, f"not in time: {holds}"
        page.wait_for_timeout(50)
