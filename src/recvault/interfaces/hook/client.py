"""HTTP towards the archive: bounded in time and memory, certificates always checked, redirects never followed.

Invariants: the token is read from its file at each request and goes nowhere but to the configured address, which is
https (or http on loopback); it and the client certificate's key lie in files of this user's own; an answer is read up to
``ANSWER_LIMIT`` bytes. What an answer means is decided in ``answers``, when to ask again in ``agent``.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import urllib3

from recvault import __version__
from recvault.domain.errors import ConfigurationError, Forbidden, Unavailable

SEALED = "application/vnd.recvault.sealed"
CONNECT_SECONDS = 30.0
"""For a connection, and for each block of a body to leave."""
ANSWER_SECONDS = 60.0
"""For an answer after the body has left."""
BLOCK = 65_536
"""Bytes sent at a time."""
ANSWER_LIMIT = 65_536
"""Bytes of an answer that are read."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}", re.ASCII)


class TokenUnreadable(Forbidden):
    """The token file is missing, empty, or open to others."""

    code = "token-unreadable"


class Unreachable(Unavailable):
    """No answer: no connection, no trust in the certificate, or it broke off."""

    code = "unreachable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back. ``retry_after`` in seconds from now, when the archive named it."""

    status: int
    body: bytes
    retry_after: float | None = None


def check_url(url: str) -> str:
    """The address without a trailing slash; ConfigurationError unless https, or http on loopback."""
    mend = "give url as https://archive.example.fi"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"the archive's address cannot be read; {mend}") from None
    if not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(f"the archive's address has no host, or a user, query or fragment; {mend}")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ConfigurationError(f"the archive's address must be https (http only on loopback); {mend}")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ArchiveClient:
    """The two requests a hook makes. Unreachable and TokenUnreadable; every answer, also a refusal, is returned."""

    def __init__(
        self,
        *,
        url: str,
        token_file: Path,
        ca_file: Path | None,
        certificate_file: Path | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._url = check_url(url)
        self._token_file = token_file
        if ca_file is not None and not ca_file.is_file():
            raise ConfigurationError("ca_file does not exist; name the certificate of the archive's authority (PEM)")
        if certificate_file is not None:
            require_certificate(certificate_file)
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=connect_seconds, read=answer_seconds),
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca_file) if ca_file else None,
            cert_file=str(certificate_file) if certificate_file else None,
        )

    def edge_key(self) -> Answer:
        """``GET /v1/edge-key``."""
        return self._request("GET", "/v1/edge-key", {}, None)

    def upload(self, envelope: BinaryIO, *, size: int, check: Callable[[], None]) -> Answer:
        """``POST /v1/communications`` with the envelope, from its current place; ``check`` runs before each block and may
        raise to break off."""
        headers = {"Content-Type": SEALED, "Content-Length": str(size)}
        return self._request("POST", "/v1/communications", headers, _blocks(envelope, size, check))

    def close(self) -> None:
        """Lets go of the connection."""
        self._pool.clear()

    def _request(self, method: str, path: str, headers: dict[str, str], body: Iterator[bytes] | None) -> Answer:
        headers |= {
            "Authorization": f"Bearer {read_token(self._token_file)}",
            "Accept": "application/json",
            "User-Agent": f"recvault-hook/{__version__}",
        }
        try:
            response = self._pool.request(
                method, self._url + path, headers=headers, body=body, redirect=False, preload_content=False
            )
            try:
                content = response.read(ANSWER_LIMIT, decode_content=False)
                if response.read(1):
                    response.close()  # the rest of an endless answer is not waited for
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as fault:
            raise Unreachable(
                f"the archive does not answer ({_cause(fault)}); see its address, the network and ca_file"
            ) from None
        return Answer(status=response.status, body=content, retry_after=_seconds(response.headers.get("Retry-After")))


def read_token(path: Path) -> str:
    """The token in a file of this user's own; TokenUnreadable."""
    try:
        if path.stat().st_mode & 0o077:
            raise TokenUnreadable("the token file is open to other users; chmod it to 0600")
        token = path.read_bytes()[:8192].decode("ascii", "replace").strip()
    except OSError as fault:
        raise TokenUnreadable(
            f"the token file cannot be read ({fault.strerror}); put the source's token there, readable by this user"
        ) from None
    if not _TOKEN.fullmatch(token):
        raise TokenUnreadable("the token file holds no token; put there what recvault source add gave")
    return token


def require_certificate(path: Path) -> None:
    """Returns when the file holds a certificate and its key and is this user's own; ConfigurationError."""
    mend = "put the client certificate and its key there (PEM, without a passphrase), chmod 0600"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"certificate_file is open to other users; {mend}")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="")
    except ssl.SSLError:
        raise ConfigurationError(f"certificate_file holds no certificate with its key; {mend}") from None
    except OSError as fault:
        raise ConfigurationError(f"certificate_file cannot be read ({fault.strerror}); {mend}") from None


def _blocks(envelope: BinaryIO, size: int, check: Callable[[], None]) -> Iterator[bytes]:
    left = size
    while left:
        check()
        block = envelope.read(min(BLOCK, left))
        if not block:
            raise OSError("the envelope is shorter than it was")
        left -= len(block)
        yield block


def _cause(fault: Exception) -> str:
    """The class of the innermost cause: enough to mend, and free of addresses."""
    inner: BaseException = fault
    while True:  # urllib3 keeps a cause as ``reason`` or among its arguments
        within = [getattr(inner, "reason", None), inner.__cause__, *inner.args]
        deeper = next((cause for cause in within if isinstance(cause, BaseException)), None)
        if deeper is None:
            return type(inner).__name__
        inner = deeper


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", retry_after.strip(), re.ASCII):
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
