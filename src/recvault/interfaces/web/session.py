"""Signing in and out, and the files that every page needs.

Keeps: the session's secret is in its cookie and nowhere else; a wrong name and a wrong password look the same.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from recvault.domain.errors import NotAuthenticated
from recvault.interfaces.http.browsers import browser_of
from recvault.interfaces.http.identity import (
    cookie_name,
    drop_session,
    keep_session,
    require_same_site,
)
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import AnybodyDep, HalfOpenDep, PageRoute, onward, see_other
from recvault.interfaces.web.static import serve_static
from recvault.interfaces.web.words import N_

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
        _, secret = page.archive.accounts.sign_in(
            name, fields.get("password", ""), label=browser_of(request.headers.get("user-agent", ""))
        )
    except NotAuthenticated:
        fault = tidy(page.wording.text(N_("name or password is wrong")))
        return page.render("sign_in.html", 401, name=name, fault=fault, ended=False, set=False, next=goal)
    response = see_other(goal)
    keep_session(request, response, secret)
    return response


@router.post("/sign-out")
def sign_out(request: Request, page: HalfOpenDep) -> Response:
    """Ends the session."""
    page.archive.sessions.end(request.cookies.get(cookie_name(request), ""))
    response = see_other("/sign-in")
    drop_session(request, response)
    return response
