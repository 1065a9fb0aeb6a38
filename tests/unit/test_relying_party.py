"""Under which name and address passkeys work, by the configuration; and whose answers count there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recvault.adapters.webauthn import WebAuthn
from recvault.bootstrap.passkeys import relying_party
from recvault.domain.passkeys import PasskeyRefused
from tests.support.archives import configuration
from tests.support.authenticator import Authenticator

PROXY = {"SERVER__TRUSTED_PROXIES": "127.0.0.1", "ACCESS__SECOND_FACTOR": "required"}


def test_without_a_proxy_it_is_this_machine_by_its_name() -> None:
    for settings in (
        {},
        {"SERVER__PUBLIC_URL": "https://archive.company.example", "ACCESS__SECOND_FACTOR": "required"},
    ):
        party = relying_party(configuration(**settings))
        assert (party.id, party.origin, party.any_port) == ("localhost", "http://localhost:8470", True)


@pytest.mark.parametrize(
    ("url", "name", "origin"),
    [
        ("https://Archive.Company.example", "archive.company.example", "https://archive.company.example"),
        ("https://archive.company.example:443", "archive.company.example", "https://archive.company.example"),
        ("https://archive.company.example:8443", "archive.company.example", "https://archive.company.example:8443"),
    ],
)
def test_behind_a_proxy_it_is_the_public_name(url: str, name: str, origin: str) -> None:
    party = relying_party(configuration(SERVER__PUBLIC_URL=url, **PROXY))
    assert (party.id, party.origin, party.any_port) == (name, origin, False)


def test_a_public_address_is_exact_and_a_local_one_leaves_the_port_open() -> None:
    public = relying_party(configuration(SERVER__PUBLIC_URL="https://archive.company.example", **PROXY))
    ask = b"c" * 32
    for party, origin, counts in (
        (public, public.origin, True),
        (public, "https://archive.company.example:8443", False),
        (public, "http://archive.company.example", False),
        (public, "https://archive.company.example.attacker.example", False),
        (public, "https://sub.archive.company.example", False),
        (relying_party(configuration()), "http://localhost:9000", True),
        (relying_party(configuration()), "http://127.0.0.1:8470", False),
        (relying_party(configuration()), "http://localhost:8470.attacker.example", False),
    ):
        adapter = WebAuthn(party)
        device = Authenticator(origin=origin, party=party.id)
        key = WebAuthn(replace(party, origin=origin)).registered(
            device.create({"user": {"id": ""}, "challenge": "Yw"}), challenge=b"c"
        )
        signed = adapter.signed(device.sign(ask))
        if counts:
            assert adapter.verify(signed, challenge=ask, public_key=key.public_key) == device.count
        else:
            with pytest.raises(PasskeyRefused, match="another address"):
                adapter.verify(signed, challenge=ask, public_key=key.public_key)
