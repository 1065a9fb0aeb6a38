"""A reader written from docs/FORMAT.md alone opens the vectors, those in the file and fresh ones.

Its first part imports nothing of recvault: AES-GCM, X25519, HMAC and hashes are all it has. The last tests
hold the document's written forms to the code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import runpy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recvault.domain.errors import Tampered
from recvault.sealing.container import Opener, open_stream, stream_context
from recvault.sealing.edge import EdgeOpener, edge_context, edge_info, edge_unwrap
from recvault.sealing.fields import open_fields, seal_fields
from recvault.sealing.manifest import open_manifest, seal_manifest
from recvault.sealing.ranges import RangeReader
from recvault.sealing.wrapping import FIELDS_LABEL, MANIFEST_LABEL, derive, unwrap, wrap, wrap_aad

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[2] / "docs" / "FORMAT.md"

Vectors = dict[str, Any]


class Refused(Exception):
    """The stranger's reader does not accept this."""


# -- the stranger's reader --


def canonical(value: dict[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def expand(hash_name: str, key: bytes, info: bytes, length: int) -> bytes:
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([counter]), hash_name).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def gcm(key: bytes, nonce: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused from None


def read_stream(key: bytes, context: bytes, message: bytes) -> Iterator[bytes]:
    if len(message) < 56:
        raise Refused
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + message[:24] + context
    okm = expand("sha512", key, info, 76)
    if not hmac.compare_digest(okm[44:], message[24:56]):
        raise Refused
    number, at = 0, 56
    while True:
        sealed = message[at : at + 16400]
        if len(sealed) < 16:
            raise Refused
        nonce = bytes(a ^ b for a, b in zip(okm[32:44], number.to_bytes(12, "big"), strict=True))
        yield gcm(okm[:32], nonce, sealed)
        if len(sealed) < 16400:
            return
        number, at = number + 1, at + 16400


def read_small(dek: bytes, label: str, communication: str, sealed: bytes) -> dict[str, Any]:
    key = expand("sha512", dek, label.encode(), 32)
    plain = gcm(key, sealed[:12], sealed[12:], canonical({"communication": communication, "schema": label}))
    value: dict[str, Any] = json.loads(plain)
    return value


def hpke_open(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """RFC 9180: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one shot, no associated
    data."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"

    def extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.new(salt or bytes(32), b"HPKE-v1" + suite_id + label + ikm, "sha256").digest()

    def labeled(suite_id: bytes, prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        return expand("sha256", prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + context, length)

    own = X25519PrivateKey.from_private_bytes(private)
    dh = own.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
    kem_context = sealed[:32] + own.public_key().public_bytes_raw()
    shared = labeled(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", kem_context, 32)
    schedule = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    key = labeled(suite, secret, b"key", schedule, 32)
    return gcm(key, labeled(suite, secret, b"base_nonce", schedule, 12), sealed[32:])


def read_edge(private: bytes, envelope: bytes) -> tuple[bytes, bytes]:
    if envelope[:8] != b"RVEDGE1\n":
        raise Refused
    end = 10 + int.from_bytes(envelope[8:10], "big")
    header = json.loads(envelope[10:end])
    info = canonical({"key": header["key"], "schema": "recvault/edge/v1"})
    key = hpke_open(private, info, base64.b64decode(header["enc"]))
    digest = hashlib.sha256(envelope[10:end]).hexdigest()
    context = canonical({"header_sha256": digest, "schema": "recvault/edge/v1"})
    message = b"".join(read_stream(key, context, envelope[end:]))
    length = int.from_bytes(message[:4], "big")
    return message[4 : 4 + length], message[4 + length :]


def pattern(length: int) -> bytes:
    return bytes(i % 251 for i in range(length))


# -- the vectors --


def _fresh() -> Vectors:
    made: Vectors = json.loads(json.dumps(runpy.run_path(str(HERE / "make_vectors.py"))["vectors"]()))
    return made


@pytest.fixture(params=["file", "fresh"], scope="module")
def vectors(request: pytest.FixtureRequest) -> Vectors:
    if request.param == "fresh":
        return _fresh()
    read: Vectors = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
    return read


def test_the_file_has_what_the_script_writes() -> None:
    filed, fresh = json.loads((HERE / "vectors.json").read_text(encoding="utf-8")), _fresh()
    assert filed.keys() == fresh.keys()
    for part in ("plaintext", "wrapped_key", "subkeys", "fields", "refused"):
        assert filed[part] == fresh[part]


def test_wrapped_key(vectors: Vectors) -> None:
    v = vectors["wrapped_key"]
    kek, wrapped = bytes.fromhex(v["kek"]), bytes.fromhex(v["wrapped"])
    aad = canonical({"communication": v["communication"], "key": v["key_id"], "schema": "recvault/dek/v1"})
    assert aad.decode() == v["aad"]
    assert gcm(kek, wrapped[:12], wrapped[12:], aad).hex() == v["dek"]
    assert unwrap(kek, wrapped, aad).hex() == v["dek"]
    assert wrap(kek, bytes.fromhex(v["dek"]), aad, bytes.fromhex(v["nonce"])) == wrapped


def test_subkeys(vectors: Vectors) -> None:
    for v in vectors["subkeys"]:
        dek = bytes.fromhex(v["dek"])
        assert expand("sha512", dek, v["label"].encode(), 32).hex() == v["subkey"]
        assert derive(dek, v["label"]).hex() == v["subkey"]


def test_fields(vectors: Vectors) -> None:
    v = vectors["fields"]
    dek, sealed = bytes.fromhex(v["dek"]), bytes.fromhex(v["sealed"])
    assert read_small(dek, "recvault/fields/v1", v["communication"], sealed) == v["fields"]
    assert open_fields(dek, v["communication"], sealed) == v["fields"]
    assert seal_fields(dek, v["communication"], v["fields"], bytes.fromhex(v["nonce"])) == sealed


def test_manifest_names_the_streams(vectors: Vectors) -> None:
    v = vectors["manifest"]
    dek, sealed = bytes.fromhex(v["dek"]), bytes.fromhex(v["sealed"])
    read = read_small(dek, "recvault/manifest/v1", v["communication"], sealed)
    assert read["plaintext_sha256"] == v["plaintext_sha256"]
    for entry, stream in zip(read["streams"], vectors["streams"], strict=True):
        message = base64.b64decode(stream["ciphertext"])
        assert entry["object_name"] == f"{v['communication']}/{stream['name']}.{stream['generation']}"
        assert entry["ciphertext_sha256"] == hashlib.sha256(message).hexdigest()
        assert entry["ciphertext_length"] == len(message)
        assert entry["plaintext_length"] == stream["plaintext_length"]
    manifest = open_manifest(dek, v["communication"], sealed)
    assert [entry.name for entry in manifest.streams] == [stream["name"] for stream in vectors["streams"]]
    assert seal_manifest(dek, manifest, bytes.fromhex(v["nonce"])) == sealed


def test_streams(vectors: Vectors) -> None:
    for v in vectors["streams"]:
        key, message = bytes.fromhex(v["key"]), base64.b64decode(v["ciphertext"])
        context = canonical(
            {
                "communication": v["communication"],
                "generation": v["generation"],
                "schema": "recvault/stream/v1",
                "stream": v["name"],
            }
        )
        assert context.decode() == v["context"]
        plain = pattern(v["plaintext_length"])
        assert hashlib.sha256(plain).hexdigest() == v["plaintext_sha256"]
        assert b"".join(read_stream(key, context, message)) == plain
        assert b"".join(open_stream(Opener(key=key, context=context), [message])) == plain


def _edited(vectors: Vectors, edit: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    v = next(stream for stream in vectors["streams"] if stream["name"] == edit["of"])
    message = bytearray(base64.b64decode(v["ciphertext"]))
    if "flip" in edit:
        message[edit["flip"][0]] ^= 1 << edit["flip"][1]
    del message[edit.get("cut", len(message)) :]
    message += bytes.fromhex(edit.get("append", ""))
    context = stream_context(
        communication=edit.get("communication", v["communication"]),
        stream=edit.get("stream", v["name"]),
        generation=edit.get("generation", v["generation"]),
    )
    return bytes.fromhex(edit.get("key", v["key"])), context, bytes(message)


def test_refusals(vectors: Vectors) -> None:
    for edit in vectors["refused"]:
        key, context, message = _edited(vectors, edit)
        given = bytearray()
        with pytest.raises(Refused):
            for piece in read_stream(key, context, message):
                given += piece
        assert given == pattern(edit["releases"]), edit["why"]
        with pytest.raises(Tampered):
            list(open_stream(Opener(key=key, context=context), [message]))
        opened = partial(RangeReader, key=key, context=context, ciphertext_length=len(message))
        with pytest.raises(Tampered):
            list(opened(read=partial(_slice, message)).read_all())


def _slice(message: bytes, offset: int, length: int) -> bytes:
    return message[offset : offset + length]


def test_edge_envelopes(vectors: Vectors) -> None:
    for v in vectors["edge"]:
        private, envelope = bytes.fromhex(v["private_key"]), base64.b64decode(v["envelope"])
        expected = (v["metadata"].encode(), pattern(v["content_length"]))
        assert read_edge(private, envelope) == expected
        opener = EdgeOpener(open_key=partial(edge_unwrap, private))
        content = opener.feed(envelope) + opener.close()
        assert (opener.metadata, content) == expected
        assert hashlib.sha256(content).hexdigest() == v["content_sha256"]
        with pytest.raises(Refused):
            read_edge(private, envelope[:-1])


# -- the document --


def test_the_document_shows_the_written_forms_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    communication = "0193a4d8-7c00-7000-8000-000000000001"
    header = b'{"enc":"AAAA","key":"edge/2026-11"}'
    for form in (
        stream_context(communication=communication, stream="original", generation=1),
        wrap_aad(communication=communication, key_id="day/2026-11-22/1"),
        canonical({"communication": communication, "schema": FIELDS_LABEL}),
        canonical({"communication": communication, "schema": MANIFEST_LABEL}),
        edge_info("edge/2026-11"),
        edge_context(header),
    ):
        assert form.decode() in text
