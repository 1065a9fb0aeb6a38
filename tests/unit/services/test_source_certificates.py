"""Sources bound to client certificates: who comes in, what is refused and noted, whom the doctor tells of."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from recvault.domain.accounts import SourceCertificate
from recvault.domain.audit import Act
from recvault.domain.errors import CertificateRequired, Conflict, InvalidInput, NotAuthenticated, NotFound
from recvault.interfaces.cli.doctor_sources import source_state
from recvault.interfaces.cli.source_certificates import parse_fingerprint, read_certificate
from recvault.interfaces.http.client_certificates import fingerprint_of
from recvault.interfaces.server import Address, http_server, listening
from recvault.services.sources import PER_SOURCE
from tests.support.archives import World, configuration, eventually, make_world, memory_parts
from tests.support.authority import make_authority

A, B = bytes([1]) * 32, bytes([2]) * 32
DER = b"0\x82 as if it were a certificate"


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


def bind(world: World, fingerprint: bytes, *, days: float | None = 30) -> None:
    end = None if days is None else world.clock.now() + timedelta(days=days)
    world.archive.sources.bind("pbx", fingerprint, not_after=end, by="system:test")


def refusals(world: World) -> list[object]:
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        entries = [one.entry for one in unit.audit.read(0, 1000)]
    return [entry.detail["certificate"] for entry in entries if entry.act is Act.SOURCE_REFUSED]


def test_a_bound_source_needs_token_and_certificate(world: World) -> None:
    sources = world.archive.sources
    assert sources.whose(world.token, certificate=None).name == "pbx", "not bound yet"
    assert sources.whose(world.token, certificate=A).name == "pbx"
    bind(world, A)
    bind(world, B, days=None)
    for shown in (A, B):
        assert sources.whose(world.token, certificate=shown).certificates[0].fingerprint == A
    for shown_wrong in (None, bytes(32)):
        with pytest.raises(CertificateRequired, match="certificate"):
            sources.whose(world.token, certificate=shown_wrong)
    other = sources.add("other", by="system:test")[1]
    sources.revoke("other", by="system:test")
    with pytest.raises(NotAuthenticated, match="unknown or revoked"):
        sources.whose(other, certificate=A)


def test_taken_back_it_opens_nothing_and_with_the_last_the_token_alone_counts(world: World) -> None:
    sources = world.archive.sources
    bind(world, A)
    bind(world, B)
    assert len(sources.unbind("pbx", A, by="system:test").certificates) == 1
    with pytest.raises(CertificateRequired, match="none of this source's"):
        sources.whose(world.token, certificate=A)
    with pytest.raises(NotFound, match="not bound"):
        sources.unbind("pbx", A, by="system:test")
    assert sources.unbind("pbx", B, by="system:test").certificates == ()
    assert sources.whose(world.token, certificate=None).name == "pbx"


def test_a_certificate_past_its_end_is_refused(world: World) -> None:
    bind(world, A, days=1)
    world.later(days=2)
    with pytest.raises(CertificateRequired, match="past its end"):
        world.archive.sources.whose(world.token, certificate=A)


def test_a_refusal_stands_in_the_log_once_an_hour_by_reason(world: World) -> None:
    bind(world, A)
    for shown in (None, None, B, None, B):
        with pytest.raises(CertificateRequired):
            world.archive.sources.whose(world.token, certificate=shown)
    assert refusals(world) == ["missing", "unknown"]
    world.later(hours=1)
    with pytest.raises(CertificateRequired):
        world.archive.sources.whose(world.token, certificate=None)
    assert refusals(world) == ["missing", "unknown", "missing"]


def test_twice_too_many_and_unknown_sources_are_refused(world: World) -> None:
    bind(world, A)
    with pytest.raises(Conflict, match="already"):
        bind(world, A)
    with pytest.raises(NotFound, match="source list"):
        world.archive.sources.bind("nobody", A, not_after=None, by="system:test")
    for number in range(1, PER_SOURCE):
        bind(world, number.to_bytes(32))
    with pytest.raises(Conflict, match="at most"):
        bind(world, B)
    with pytest.raises(ValueError, match="32 bytes"):
        SourceCertificate(fingerprint=b"short", added_at=world.clock.now())


def asked(scheme: str, *values: str) -> bytes | None:
    headers = [(b"client-cert", value.encode()) for value in values]
    return fingerprint_of(Request({"type": "http", "scheme": scheme, "path": "/", "headers": headers}))


def test_the_header_is_a_byte_sequence_and_counts_over_tls_only() -> None:
    good = f":{base64.b64encode(DER).decode()}:"
    assert asked("https", good) == hashlib.sha256(DER).digest()
    assert asked("http", good) is None, "nobody who is believed says so"
    for bad in ("", "::", ":", ":%%%:", base64.b64encode(DER).decode(), good + ";a=1", ":{placeholder}:"):
        assert asked("https", bad) is None
    assert asked("https", good, good) is None and asked("https") is None


@pytest.mark.parametrize(("trusted", "status"), [('["127.0.0.1"]', 200), ('["10.9.8.7"]', 401), ("[]", 401)])
def test_only_a_proxy_that_is_named_tells_of_a_certificate(trusted: str, status: int) -> None:
    parts = memory_parts()
    parts.config = configuration(SERVER__TRUSTED_PROXIES=trusted)
    world = make_world(parts=parts)
    with world.archive, serving_as_configured(world) as address:
        world.archive.sources.bind("pbx", hashlib.sha256(DER).digest(), not_after=None, by="system:test")
        assert edge_key(address, world.token).status_code == status


@contextmanager
def serving_as_configured(world: World) -> Iterator[str]:
    """By the server of the program itself, which decides whom to believe."""
    with listening(Address(host="127.0.0.1", port=0)) as bound:
        server = http_server(world.archive)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        eventually(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def edge_key(address: str, token: str) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.9",
        "Client-Cert": f":{base64.b64encode(DER).decode()}:",
    }
    return httpx.get(f"{address}/v1/edge-key", headers=headers)


def test_the_doctor_tells_before_and_after_the_end(world: World) -> None:
    behind = configuration(
        SERVER__PUBLIC_URL="https://archive.company.example",
        SERVER__TRUSTED_PROXIES='["127.0.0.1"]',
        ACCESS__SECOND_FACTOR="required",
    )
    now = world.clock.now()
    assert source_state(world.archive.sources.all(), behind, now)[1] == ""
    bind(world, A, days=20)
    sources = world.archive.sources.all()
    assert source_state(sources, configuration(), now)[2], "no proxy could show one"
    told, mend, out = source_state(sources, behind, now)
    assert "ending within 30 days: pbx" in told and "add" in mend and not out
    told, mend, out = source_state(sources, behind, now + timedelta(days=21))
    assert "past the end: pbx" in told and mend and out
    bind(world, B, days=400)
    assert source_state(world.archive.sources.all(), behind, now + timedelta(days=21))[1] == ""


def test_a_file_of_a_certificate_is_read_and_others_are_refused(tmp_path: Path) -> None:
    pem = make_authority(tmp_path).file.read_bytes()
    fingerprint, ends = read_certificate(pem)
    assert len(fingerprint) == 32 and ends.tzinfo is not None
    for bad in (b"", b"nothing", pem + pem, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(InvalidInput, match="certificate"):
            read_certificate(bad)
    assert parse_fingerprint(fingerprint.hex(":").upper()) == fingerprint
    with pytest.raises(InvalidInput, match="64 hexadecimal"):
        parse_fingerprint("abc")
