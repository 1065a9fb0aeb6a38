"""What every page does: refuse a browser that came by another way than the open ones, know the person, render, and turn
errors into calm pages.

Keeps: no page leaves without its security headers; content of fields is only ever escaped text; a half-open session leads to
the page for second factors and nowhere else; an act that needs a recent proof leads to the page for that, and back.
Left to others: which ways are open (``http.doors``), who may do what (services), problem documents of the API
(``http.problems``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from recvault.bootstrap import Archive
from recvault.domain.access import TABLE, Action, Actor, Subject, decide, sees_customer_masked
from recvault.domain.accounts import User
from recvault.domain.communication import Communication
from recvault.domain.errors import NotAuthenticated, RecvaultError, SecondFactorRequired, StepUpRequired
from recvault.domain.purpose import Purpose
from recvault.interfaces.http.doors import NotHere, require_open
from recvault.interfaces.http.headers import PAGES
from recvault.interfaces.http.identity import archive_of, cookie_name, drop_session, half_signed_in
from recvault.interfaces.http.identity import signed_in as who
from recvault.interfaces.http.problems import status_of
from recvault.interfaces.web import words
from recvault.interfaces.web.errors import explained
from recvault.interfaces.web.languages import DEFAULT, LANGUAGES, Wording, templates
from recvault.interfaces.web.navigation import navigation
from recvault.interfaces.web.static import address
from recvault.services.sessions import SignedIn

log = structlog.get_logger()

LANGUAGE_COOKIE = "lang"
PURPOSES = (Purpose.VERIFICATION, Purpose.TRAINING, Purpose.REQUEST, Purpose.AUTHORITY)
"""Those that the page offers, in this order."""

WITH_REFERENCE = frozenset({Purpose.REQUEST, Purpose.AUTHORITY})
"""Those for which even the index takes the reference of a request or of a disclosure."""

LEADS_BACK = re.compile(
    r"/(?:(?:communications|destructions|approvals)/[0-9a-f-]{36}"
    r"|holds|approvals|disclosures|roles|break-glass|destructions|account)",
    re.ASCII,
)
"""Pages that signing in, a second factor and a proof may lead on to."""

SECOND_FACTOR_PAGE = "/second-factor"
PROOF_PAGE = "/prove"


class Page:
    """One request for a page: who asks, in which language, and rendering for them. ``complete``: signed in with all that it
    takes; a page of a half-open session shows no way to others."""

    def __init__(self, request: Request, signed_in: SignedIn | None, *, complete: bool = True) -> None:
        self.request = request
        self.complete = complete
        self.archive: Archive = archive_of(request)
        self.signed_in = signed_in
        self.user: User | None = None if signed_in is None else signed_in.user
        self.now = self.archive.clock.now()

    @property
    def who(self) -> SignedIn:
        """The person and their session; NotAuthenticated when nobody is signed in."""
        if self.signed_in is None:
            raise NotAuthenticated("sign in")
        return self.signed_in

    @property
    def actor(self) -> Actor:
        """The person as access control sees them; NotAuthenticated when nobody is signed in."""
        return self.who.actor

    @cached_property
    def wording(self) -> Wording:
        """The language chosen here, else the one of this browser, else the person's own."""
        asked = (
            self.request.query_params.get("lang", ""),
            self.request.cookies.get(LANGUAGE_COOKIE, ""),
            "" if self.user is None else self.user.language,
        )
        code = next((code for code in asked if code in LANGUAGES), DEFAULT)
        return Wording(code=code, zone=self.archive.config.retention.zone, now=self.now)

    def may(self, action: Action, communication: Communication | None = None, purpose: Purpose | None = None) -> bool:
        """Whether a control for the act is worth showing; the services decide again."""
        if self.user is None:
            return False
        subject = Subject(communication=communication)
        return decide(self.actor, action, subject, purpose, self.now).allowed

    def purposes(self, action: Action) -> tuple[Purpose, ...]:
        """The purposes that the person's roles of this moment have for the act."""
        rules = [TABLE[action][role] for role in self.actor.roles(self.now) if role in TABLE[action]]
        return tuple(purpose for purpose in PURPOSES if any(purpose in rule.purposes for rule in rules))

    def masks(self, purpose: Purpose) -> bool:
        """Whether customers' names are hidden from this person for the purpose."""
        return self.archive.config.access.mask_customer_for_trainers and sees_customer_masked(
            self.actor, purpose, self.now
        )

    def render(self, template: str, status: int = 200, /, **values: object) -> Response:
        """The page as HTML, with the language choice kept when one was just made."""
        body = templates(self.wording.code).get_template(template).render(self._shared() | values)
        response = HTMLResponse(body, status_code=status)
        if self.request.query_params.get("lang") in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE, self.wording.code, max_age=365 * 24 * 3600, samesite="lax", httponly=True
            )
        return response

    def _shared(self) -> dict[str, object]:
        signed_in = self.user is not None
        return {
            "f": self.wording,
            "words": words,
            "user": self.user,
            "controller": self.archive.config.controller.name,
            "languages": LANGUAGES,
            "here": self.request.url.path if self.request.method == "GET" else "/",
            "static": address,
            "issuers": () if signed_in else self.archive.federation.offers,
            "break_glass_only": self.archive.local_sign_in.only_break_glass,
            "suspension": self.archive.suspensions.standing(self.now) if signed_in else None,
            "role_begins": self.archive.grants.begins(self.actor.id) if signed_in else None,
            "navigation": navigation(self) if signed_in and self.complete else (),
        }


