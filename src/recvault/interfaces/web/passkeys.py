"""Pages of passkeys: signing in with one, proving oneself with one, and one's own list of them.

Keeps: each ceremony is a page of its own whose form carries the options; a small script asks the browser and sends the
answer back as a form. Before there is a session, a cookie of this browser binds challenge and answer together. Left to
others: whether an answer holds (``services.passkeys``), the pages around (``web.session``, ``web.account``).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from recvault.config.fields import host_of
from recvault.domain.errors import InvalidInput, NotAuthenticated
from recvault.domain.passkeys import CHALLENGE_LIFE, PasskeyRefused, require_label
from recvault.interfaces.http.browsers import browser_of
from recvault.interfaces.http.identity import address_of, credential_of, keep_session, require_same_site
from recvault.interfaces.web.errors import tidy
from recvault.interfaces.web.fields import Fields, FieldsDep
from recvault.interfaces.web.pages import AnybodyDep, HalfOpenDep, Page, PageDep, PageRoute, onward, see_other
from recvault.interfaces.web.words import N_
from recvault.services.sessions import SignedIn

router = APIRouter(route_class=PageRoute)

COOKIE = "recvault_passkey"
HOST_COOKIE = "__Host-recvault-passkey"
ACCOUNT = "/account"


def answer_of(fields: Fields) -> Mapping[str, object]:
    """What the script put into the form; InvalidInput when it is no JSON object."""
    try:
        answer = json.loads(fields.get("answer", ""))
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise InvalidInput("the passkey's answer cannot be read; begin again")
    return answer


def elsewhere(page: Page, path: str) -> str | None:
    """Where the page must be opened instead, None when passkeys work at the address of this request."""
    party = page.archive.passkeys.party
    host = page.request.headers.get("host", "")
    if host_of(host) == party.id:
        return None
    port = page.request.url.port
    origin = (
        f"{page.request.url.scheme}://{party.id}" + (f":{port}" if port else "") if party.any_port else party.origin
    )
    return origin + path


def ceremony(
    page: Page,
    options: Mapping[str, object],
    *,
    call: str,
    action: str,
    heading: str,
    button: str,
    back: str,
    hidden: Mapping[str, str] | None = None,
    at_once: bool = True,
) -> Response:
    """The page that asks for a passkey: ``call`` is the browser's ``create`` or ``get``."""
    return page.render(
        "passkey.html",
        options=json.dumps(options),
        call=call,
        action=action,
        heading=page.wording.text(heading),
        button=page.wording.text(button),
        back=back,
        hidden=hidden or {},
        at_once=at_once,
        elsewhere=elsewhere(page, back),
        fault=None,
    )


# --- signing in


@router.post("/passkeys/sign-in")
def begin_sign_in(request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Asks for a passkey of anybody's."""
    require_same_site(request)
    secret = base64.urlsafe_b64encode(page.archive.entropy.bytes(32)).decode().rstrip("=")
    response = ceremony(
        page,
        page.archive.passkeys.begin_sign_in(_binding(secret), address=address_of(request)),
        call="get",
        action="/passkeys/sign-in/answer",
        heading=N_("Sign in with a passkey"),
        button=N_("Sign in"),
        back="/sign-in",
        hidden={"next": onward(fields.get("next", ""))},
    )
    secure = request.url.scheme == "https"
    response.set_cookie(
        _cookie(request),
        secret,
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
        max_age=int(CHALLENGE_LIFE.total_seconds()),
    )
    return response


@router.post("/passkeys/sign-in/answer")
def sign_in(request: Request, page: AnybodyDep, fields: FieldsDep) -> Response:
    """Opens a session and leads on."""
    require_same_site(request)
    binding = _binding(request.cookies.get(_cookie(request), ""))
    goal, heading = onward(fields.get("next", "")), page.wording.text(N_("Sign in with a passkey"))
    try:
        entered = page.archive.passkeys.sign_in(
            answer_of(fields), binding=binding, label=browser_of(request.headers.get("user-agent", ""))
        )
    except (PasskeyRefused, NotAuthenticated, InvalidInput):
        fault = tidy(page.wording.text(N_("the passkey was not accepted; try again, or sign in with the password")))
        return page.render("passkey.html", 401, heading=heading, fault=fault, back="/sign-in")
    response = see_other(goal)
    keep_session(request, response, entered.secret)
    response.delete_cookie(_cookie(request), path="/", secure=request.url.scheme == "https", httponly=True)
    return response


# --- proving


@router.post("/passkeys/prove")
def begin_proof(page: HalfOpenDep, fields: FieldsDep) -> Response:
    """Asks for one of the person's own: the second factor after a password, or another proof."""
    goal = onward(fields.get("next", ""))
    return ceremony(
        page,
        page.archive.passkeys.begin_proof(_who(page)),
        call="get",
        action="/passkeys/prove/answer",
        heading=N_("Prove who you are"),
        button=N_("Use a passkey"),
        back=goal,
        hidden={"next": goal},
    )


@router.post("/passkeys/prove/answer")
def prove(request: Request, page: HalfOpenDep, fields: FieldsDep) -> Response:
    """The session is proved and gets a new secret."""
    secret = page.archive.passkeys.prove(_who(page), credential_of(request), answer_of(fields))
    response = see_other(onward(fields.get("next", "")))
    keep_session(request, response, secret)
    return response


# --- one's own


@router.post("/account/passkeys")
def begin_registration(page: HalfOpenDep, fields: FieldsDep) -> Response:
    """Asks the browser to make one."""
    label = require_label(fields.get("label", ""))
    return ceremony(
        page,
        page.archive.passkeys.begin_registration(_who(page)),
        call="create",
        action="/account/passkeys/answer",
        heading=N_("Register a passkey"),
        button=N_("Register a passkey"),
        back=ACCOUNT,
        hidden={"label": label},
    )


@router.post("/account/passkeys/answer")
def register(request: Request, page: HalfOpenDep, fields: FieldsDep) -> Response:
    """Keeps it. The first factor of a half-open session also proves that session: the person has just used it."""
    archive, who = page.archive, _who(page)
    archive.passkeys.register(who, answer_of(fields), label=fields.get("label", ""))
    response = see_other(ACCOUNT)
    if archive.sessions.lacks_factor(who):
        keep_session(request, response, archive.passkeys.complete(who, credential_of(request)))
    return response


@router.post("/account/passkeys/{passkey_id}/rename")
def rename(passkey_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Another name."""
    page.archive.passkeys.rename(_who(page), passkey_id, fields.get("label", ""))
    return see_other(ACCOUNT)


@router.post("/account/passkeys/{passkey_id}/remove")
def remove(passkey_id: str, page: PageDep) -> Response:
    """It opens nothing from here on."""
    page.archive.passkeys.remove(_who(page), passkey_id)
    return see_other(ACCOUNT)


def _who(page: Page) -> SignedIn:
    if page.signed_in is None:
        raise NotAuthenticated("sign in")
    return page.signed_in


def _cookie(request: Request) -> str:
    return HOST_COOKIE if request.url.scheme == "https" else COOKIE


def _binding(secret: str) -> str:
    """What the challenge is bound to: the cookie's value itself is stored nowhere."""
    return hashlib.sha256(secret.encode()).hexdigest()
