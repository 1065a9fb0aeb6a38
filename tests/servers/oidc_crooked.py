"""An issuer on loopback that does what a certified one never does, so that each check of ours meets what it is there for.

It hands out any code for any client; what stands in the next ID token, and how it is signed, the test says.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet

ALGORITHM = "ES256"
Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Crooked:
    """``token`` makes the answer of the token endpoint from the form that came; ``pages`` replaces whole answers by path.
    ``asked`` counts requests by path."""

    port: int = 0
    keys: list[Key] = field(default_factory=lambda: [ECKey.generate_key("P-256", {"kid": "first"})])
    metadata: dict[str, Any] = field(default_factory=dict)
    token: Callable[[dict[str, str]], dict[str, Any]] = lambda form: {}
    pages: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def described(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "code_challenge_methods_supported": ["S256"],
            **self.metadata,
        }

    def sign(
        self, claims: dict[str, Any], *, key: Key | None = None, algorithm: str = ALGORITHM, **header: object
    ) -> str:
        """A token by the first key, or by another."""
        key = key or self.keys[0]
        return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, claims, key, algorithms=[algorithm])

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """The answer to a request."""
        self.asked.append(path)
        if path in self.pages:
            return self.pages[path]
        if path == "/.well-known/openid-configuration":
            return _json(self.described())
        if path == "/keys":
            return _json(dict(KeySet(self.keys).as_dict(private=False)))
        if path == "/token" and method == "POST":
            self.forms.append(dict(parse_qsl(body.decode())))
            answer = self.token(self.forms[-1])
            return _json(answer, 400 if "error" in answer else 200)
        return _json({"error": "not_found"}, 404)


def _json(value: dict[str, Any], status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


@contextmanager
def crooked() -> Iterator[Crooked]:
    """One that listens for as long as the block runs."""
    state = Crooked()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = state.answer(self.command, self.path.partition("?")[0], body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
