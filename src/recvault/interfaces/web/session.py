"""Signing in and out, and the files that every page needs.

Keeps: the session's secret is in an HttpOnly, SameSite=Strict cookie and nowhere else; a wrong name and a wrong password
look the same.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from recvault.domain.errors import NotAuthenticated
from recvault.interfaces.http.identity import COOKIE, require_same_site
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import LEADS_BACK, AnybodyDep, PageDep, PageRoute, see_other
from recvault.interfaces.web.static import serve_static
from recvault.interfaces.web.words import N_

router = APIRouter(route_class=PageRoute)
router.add_api_route("/static/{name}", serve_static, methods=["GET"])


@router.get("/sign-in")
def sign_in_page(page: AnybodyDep, ended: str = "", next: str = "", set: str = "") -> Response:
    """The form."""
    return page.render("sign_in.html", name="", fault=None, ended=bool(ended), set=bool(set), next=_safe(next))


@router.post("/sign-in")
def sign_in(request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Opens a session and leads on."""
    require_same_site(request)
    name, onward = fields.get("name", ""), _safe(fields.get("next", ""))
    try:
        _, secret = page.archive.accounts.sign_in(name, fields.get("password", ""))
    except NotAuthenticated:
        fault = tidy(page.wording.text(N_("name or password is wrong")))
        return page.render("sign_in.html", 401, name=name, fault=fault, ended=False, set=False, next=onward)
    response = see_other(onward or "/")
    response.set_cookie(
        COOKIE, secret, path="/", httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, page: PageDep) -> Response:
    """Ends the session."""
    page.archive.sessions.end(request.cookies.get(COOKIE, ""))
    response = see_other("/sign-in")
    response.delete_cookie(COOKIE, path="/")
    return response


def _safe(path: str) -> str:
    """The path to lead on to, empty when it is not one of ours."""
    return path if LEADS_BACK.fullmatch(path) else ""
