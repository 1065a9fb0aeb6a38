"""A browser between the archive and an issuer: it follows each step by hand, so that a test can step in anywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx

from recvault.config import Config, load
from recvault.domain.ports.credentials import PasswordHasher
from tests.support.archives import World, make_world, memory_parts
from tests.support.serving import Served

Form = Mapping[str, str | list[str]]
_ONWARD = re.compile(r'http-equiv="refresh" content="0;url=([^"]+)"')


@dataclass
class Browser:
    """One browser. Cookies of the archive and of the issuer are kept apart, as two hosts would have them."""

    served: Served
    archive: httpx.Client = field(init=False)
    issuer: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        own = f"http://127.0.0.1:{self.served.port}"
        self.archive = httpx.Client(base_url=own, headers={"Origin": own}, timeout=120, verify=False)
        self.issuer = httpx.Client(timeout=120, verify=False)

    def sign_in(self, name: str, account: str, **told: str | list[str]) -> httpx.Response:
        """The whole way; the archive's last answer."""
        return self.come_back(self.way_back(self.start(name), account, **told))

    def start(self, name: str, *, again: bool = False) -> str:
        """Presses the button, of the sign-in page or of the one that asks for a proof; the issuer's address."""
        answer = self.archive.post(f"/sign-in/oidc/{name}", data={"next": "", "again": "1" if again else ""})
        assert answer.status_code == 200, answer.text
        return onward(answer)

    def way_back(self, address: str, account: str, **told: str | list[str]) -> str:
        """Signs in at the issuer; the address at the archive that it leads back to."""
        answer = self.issuer.get(address)
        if "/interaction/" in answer.headers.get("location", ""):
            page = httpx.URL(address).join(answer.headers["location"])
            answer = self.issuer.post(page, data={"account": account, **told})
            answer = self.issuer.get(httpx.URL(address).join(answer.headers["location"]))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def come_back(self, address: str) -> httpx.Response:
        """Brings the issuer's answer to the archive, wherever it listens."""
        parts = urlsplit(address)
        return self.archive.get(f"{parts.path}?{parts.query}")

    def close(self) -> None:
        """Closes both."""
        self.archive.close()
        self.issuer.close()


def onward(answer: httpx.Response) -> str:
    """Where a page of the archive sends the browser by itself."""
    found = _ONWARD.search(answer.text)
    assert found is not None, answer.text
    return html.unescape(found[1])


def query_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query))


def issuer_table(
    directory: Path, *, name: str, issuer: str, client_id: str, secret: str = "not much of a secret", more: str = ""
) -> str:
    """A ``[[oidc]]`` table; the secret goes into a file."""
    path = directory / f"{name}.secret"
    path.touch(0o600)
    path.write_text(secret)
    return (
        f'[[oidc]]\nname = "{name}"\nlabel = "Account of {name}"\nissuer = "{issuer}"\nclient_id = "{client_id}"\n'
        f'client_secret_file = "{path}"\n{more}\n'
    )


def federated_world(directory: Path, text: str, *, hasher: PasswordHasher | None = None) -> World:
    """An archive with this configuration, whose clock shows the real time: real issuers have no other."""
    parts = memory_parts()
    parts.config = configured(directory, text)
    parts.clock.set(datetime.now(UTC))
    return make_world(parts=parts, hasher=hasher)


def configured(directory: Path, text: str) -> Config:
    """The built-in defaults with this text; approvals by account, as there are no passkeys here."""
    path = directory / "recvault.toml"
    path.write_text(f'[approvals]\nproof = "account"\n{text}', encoding="utf-8")
    return load(path, {})