def anybody(request: Request) -> Page:
    """A page that needs no sign-in."""
    return Page(request, None)


def signed_in(request: Request) -> Page:
    """A page of the person behind the session; NotAuthenticated otherwise."""
    return Page(request, who(request))


def half_open(request: Request) -> Page:
    """A page of the person behind the session, a second factor proved or not."""
    return Page(request, half_signed_in(request), complete=False)


def proved(request: Request) -> Page:
    """A page that acts: of the person behind the session, after a recent proof; StepUpRequired otherwise."""
    page = signed_in(request)
    page.archive.sessions.require_proof(page.actor)
    return page


AnybodyDep = Annotated[Page, Depends(anybody)]
PageDep = Annotated[Page, Depends(signed_in)]
HalfOpenDep = Annotated[Page, Depends(half_open)]
ProvedDep = Annotated[Page, Depends(proved)]


def onward(path: str) -> str:
    """The path to lead on to, the first page when it is not one of ours."""
    return path if LEADS_BACK.fullmatch(path) else "/"


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:  # type: ignore[explicit-override]
        """The route's own handler between the check of the way and the error pages."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                require_open(request, archive_of(request).config)
                response = await inner(request)
            except (RecvaultError, RequestValidationError) as error:
                response = await run_in_threadpool(_error_page, request, error)
            for name, value in PAGES.items():
                response.headers.setdefault(name, value)
            return response

        return handle


def see_other(path: str) -> Response:
    """A redirect after a form, so that reloading repeats nothing."""
    return RedirectResponse(path, status_code=303)


def _error_page(request: Request, error: RecvaultError | RequestValidationError) -> Response:
    if isinstance(error, SecondFactorRequired):
        return see_other(_with_next(SECOND_FACTOR_PAGE, request))
    if isinstance(error, NotAuthenticated):
        return _to_sign_in(request)
    if isinstance(error, StepUpRequired):
        return see_other(_with_next(PROOF_PAGE, request))
    page = Page(request, None if isinstance(error, NotHere) else _person_if_any(request))
    status = status_of(error) if isinstance(error, RecvaultError) else 422
    if status >= 500:
        log.error("page failed", error=str(error), status=status)
    heading, text = explained(error, page.wording)
    return page.render("error.html", status, heading=heading, text=text, request_id=request.state.request_id)


def _to_sign_in(request: Request) -> Response:
    """To the sign-in page, and from there back to where a link led.

    A link in another site's page (a case system) brings no SameSite=Strict cookie along: the browser is asked to come once
    more, from here.
    """
    had_session = cookie_name(request) in request.cookies
    if not had_session and request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return Page(request, None).render("again.html")
    response = see_other(_with_next("/sign-in", request, **({"ended": "1"} if had_session else {})))
    if had_session:
        drop_session(request, response)
    return response


def _with_next(path: str, request: Request, **asked: str) -> str:
    """The path with where to go on to: the page that was asked for or, after a form, the page that it stood on."""
    here = request.url.path
    if request.method != "GET":
        sent_from = urlsplit(request.headers.get("referer", ""))
        here = sent_from.path if sent_from.netloc == request.headers.get("host") else ""
    if LEADS_BACK.fullmatch(here):
        asked["next"] = here
    return path + (f"?{urlencode(asked)}" if asked else "")


def _person_if_any(request: Request) -> SignedIn | None:
    try:
        return who(request)
    except RecvaultError:
        return None
