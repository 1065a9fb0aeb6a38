"""Signing in at an issuer, seen from the browser: sent there, back again, and what to read when it came to nothing.

Keeps: the secret that ties the way back to this browser is in a cookie of its own (``__Host-`` over https, HttpOnly, Lax,
since the way back begins at the issuer), gone when it was used; nothing of code or state reaches a page, a log or another
site; the browser goes on by itself from a page of ours, so that the session's SameSite=Strict cookie comes along. Left to
others: everything that decides (``services.federation``).
"""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from recvault.domain.federation import FederationRefused, IssuerRules, IssuerUnavailable, Reason
from recvault.interfaces.http.browsers import browser_of
from recvault.interfaces.http.identity import ArchiveDep, address_of, keep_session, require_same_site
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import SECOND_FACTOR_PAGE, AnybodyDep, Page, PageRoute, onward
from recvault.interfaces.web.words import N_
from recvault.services.federation import ATTEMPT

router = APIRouter()
pages = APIRouter(route_class=PageRoute)

COOKIE = "recvault_issuer"
HOST_COOKIE = "__Host-recvault_issuer"
ANSWER_LENGTH = 8 * 1024
"""Longest value of an issuer's answer, characters."""

HEADINGS = {
    Reason.STALE: N_("Begin anew"),
    Reason.DENIED: N_("Signing in was refused"),
    Reason.NOT_VERIFIED: N_("The answer does not verify"),
    Reason.NOT_ADMITTED: N_("Not allowed"),
    Reason.NO_ROLE: N_("No role here"),
    Reason.NOT_LINKED: N_("No account here yet"),
    Reason.NAME_TAKEN: N_("Your name is taken here"),
    Reason.NAME_UNFIT: N_("No account here yet"),
    Reason.CLOSED: N_("Closed"),
    Reason.GROUPS_ELSEWHERE: N_("Your groups are not known"),
}
TEXTS = {
    Reason.STALE: N_("This sign-in was begun too long ago, in another browser, or was used already."),
    Reason.DENIED: N_("The sign-in service did not let you in. Try again, or ask the people who run it."),
    Reason.NOT_VERIFIED: N_(
        "What the sign-in service answered cannot be trusted, so nothing was opened. Tell the administrator."
    ),
    Reason.NOT_ADMITTED: N_(
        "According to the sign-in service you do not belong to those who may come in. Ask the administrator."
    ),
    Reason.NO_ROLE: N_("None of your groups gives you a role here. Ask the administrator."),
    Reason.NOT_LINKED: N_("No account here is linked to yours. Ask the administrator to link it."),
    Reason.NAME_TAKEN: N_(
        "An account with your name exists and is not linked to yours. Ask the administrator to link it, if it is yours."
    ),
    Reason.NAME_UNFIT: N_("The sign-in service gives no name that can be used here. Ask the administrator."),
    Reason.CLOSED: N_("This account is closed."),
    Reason.GROUPS_ELSEWHERE: N_(
        "The sign-in service did not say which groups you are in, because they are too many. Ask the administrator to let "
        "it send only those that are meant for the archive."
    ),
}


@pages.post("/sign-in/oidc/{name}")
def start(name: str, request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Sends the browser to the issuer, by a page of ours: a form may lead nowhere else (form-action)."""
    require_same_site(request)
    try:
        goal, again = onward(fields.get("next", "")), bool(fields.get("again"))
        begun = page.archive.federation.start(name, onward=goal, again=again, address=address_of(request))
    except IssuerUnavailable:
        return _unavailable(page)
    response = page.render("go_on.html", address=begun.url, here="/sign-in")
    response.set_cookie(
        _cookie(request),
        begun.browser,
        max_age=int(ATTEMPT.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@pages.get("/sign-in/oidc/{name}/callback")
def finish(name: str, request: Request, page: AnybodyDep) -> Response:
    """The way back: a session, or a page that says why not."""
    browser = request.cookies.get(_cookie(request), "")
    federation, sessions = page.archive.federation, page.archive.sessions
    try:
        label = browser_of(request.headers.get("user-agent", ""))
        entered = federation.finish(name, _answer(request), browser=browser, label=label)
    except FederationRefused as refused:
        return _forgotten(request, _refused(page, refused))
    except IssuerUnavailable:
        return _forgotten(request, _unavailable(page))
    complete = not sessions.lacks_factor(sessions.half_open(entered.secret))
    goal = onward(entered.onward) if complete else SECOND_FACTOR_PAGE
    response = page.render("go_on.html", address=goal, here="/sign-in")
    keep_session(request, response, entered.secret)
    return _forgotten(request, response)


@router.post("/sign-in/oidc/{name}/back-channel")
def end(name: str, archive: ArchiveDep, fields: FieldsDep) -> Response:
    """The issuer itself tells that a session of its own has ended (Back-Channel Logout 1.0, 2.5 to 2.8)."""
    headers = {"Cache-Control": "no-store"}
    try:
        archive.federation.end_from(name, fields.get("logout_token", ""))
    except FederationRefused:
        return JSONResponse({"error": "invalid_request"}, status_code=400, headers=headers)
    return Response(status_code=200, headers=headers)


def goodbye(page: Page) -> str | None:
    """Where the person can end the issuer's own session too, after ours has ended; None where there is no such place."""
    if page.signed_in is None:
        return None
    try:
        return page.archive.federation.logout_url(page.signed_in.session.id)
    except IssuerUnavailable:
        return None


def proves_at(page: Page) -> IssuerRules | None:
    """Where the person of this session can prove themselves again; None for a session that began here."""
    return None if page.signed_in is None else page.archive.federation.origin_of(page.signed_in.session.id)


def _answer(request: Request) -> dict[str, str]:
    """The parameters of the way back; one that comes twice makes the answer none (RFC 6749, 3.1)."""
    pairs = request.query_params.multi_items()
    times = Counter(name for name, _ in pairs)
    return {name: value for name, value in pairs if times[name] == 1 and len(value) <= ANSWER_LENGTH}


def _refused(page: Page, refused: FederationRefused) -> Response:
    heading, text = page.wording.text(HEADINGS[refused.why]), page.wording.text(TEXTS[refused.why])
    return page.render(
        "not_entered.html",
        403,
        heading=heading,
        text=text,
        code=refused.fingerprint,
        here="/sign-in",
        request_id=page.request.state.request_id,
    )


def _unavailable(page: Page) -> Response:
    heading = page.wording.text(N_("The sign-in service does not answer"))
    text = page.wording.text(N_("Try again in a moment. If it lasts, tell the administrator."))
    response = page.render(
        "not_entered.html",
        503,
        heading=heading,
        text=text,
        code=None,
        here="/sign-in",
        request_id=page.request.state.request_id,
    )
    response.headers["Retry-After"] = "30"
    return response


def _cookie(request: Request) -> str:
    return HOST_COOKIE if request.url.scheme == "https" else COOKIE


def _forgotten(request: Request, response: Response) -> Response:
    secure = request.url.scheme == "https"
    response.delete_cookie(_cookie(request), path="/", httponly=True, samesite="lax", secure=secure)
    return response


router.include_router(pages)
