"""Signing in and out, and the files that every page needs.

Keeps: the session's secret is in its cookie and nowhere else; a wrong name and a wrong password look the same; a browser that
has signed in completely is known from then on by a cookie of its own, so that strangers' tries never delay it.
"""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from recvault.domain.errors import NotAuthenticated, TooManyAttempts
from recvault.interfaces.http.identity import (
    cookie_name,
    drop_session,
    keep_session,
    require_same_site,
)
from recvault.interfaces.http.sign_in import client_of
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.federated import goodbye
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.languages import Wording
from recvault.interfaces.web.pages import (
    SECOND_FACTOR_PAGE,
    AnybodyDep,
    HalfOpenDep,
    Page,
    PageRoute,
    onward,
    see_other,
)
from recvault.interfaces.web.static import serve_static
from recvault.interfaces.web.words import N_
from recvault.services.sign_in import Step
from recvault.services.throttle import DEVICE_LIFE

router = APIRouter(route_class=PageRoute)
router.add_api_route("/static/{name}", serve_static, methods=["GET"])


@router.get("/sign-in")
def sign_in_page(page: AnybodyDep, ended: str = "", next: str = "", set: str = "") -> Response:
    """The form."""
    return page.render("sign_in.html", name="", fault=None, ended=bool(ended), set=bool(set), next=onward(next))


@router.post("/sign-in")
def sign_in(request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Opens a session and leads on."""
    require_same_site(request)
    name, goal = fields.get("name", ""), onward(fields.get("next", ""))
    try:
        client = client_of(request, request.cookies.get(device_cookie(request)))
        step = page.archive.sign_in.password(name, fields.get("password", ""), client=client)
    except NotAuthenticated:
        fault = tidy(page.wording.text(N_("name or password is wrong")))
        return page.render("sign_in.html", 401, name=name, fault=fault, ended=False, set=False, next=goal)
    except TooManyAttempts as late:
        response = page.render(
            "sign_in.html", 429, name=name, fault=waiting(late, page.wording), ended=False, set=False, next=goal
        )
        response.headers["Retry-After"] = str(late.seconds)
        return response
    return led_on(request, step, goal)


def led_on(request: Request, step: Step, goal: str) -> Response:
    """To where the person wanted, or to the page that asks for a second factor; with the session's new secret."""
    asked = "" if goal == "/" else f"?{urlencode({'next': goal})}"
    response = see_other(goal if step.complete else SECOND_FACTOR_PAGE + asked)
    keep_session(request, response, step.secret)
    if step.device is not None:
        response.set_cookie(
            device_cookie(request),
            step.device,
            max_age=int(DEVICE_LIFE.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
    return response


def device_cookie(request: Request) -> str:
    """Which cookie says that this browser has signed in before; it opens nothing."""
    return f"{cookie_name(request)}_device"


def waiting(late: TooManyAttempts, wording: Wording) -> str:
    """How long nothing more is tried, as a sentence."""
    minutes = -(-late.seconds // 60)
    if late.seconds < 60:
        return wording.text(N_("Too many wrong attempts. Try again in %s s.")) % late.seconds
    return wording.text(N_("Too many wrong attempts. Try again in %s min.")) % minutes


@router.post("/sign-out")
def sign_out(request: Request, page: HalfOpenDep) -> Response:
    """Ends the session."""
    page.archive.sessions.end(request.cookies.get(cookie_name(request), ""))
    onwards = goodbye(page)
    response = (
        see_other("/sign-in") if onwards is None else Page(request, None).render("signed_out.html", address=onwards)
    )
    drop_session(request, response)
    return response
