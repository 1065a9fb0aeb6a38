"""Second factors at the desk: giving one after the password, adding an app, new recovery codes, taking an app away.

Keeps: an app's secret and recovery codes stand in one answer each, which no browser keeps (no-store), and in no address; a
half-open session gets no further than here. Left to others: passkeys (``web.passkeys``), asking again before an act
(``web.account``), what holds (``services.second_factors``).
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from recvault.domain.errors import Conflict, NotAuthenticated, TooManyAttempts
from recvault.interfaces.http.identity import credential_of, keep_session
from recvault.interfaces.http.sign_in import client_of
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import SECOND_FACTOR_PAGE, HalfOpenDep, Page, PageDep, PageRoute, onward, see_other
from recvault.interfaces.web.session import device_cookie, led_on, waiting
from recvault.interfaces.web.words import N_

router = APIRouter(route_class=PageRoute)

ACCOUNT = "/account"


@router.get(SECOND_FACTOR_PAGE)
def second_factor_page(page: HalfOpenDep, next: str = "") -> Response:
    """Asks for a code or passkey; who has neither yet adds one here. Who is through already is led on."""
    if not page.archive.sessions.lacks_factor(page.who):
        return see_other(onward(next))
    return _second_factor(page, onward(next))


@router.post(SECOND_FACTOR_PAGE)
def second_factor(request: Request, page: HalfOpenDep, fields: FieldsDep) -> Response:
    """Takes a code of the app, or a recovery code, and leads on."""
    goal = onward(fields.get("next", ""))
    client = client_of(request, request.cookies.get(device_cookie(request)))
    try:
        step = page.archive.sign_in.factor(credential_of(request), fields.get("code", ""), client=client)
    except NotAuthenticated:
        return _second_factor(page, goal, 401, page.wording.text(N_("The code is wrong, too old or used.")))
    except TooManyAttempts as late:
        response = _second_factor(page, goal, 429, waiting(late, page.wording))
        response.headers["Retry-After"] = str(late.seconds)
        return response
    return led_on(request, step, goal)


@router.post("/account/factors/totp")
def begin_totp(page: HalfOpenDep, fields: FieldsDep) -> Response:
    """A new app's secret, shown in this answer only."""
    enrolment = page.archive.factors.begin_totp(page.who)
    letters = enrolment.letters
    return page.render(
        "factor_app.html",
        picture=Markup(enrolment.picture),  # noqa: S704 - an svg of paths that segno drew; no text of anybody is in it
        letters=" ".join(letters[start : start + 4] for start in range(0, len(letters), 4)),
        next=_goal(fields),
        fault=None,
    )


@router.post("/account/factors/totp/confirm")
def confirm_totp(request: Request, page: HalfOpenDep, fields: FieldsDep) -> Response:
    """The app's first code: from here on it counts. Shows recovery codes to who had none."""
    goal = _goal(fields)
    try:
        codes, step = page.archive.sign_in.enrol(credential_of(request), fields.get("code", ""))
    except NotAuthenticated as error:
        fault = tidy(page.wording.text(str(error)))
        return page.render("factor_app.html", 422, picture=None, letters=None, next=goal, fault=fault)
    except Conflict:
        fault = page.wording.text(N_("It took too long, or another app was begun. Begin again."))
        return page.render("factor_app.html", 409, picture=None, letters=None, next=goal, fault=fault)
    response = page.render("recovery_codes.html", codes=codes, next=goal) if codes else see_other(goal)
    keep_session(request, response, step.secret)
    return response


@router.post("/account/factors/totp/remove")
def remove_totp(page: PageDep) -> Response:
    """Takes the app away."""
    page.archive.factors.remove_totp(page.who)
    return see_other(ACCOUNT)


@router.post("/account/factors/recovery")
def renew_recovery(page: PageDep) -> Response:
    """New recovery codes, shown in this answer only; the earlier ones are void."""
    return page.render("recovery_codes.html", codes=page.archive.factors.renew_recovery(page.who), next=ACCOUNT)


def _goal(fields: FieldsDep) -> str:
    return onward(fields.get("next", "")) if fields.get("next") else ACCOUNT


def _second_factor(page: Page, goal: str, status: int = 200, fault: str | None = None) -> Response:
    held = page.archive.factors.held(page.who.user.id)
    return page.render("second_factor.html", status, held=held, next=goal, fault=fault)
