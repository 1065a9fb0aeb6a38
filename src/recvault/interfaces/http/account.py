"""Routes of the own account: sessions and API tokens; and an administrator's way to end a person's sessions.

Keeps: a token's secret is in one answer and never again; a token makes no token. The desk has the same (``web.account``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from recvault.domain.access import Action, Role
from recvault.domain.sessions import Session
from recvault.interfaces.http.forms import Form, Short
from recvault.interfaces.http.identity import ArchiveDep, ProvedActorDep, SignedInDep
from recvault.services.sessions import LABEL_LENGTH

router = APIRouter(prefix="/v1")


class TokenForm(Form):
    """``POST /v1/account/tokens``: what uses it, its roles (all that its owner has at the moment, when none are named), and
    for how many days."""

    label: Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH)]
    roles: Annotated[frozenset[Role], Field(min_length=1)] | None = None
    days: Annotated[int, Field(ge=1, le=366)] | None = None


class EndForm(Form):
    """``POST /v1/accounts/{account_id}/end-sessions``."""

    tokens: bool = False


@router.get("/account/sessions")
def list_sessions(who: SignedInDep, archive: ArchiveDep) -> dict[str, Any]:
    """The own sessions and API tokens that hold now, the newest first."""
    return {"rows": [session_json(one, current=who.session.id) for one in archive.sessions.of(who.user.id)]}


@router.delete("/account/sessions/{session_id}", status_code=204)
def end_session(session_id: Short, who: SignedInDep, archive: ArchiveDep) -> Response:
    """Ends one of them, at once."""
    archive.sessions.end_own(who, session_id)
    return Response(status_code=204)


@router.post("/account/tokens", status_code=201)
def issue_token(form: TokenForm, who: SignedInDep, archive: ArchiveDep) -> dict[str, Any]:
    """An API token of the own; its secret is told only here. In a session that was proved lately."""
    life = None if form.days is None else timedelta(days=form.days)
    issued = archive.sessions.issue_own_token(who, label=form.label, scopes=form.roles, life=life)
    return {"token": issued.secret, **session_json(issued.session, current=who.session.id)}


@router.post("/accounts/{account_id}/end-sessions")
def end_sessions_of(account_id: Short, form: EndForm, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Ends all sessions of a person, and with ``tokens`` the API tokens as well."""
    archive.access.require(actor, Action.ACCOUNT_MANAGE)
    return {"ended": archive.sessions.end_for(account_id, by=actor.id, tokens=form.tokens)}


def session_json(session: Session, *, current: str | None = None) -> dict[str, Any]:
    """A session or API token, without anything secret."""
    return {
        "id": session.id,
        "kind": session.kind.value,
        "label": session.label,
        "methods": sorted(session.methods),
        "roles": None if session.scopes is None else sorted(session.scopes),
        "created_at": session.created_at.isoformat(),
        "last_used_at": session.last_used_at.isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "proved_at": None if session.proved_at is None else session.proved_at.isoformat(),
        "current": session.id == current,
    }
