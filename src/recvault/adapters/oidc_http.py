"""Asking an issuer's addresses: what may go wrong on the way to a stranger's server stays here.

Keeps: TLS is verified; no redirect is followed (a token would go along); every answer is JSON of at most ANSWER_BYTES; no
proxy or password of the surroundings is used; errors name the address's purpose, never what was sent or answered.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote_plus, urlsplit

import httpx

from recvault.domain.federation import IssuerUnavailable

ANSWER_BYTES = 256 * 1024
"""Longest answer: a key set of hundreds of keys is shorter."""

Document = Mapping[str, Any]


class Refused(Exception):
    """The issuer answered and said no: ``status`` and the error code of RFC 6749, 5.2, if it gave one of its kind."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"{status} {error}".strip())
        self.status = status
        self.error = error


class Asking:
    """One issuer's addresses, over connections that are kept."""

    def __init__(self, *, timeout_seconds: float, ca_file: Path | None = None) -> None:
        self._timeout = timeout_seconds
        self._ca_file = ca_file
        self._opened: httpx.Client | None = None
        self._lock = threading.Lock()

    @property
    def _client(self) -> httpx.Client:
        """Made when first asked for: reading the machine's certificates takes longer than most commands."""
        with self._lock:
            if self._opened is None:
                self._opened = httpx.Client(
                    timeout=self._timeout,
                    follow_redirects=False,
                    trust_env=False,
                    verify=_trusted(self._ca_file),
                    headers={"Accept": "application/json", "User-Agent": "recvault"},
                    limits=httpx.Limits(max_connections=8, max_keepalive_connections=2, keepalive_expiry=30),
                )
            return self._opened

    def get(self, what: str, url: str, *, bearer: str | None = None) -> Document:
        """A JSON object; IssuerUnavailable otherwise."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        try:
            return self._ask(what, self._client.build_request("GET", url, headers=headers))
        except Refused as refused:
            raise IssuerUnavailable(
                f"the sign-in service does not give its {what} (status {refused.status}); see that it is set up as "
                "config/recvault.toml says"
            ) from None

    def post(self, what: str, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None) -> Document:
        """A JSON object in answer to a form. Refused when the issuer says no, IssuerUnavailable when it says nothing."""
        headers = {} if basic is None else {"Authorization": _basic(*basic)}
        return self._ask(what, self._client.build_request("POST", url, data=dict(form), headers=headers))

    def close(self) -> None:
        """Gives connections back."""
        if self._opened is not None:
            self._opened.close()

    def _ask(self, what: str, request: httpx.Request) -> Document:
        end = time.monotonic() + 2 * self._timeout
        try:
            answer = self._client.send(request, stream=True)
            try:
                body = self._read(answer, what, end)
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as fault:
            raise IssuerUnavailable(
                f"the sign-in service's {what} cannot be reached ({type(fault).__name__}); see that this machine gets "
                "there, and that its certificate is known here (ca_file)"
            ) from None
        document = _object(body)
        if answer.status_code in range(400, 500):
            error = "" if document is None else str(document.get("error", ""))
            raise Refused(answer.status_code, error if error.replace("_", "").isalpha() else "")
        if answer.status_code != 200 or document is None:
            raise IssuerUnavailable(
                f"the sign-in service answers for its {what} with status {answer.status_code} and no JSON object; see "
                "that the issuer's address is right"
            )
        return document

    @staticmethod
    def _read(answer: httpx.Response, what: str, end: float) -> bytes:
        body = bytearray()
        for piece in answer.iter_bytes(16 * 1024):
            body += piece
            if len(body) > ANSWER_BYTES or time.monotonic() > end:
                raise IssuerUnavailable(
                    f"the sign-in service's answer for its {what} is longer than {ANSWER_BYTES} bytes or does not end; "
                    "see that the issuer's address is right"
                )
        return bytes(body)


@cache
def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """This machine's authorities, or those of a file; read once."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as fault:
        raise IssuerUnavailable(
            f"oidc.ca_file cannot be used ({type(fault).__name__}); name a PEM file that this user can read"
        ) from None


def _basic(name: str, secret: str) -> str:
    """Name and secret are form-encoded before they are joined (RFC 6749, 2.3.1), which HTTP libraries do not do."""
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _object(body: bytes) -> Document | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("Document", found) if isinstance(found, dict) else None


def is_as_safe(url: object, issuer: str) -> bool:
    """Whether ``url`` is an address with a scheme as good as the issuer's own: https, or http of a loopback issuer's."""
    if not isinstance(url, str):
        return False
    try:
        parts, own = urlsplit(url), urlsplit(issuer)
    except ValueError:
        return False
    plain = parts.scheme == "http" and own.scheme == "http" and parts.hostname == own.hostname
    return (
        bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment and (parts.scheme == "https" or plain)
    )
