"""The own account: sessions, API tokens, the password; and proving oneself again before an act that asks for it.

Keeps: a token is shown in one answer and never again; every proof gives the session a new secret; after a proof the person is
where they were, and repeats the act: nothing that was sent before the proof is kept. Left to others: second factors and
passkeys, whose parts of the page are templates of their own (``web.second_factor``, ``web.passkeys``).
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from recvault.domain.access import Role
from recvault.domain.errors import InvalidInput, NotAuthenticated, TooManyAttempts
from recvault.domain.sessions import PROOF_LIFE, Kind
from recvault.interfaces.http.identity import credential_of, keep_session
from recvault.interfaces.http.sign_in import client_of
from recvault.interfaces.web.errors import explained, tidy
from recvault.interfaces.web.federated import proves_at
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import PROOF_PAGE, Page, PageDep, PageRoute, ProvedDep, onward, see_other
from recvault.interfaces.web.session import device_cookie, waiting
from recvault.interfaces.web.words import N_
from recvault.services.passwords import MAXIMUM, MINIMUM
from recvault.services.sessions import LABEL_LENGTH, Issued

router = APIRouter(route_class=PageRoute)


@router.get("/account")
def account(page: PageDep, changed: str = "") -> Response:
    """What the person has: sessions, tokens, factors."""
    return _account(page, changed=bool(changed))


@router.post("/account/sessions/{session_id}/end")
def end_session(session_id: str, page: PageDep) -> Response:
    """Ends a session or token, at once."""
    page.archive.sessions.end_own(page.who, session_id)
    return see_other("/account")


@router.post("/account/tokens")
def issue_token(page: ProvedDep, fields: FieldsDep) -> Response:
    """A new API token, shown in this answer only."""
    roles = frozenset(role for role in Role if fields.get(f"role_{role.value}"))
    try:
        days = int(fields.get("days", ""))
        issued = page.archive.sessions.issue_own_token(
            page.who, label=fields.get("label", ""), scopes=roles or None, life=timedelta(days=days)
        )
    except (ValueError, OverflowError):
        return _account(page, 422, fault=page.wording.text(N_("Write the number of days.")))
    except InvalidInput as error:
        return _account(page, 422, fault=explained(error, page.wording)[1])
    return _account(page, issued=issued)


@router.post("/account/password")
def change_password(request: Request, page: PageDep, fields: FieldsDep) -> Response:
    """Another password, by the one there is; the person's other sessions end."""
    if fields.get("password") != fields.get("password_again"):
        return _account(page, 422, fault=page.wording.text(N_("The two passwords are not the same.")))
    client = client_of(request, request.cookies.get(device_cookie(request)))
    try:
        page.archive.sign_in.change_password(
            credential_of(request), fields.get("password_old", ""), fields.get("password", ""), client=client
        )
    except NotAuthenticated:
        return _account(page, 422, fault=page.wording.text(N_("The old password is wrong.")))
    except TooManyAttempts as late:
        return _account(page, 429, fault=waiting(late, page.wording))
    except InvalidInput as error:
        return _account(page, 422, fault=tidy(page.wording.text(str(error))))
    return see_other("/account?changed=1")


@router.get(PROOF_PAGE)
def prove_page(page: PageDep, next: str = "") -> Response:
    """Asks for a proof: a passkey, a code, or the password of who has neither."""
    return _prove(page, onward(next))


@router.post(PROOF_PAGE)
def prove(request: Request, page: PageDep, fields: FieldsDep) -> Response:
    """Takes it, and leads back."""
    goal, secret = onward(fields.get("next", "")), credential_of(request)
    client = client_of(request, request.cookies.get(device_cookie(request)))
    try:
        if fields.get("code"):
            step = page.archive.sign_in.factor(secret, fields["code"], client=client)
        else:
            step = page.archive.sign_in.again(secret, fields.get("password", ""), client=client)
    except NotAuthenticated:
        return _prove(page, goal, 422, N_("That was not right. Try again."))
    except TooManyAttempts as late:
        return _prove(page, goal, 429, waiting(late, page.wording))
    response = see_other(goal)
    keep_session(request, response, step.secret)
    return response


def _prove(page: Page, goal: str, status: int = 200, fault: str = "") -> Response:
    return page.render(
        "prove.html",
        status,
        next=goal,
        held=page.archive.factors.held(page.who.user.id),
        has_password=page.who.user.password_hash is not None,
        issuer=proves_at(page),
        minutes=PROOF_LIFE // timedelta(minutes=1),
        fault=page.wording.text(fault) if fault else None,
    )


def _account(
    page: Page, status: int = 200, *, fault: str | None = None, issued: Issued | None = None, changed: bool = False
) -> Response:
    who, archive = page.who, page.archive
    found = archive.sessions.of(who.user.id)
    return page.render(
        "account.html",
        status,
        sessions=[one for one in found if one.kind is Kind.SESSION],
        tokens=[one for one in found if one.kind is Kind.API],
        current=who.session.id,
        roles=sorted(page.actor.roles(page.now)),
        longest=archive.config.access.api_token_max_days,
        label_length=LABEL_LENGTH,
        issued=issued,
        changed=changed,
        fault=fault,
        has_password=who.user.password_hash is not None,
        least=MINIMUM,
        most=MAXIMUM,
        held=archive.factors.held(who.user.id),
        notices=archive.factors.notices(who.user.id),
        passkeys=archive.passkeys.of(who.user.id),
    )
