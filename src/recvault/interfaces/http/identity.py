"""Who asks: a source by its bearer token, a person by API token or session cookie. Loaded anew at every request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from recvault.bootstrap import Archive
from recvault.domain.access import Actor
from recvault.domain.accounts import Source
from recvault.domain.errors import Forbidden, NotAuthenticated
from recvault.domain.tokens import Prefix
from recvault.services.sessions import SignedIn

COOKIE = "recvault_session"


def archive_of(request: Request) -> Archive:
    """The archive this app serves."""
    archive: Archive = request.app.state.archive
    return archive


def bearer(request: Request) -> str | None:
    """The bearer token of RFC 6750, if any."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def source_of(request: Request) -> Source:
    """The source behind the request; NotAuthenticated otherwise."""
    token = bearer(request)
    if token is None or not token.startswith(Prefix.SOURCE):
        raise NotAuthenticated("send the source's token as 'Authorization: Bearer …'")
    return archive_of(request).sources.whose(token)


def credential_of(request: Request) -> str:
    """The API token or session's secret; the cookie's only for requests that this site itself made."""
    token = bearer(request)
    if token is None:
        token = request.cookies.get(COOKIE)
        if token is not None:
            require_same_site(request)
    if token is None:
        raise NotAuthenticated("sign in, or send an API token as 'Authorization: Bearer …'")
    return token


def signed_in(request: Request) -> SignedIn:
    """The person behind the request."""
    return archive_of(request).sessions.whose(credential_of(request))


def actor(request: Request) -> Actor:
    """The person as access control sees them."""
    return signed_in(request).actor


def require_same_site(request: Request) -> None:
    """Refuses what another site made the browser send (Sec-Fetch-Site, Origin where a browser does not send it)."""
    if request.method in ("GET", "HEAD"):
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        origin = request.headers.get("origin")
        allowed = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not allowed:
        raise Forbidden("this request came from another site; use the archive's own page")


ArchiveDep = Annotated[Archive, Depends(archive_of)]
ActorDep = Annotated[Actor, Depends(actor)]
