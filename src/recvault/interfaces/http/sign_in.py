"""Signing in over the API, in two steps: name and password, then a code where the person's roles need a second factor.

Keeps: the token of the first step is void once the second was taken; nothing here tells an unknown name from a wrong
password. Left to others: passkeys (``http.passkeys``), the desk's pages (``web.session``, ``web.second_factor``).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from recvault.domain.sessions import Method
from recvault.interfaces.http.browsers import browser_of
from recvault.interfaces.http.forms import FactorForm, SignInForm
from recvault.interfaces.http.identity import ArchiveDep, address_of, credential_of
from recvault.services.sign_in import Step
from recvault.services.throttle import Client

router = APIRouter(prefix="/v1")


@router.post("/session", status_code=201)
def sign_in(form: SignInForm, request: Request, archive: ArchiveDep) -> dict[str, Any]:
    """A session of the API: send its token as bearer. Where ``complete`` is false it opens nothing before
    ``POST /v1/session/factor`` took a code; ``factors`` says what the person has."""
    return _told(archive.sign_in.password(form.name, form.password, client=client_of(request, form.device)))


@router.post("/session/factor")
def factor(form: FactorForm, request: Request, archive: ArchiveDep) -> dict[str, Any]:
    """Takes a code of the person's app or a recovery code: the second step of signing in, or a proof that it is still they.
    The answer's token takes the place of the one sent."""
    return _told(archive.sign_in.factor(credential_of(request), form.code, client=client_of(request, form.device)))


def client_of(request: Request, device: str | None) -> Client:
    """Who tries: the address as the server sees it (that of the proxy's client, where the proxy is believed)."""
    return Client(
        address=address_of(request),
        device=device,
        label=browser_of(request.headers.get("user-agent", "")),
    )


def _told(step: Step) -> dict[str, Any]:
    held = {
        Method.TOTP: step.held.totp,
        Method.RECOVERY: step.held.recovery > 0,
        Method.PASSKEY: step.held.passkeys > 0,
    }
    return {
        "token": step.secret,
        "user_id": step.user.id,
        "complete": step.complete,
        "factors": [method.value for method, has in held.items() if has],
        "device": step.device,
    }
