"""The page to which an invitation leads: it takes the secret out of the link and a new password.

Keeps: the secret comes after the # of the address, which browsers do not send, and goes back in the body of a POST; it
stands in no address, log or header. Whether it holds is decided in ``services.invitations``.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from recvault.domain.errors import InvalidInput, NotAuthenticated
from recvault.interfaces.http.identity import require_same_site
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import AnybodyDep, Page, PageRoute, see_other
from recvault.interfaces.web.words import N_
from recvault.services.invitations import PATH
from recvault.services.passwords import MAXIMUM, MINIMUM

router = APIRouter(route_class=PageRoute)


@router.get(PATH)
def invitation_page(page: AnybodyDep) -> Response:
    """The form; a script of the page fills in the secret."""
    return _form(page)


@router.post(PATH)
def redeem(request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Sets the password and leads to the sign-in page."""
    require_same_site(request)
    secret, password = fields.get("secret", ""), fields.get("password", "")
    if password != fields.get("password_again", ""):
        return _form(page, 422, secret, N_("the two passwords differ; write them again"))
    try:
        page.archive.invitations.redeem(secret, password)
    except NotAuthenticated:
        return _form(page, 401, "", N_("the link is used, too old or replaced by a newer one; ask for another"))
    except InvalidInput as fault:
        return _form(page, 422, secret, str(fault))
    return see_other("/sign-in?set=1")


def _form(page: Page, status: int = 200, secret: str = "", fault: str = "") -> Response:
    return page.render(
        "invitation.html",
        status,
        secret=secret,
        fault=tidy(page.wording.text(fault)) if fault else None,
        least=MINIMUM,
        most=MAXIMUM,
    )
