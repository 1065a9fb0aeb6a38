"""By which way a browser may come: straight from this machine, or by https through the configured proxy.

Keeps: a session cookie is worth nothing anywhere else. What a proxy says counts only when its address stands in
``server.trusted_proxies`` (uvicorn then puts its word for scheme and client in the place of its own); the name in Host must
be the configured one, or a loopback name from loopback, so that a foreign name that resolves to us (DNS rebinding) opens
nothing; off loopback the desk opens only where second factors are required.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

from recvault.config import Config
from recvault.config.fields import host_of, is_loopback
from recvault.domain.errors import Forbidden

# What a proxy adds: with any of these, the client's address is not the reader's unless the proxy is believed.
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


class NotHere(Forbidden):
    """A browser came by a way that is not open."""


def is_direct(request: Request) -> bool:
    """Whether the request comes from this machine itself, under its loopback name."""
    client = "" if request.client is None else request.client.host.removeprefix("::ffff:")
    passed_on = any(name in request.headers for name in PROXY_HEADERS)
    return not passed_on and is_loopback(client) and is_loopback(host_of(request.headers.get("host", "")))


def is_open_beyond(config: Config) -> bool:
    """Whether the desk is open beyond loopback: TLS ends at a proxy that is believed, and second factors are required."""
    server = config.server
    behind_tls = server.public_url.startswith("https://") and bool(server.trusted_proxies)
    return behind_tls and config.access.second_factor == "required"


def require_open(request: Request, config: Config) -> None:
    """Returns when a browser may come this way; NotHere otherwise."""
    if is_direct(request):
        return
    if not is_open_beyond(config):
        raise NotHere(
            "this page opens only on the archive's own machine as it is configured; use it there or through an SSH tunnel, "
            "or set server.public_url, server.trusted_proxies and second factors"
        )
    if request.url.scheme != "https" or request.headers.get("host", "").lower() != _name(config.server.public_url):
        raise NotHere(
            "this is not the archive's own address; open it by the https address that your administrator gave you"
        )


def _name(public_url: str) -> str:
    """What a browser puts into Host for the address: without the port where it is that of https."""
    parts = urlsplit(public_url)
    return parts.netloc.removesuffix(":443")
