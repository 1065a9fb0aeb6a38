"""A small client of the HTTP API, as a user's program would have: bearer token in, status, headers and body out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from recvault.interfaces.demo.telling import expect


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def value(self) -> dict[str, Any]:
        """Its JSON object."""
        found = json.loads(self.body)
        expect(isinstance(found, dict), "a JSON object as answer")
        return dict(found)

    def refusal(self) -> str:
        """What its problem document says (RFC 9457)."""
        return str(self.value()["detail"])


class Api:
    """The archive's address, and the token of whoever asks."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self._address = address
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30))
        self._token = token

    def signed_in(self, name: str, password: str) -> Api:
        """The same address, asked by this person."""
        answer = self.call("POST", "/v1/session", {"name": name, "password": password})
        expect(answer.status == 201, f"{name} to be let in with the right password")
        return Api(self._address, str(answer.value()["token"]))

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request."""
        sent = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        got = self._pool.request(method, self._address + path, body=data, headers={**sent, **(headers or {})})
        return Answer(status=got.status, headers={k.lower(): v for k, v in got.headers.items()}, body=got.data)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """One GET."""
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """One POST."""
        return self.call("POST", path, body or {})

    def search(self, **criteria: object) -> list[dict[str, Any]]:
        """The rows of one search."""
        answer = self.post("/v1/communications/search", criteria)
        expect(answer.status == 200, "a search to be answered with 200")
        return list(answer.value()["rows"])

    def open(self, communication: str, **why: object) -> Answer:
        """Asks to open one communication."""
        return self.post(f"/v1/communications/{communication}/open", why)
