"""Asking the application itself, without a socket, as a person in a complete session."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from recvault.domain.sessions import Method
from recvault.interfaces.http.app import create_app
from tests.support.archives import World


class Client:
    """Asks the application itself, as if from this machine: hundreds of doors, and no socket for any."""

    def __init__(self, world: World) -> None:
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(create_app(world.archive), client=("127.0.0.1", 50000))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method: str, address: str, **what: Any) -> httpx.Response:
        """One request, with its whole answer."""
        return self._loop.run_until_complete(self._client.request(method, address, **what))

    def close(self) -> None:
        """Nothing is asked after this."""
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()


def session(world: World, name: str) -> str:
    """A complete session that was proved just now."""
    user = world.archive.accounts.user_named(name)
    with world.archive.database.begin() as unit:
        methods = (Method.PASSWORD, Method.TOTP)
        secret = world.archive.sessions.open(unit, user, methods=methods, label="", now=world.clock.now())
        unit.commit()
    return secret
