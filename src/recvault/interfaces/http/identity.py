"""Who asks: a source by its bearer token, a person by API token or session cookie. Loaded anew at every request.

Keeps: over https the cookie is ``__Host-recvault`` (Secure, this host only, RFC 6265bis 4.1.3.2), on loopback without TLS a
plain one, and neither is read in the other's place; HttpOnly, SameSite=Strict, without an end of its own: the server
knows when it is over. A cookie is believed only on a way that is open (``doors``) and, for what changes something, only
when the browser says that our own page sent it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from recvault.bootstrap import Archive
from recvault.domain.access import Actor
from recvault.domain.accounts import Source
from recvault.domain.errors import Forbidden, NotAuthenticated
from recvault.domain.tokens import Prefix
from recvault.interfaces.http.client_certificates import fingerprint_of
from recvault.interfaces.http.doors import require_open
from recvault.services.sessions import SignedIn

COOKIE = "recvault_session"
"""On loopback without TLS."""
HOST_COOKIE = "__Host-recvault"
"""Over https."""

SAFE = ("GET", "HEAD", "OPTIONS")


def archive_of(request: Request) -> Archive:
    """The archive this app serves."""
    archive: Archive = request.app.state.archive
    return archive


def address_of(request: Request) -> str | None:
    """The network address of who asks (that of the proxy's client, where the proxy is believed)."""
    return None if request.client is None else request.client.host


def bearer(request: Request) -> str | None:
    """The bearer token of RFC 6750, if any."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def source_of(request: Request) -> Source:
    """The source behind the request, by token and client certificate; NotAuthenticated otherwise."""
    token = bearer(request)
    if token is None or not token.startswith(Prefix.SOURCE):
        raise NotAuthenticated("send the source's token as 'Authorization: Bearer …'")
    return archive_of(request).sources.whose(token, certificate=fingerprint_of(request))


def credential_of(request: Request) -> str:
    """The API token or session's secret of the request; the cookie's only where a cookie is believed."""
    token = bearer(request)
    if token is None:
        token = request.cookies.get(cookie_name(request))
        if token is not None:
            require_open(request, archive_of(request).config)
            require_same_site(request)
    if token is None:
        raise NotAuthenticated("sign in, or send an API token as 'Authorization: Bearer …'")
    return token


def signed_in(request: Request) -> SignedIn:
    """The person behind the request, in a complete session."""
    return archive_of(request).sessions.whose(credential_of(request))


def half_signed_in(request: Request) -> SignedIn:
    """The person behind the request, a second factor proved or not: for asking for one, adding one, and signing out."""
    return archive_of(request).sessions.half_open(credential_of(request))


def actor(request: Request) -> Actor:
    """The person as access control sees them."""
    return signed_in(request).actor


def proved_actor(request: Request) -> Actor:
    """The same after a recent proof; StepUpRequired otherwise. For acts that cannot be taken back."""
    found = actor(request)
    archive_of(request).sessions.require_proof(found)
    return found


def cookie_name(request: Request) -> str:
    """Which cookie carries the session on this way."""
    return HOST_COOKIE if request.url.scheme == "https" else COOKIE


def keep_session(request: Request, response: Response, secret: str) -> None:
    """Gives the browser the session's secret; a session that it had before, and that is another one, ends."""
    before = request.cookies.get(cookie_name(request))
    if before is not None and before != secret:
        archive_of(request).sessions.end(before)
    secure = request.url.scheme == "https"
    response.set_cookie(cookie_name(request), secret, path="/", httponly=True, samesite="strict", secure=secure)


def drop_session(request: Request, response: Response) -> None:
    """Takes the cookie back."""
    secure = request.url.scheme == "https"
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="strict", secure=secure)


def require_same_site(request: Request) -> None:
    """Returns when our own page sent the request; Forbidden otherwise.

    Browsers tell by Sec-Fetch-Site; those that do not (before 2023, or without TLS off loopback) send Origin with whatever
    is not GET or HEAD. A request with neither is no browser's, and has no business with a cookie.
    """
    if request.method in SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        own = f"{request.url.scheme}://{request.headers.get('host', '')}"
        allowed = request.headers.get("origin", "").lower() == own.lower()
    if not allowed:
        raise Forbidden("this request came from another site; use the archive's own page")


async def _archive(request: Request) -> Archive:
    """Asked in the event loop: a dependency that is no coroutine costs a change of thread."""
    return archive_of(request)


ArchiveDep = Annotated[Archive, Depends(_archive)]
ActorDep = Annotated[Actor, Depends(actor)]
ProvedActorDep = Annotated[Actor, Depends(proved_actor)]
SignedInDep = Annotated[SignedIn, Depends(signed_in)]
