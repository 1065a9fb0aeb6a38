"""Who asks: a source by its bearer token, a person by API token or session cookie. Loaded anew at every request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from recvault.bootstrap import Archive
from recvault.domain.access import Actor
from recvault.domain.accounts import Source, User
from recvault.domain.errors import Forbidden, NotAuthenticated
from recvault.services.accounts import SOURCE_PREFIX, actor_of

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
    if token is None or not token.startswith(SOURCE_PREFIX):
        raise NotAuthenticated("send the source's token as 'Authorization: Bearer …'")
    return archive_of(request).accounts.source_of(token)


def person_of(request: Request) -> User:
    """The person behind the request; with the cookie, only for requests that this site itself made."""
    token = bearer(request)
    if token is None:
        token = request.cookies.get(COOKIE)
        if token is not None:
            require_same_site(request)
    if token is None:
        raise NotAuthenticated("sign in, or send an API token as 'Authorization: Bearer …'")
    return archive_of(request).accounts.person_of(token)


def actor(request: Request) -> Actor:
    """The person as access control sees them."""
    return actor_of(person_of(request))


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
