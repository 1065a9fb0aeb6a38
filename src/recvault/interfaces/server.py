"""The HTTP server process: uvicorn with our application, told to keep addresses out of its log, to stop gracefully, and
not to listen where nobody ends TLS.

Playback addresses carry a grant, so the server's own access log stays off; the application logs a line without them.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from recvault.bootstrap import Archive
from recvault.config import Config
from recvault.config.fields import is_loopback
from recvault.domain.errors import ConfigurationError, Unavailable
from recvault.interfaces.http.app import create_app
from recvault.interfaces.worker import WATCHING, Worker

STOP_SECONDS = 30
"""How long requests under way may take after the order to stop."""

HEADER_BYTES = 16 * 1024
"""Bytes of a request's line and headers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen. Port 0 takes a free one."""

    host: str
    port: int


def address_of(config: Config, *, host: str | None = None, port: int | None = None) -> Address:
    """Where to listen; ConfigurationError for an address that others reach without TLS in front of it.

    An address that is not loopback must stand in the configuration (server.host), together with the https address
    (server.public_url) of the proxy that ends TLS.
    """
    wanted = host or config.server.host
    if not is_loopback(wanted):
        if wanted != config.server.host:
            raise ConfigurationError(
                f"{wanted} is not loopback; set server.host in the configuration, so that it is a decision and not a slip"
            )
        if not config.server.public_url.startswith("https://"):
            raise ConfigurationError(
                f"server.host {wanted} is not loopback; put a proxy that ends TLS in front and set server.public_url to "
                "its https address"
            )
    return Address(host=wanted, port=config.server.port if port is None else port)


@contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """A bound socket; Unavailable when the address is taken."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address.host, address.port))
        except OSError as fault:
            raise Unavailable(
                f"cannot listen on {address.host} port {address.port}: {fault.strerror}; stop what listens there, or "
                "choose another server.port"
            ) from None
        yield bound


def http_server(archive: Archive) -> uvicorn.Server:
    """Uvicorn with our application, not yet running."""
    trusted = list(archive.config.server.trusted_proxies)
    return uvicorn.Server(
        uvicorn.Config(
            create_app(archive),
            log_config=None,
            access_log=False,
            loop="uvloop",
            http="httptools",
            proxy_headers=bool(trusted),
            forwarded_allow_ips=trusted,
            server_header=False,
            date_header=True,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )


def serve(archive: Archive, address: Address, *, with_worker: bool) -> None:
    """Serves until SIGTERM or SIGINT; from the main thread. The worker ends after the server; without it this
    process still tells people when something is wrong, a missing worker above all."""
    with listening(address) as bound, _signals_swallowed():
        server = http_server(archive)
        worker = Worker(archive, only=None if with_worker else WATCHING)
        worker.start()
        try:
            server.run(sockets=[bound])
        finally:
            worker.stop()


@contextmanager
def _signals_swallowed() -> Iterator[None]:
    """Uvicorn, once it has stopped, raises the signal again that stopped it: that must not kill us while we tidy up."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
