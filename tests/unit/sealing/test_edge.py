"""The edge envelope: any step size, cut or altered anywhere, sealed to another key, odd metadata."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.errors import InvalidInput, KeyDestroyed, RecvaultError, Tampered, TooLarge
from recvault.domain.ids import canonical_json
from recvault.sealing.container import CHUNK
from recvault.sealing.edge import (
    HEADER_LIMIT,
    MAGIC,
    METADATA_LIMIT,
    EdgeOpener,
    EdgeSealer,
    edge_context,
    edge_unwrap,
    edge_wrap,
)

PRIVATE = bytes(range(1, 33))
PUBLIC = X25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes_raw()
KEY_ID = "edge/2026-11"
METADATA = json.dumps({"source_id": "1700000000.1", "channel": "call"}).encode()


def content(length: int) -> bytes:
    return hashlib.shake_128(b"edge").digest(length)


def steps(data: bytes, step: int) -> Iterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


def envelope(data: bytes, *, metadata: bytes = METADATA, step: int = 10_007) -> bytes:
    sealer = EdgeSealer(public_key=PUBLIC, key_id=KEY_ID, metadata=metadata)
    written = sealer.head() + b"".join(sealer.update(piece) for piece in steps(data, step)) + sealer.finish()
    assert sealer.content_length == len(data)
    assert sealer.content_sha256 == hashlib.sha256(data).hexdigest()
    return written


def open_key(key_id: str, enc: bytes) -> bytes:
    return edge_unwrap(PRIVATE, key_id, enc)


def opened(written: bytes, step: int) -> tuple[bytes | None, bytes, RecvaultError | None]:
    """Metadata and content that came out, and the refusal if there was one."""
    opener, plain = EdgeOpener(open_key=open_key), bytearray()
    try:
        for piece in steps(written, step):
            plain += opener.feed(piece)
        plain += opener.close()
    except RecvaultError as refusal:
        return opener.metadata, bytes(plain), refusal
    return opener.metadata, bytes(plain), None


@pytest.mark.parametrize("size", [0, 1, CHUNK - 4 - len(METADATA), CHUNK - 1, CHUNK, 3 * CHUNK + 11])
@pytest.mark.parametrize("step", [1, 7, 1021, CHUNK, 100_000])
def test_round_trip_in_any_step(size: int, step: int) -> None:
    assert opened(envelope(content(size), step=step + 1), step) == (METADATA, content(size), None)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 4, CHUNK, METADATA_LIMIT])
def test_metadata_of_any_size_come_out_first(size: int) -> None:
    metadata = b" " * size
    assert opened(envelope(b"content", metadata=metadata), 4096) == (metadata, b"content", None)


def test_metadata_are_there_before_the_content_ends() -> None:
    opener = EdgeOpener(open_key=open_key)
    written = envelope(content(3 * CHUNK))
    first = opener.feed(written[: len(written) // 2])
    assert opener.metadata == METADATA
    assert opener.key_id == KEY_ID
    assert first
    assert content(3 * CHUNK).startswith(first)


def test_nothing_of_the_host_stands_in_the_open() -> None:
    written = envelope(b"spoken words " * 2000)
    assert b"source_id" not in written
    assert b"spoken" not in written


def test_metadata_too_large_are_refused_on_both_sides() -> None:
    with pytest.raises(TooLarge):
        EdgeSealer(public_key=PUBLIC, key_id=KEY_ID, metadata=bytes(METADATA_LIMIT + 1))
    refusal = opened(_forged((METADATA_LIMIT + 1).to_bytes(4) + bytes(METADATA_LIMIT + 1)), 1000)[2]
    assert isinstance(refusal, TooLarge)


def _forged(message: bytes, header: bytes | None = None) -> bytes:
    """An envelope by someone who has the public key and does not keep to the format."""
    key = bytes(32)
    enc = base64.b64encode(edge_wrap(PUBLIC, KEY_ID, key)).decode()
    header = header or canonical_json({"enc": enc, "key": KEY_ID})
    library = Cobblestone256Encryptor(key, edge_context(header))
    return MAGIC + len(header).to_bytes(2) + header + library.update(message) + library.finalize()


@pytest.mark.parametrize("message", [b"", b"\0\0\0", b"\0\0\0\x05meta", b"\0\1\0\0" + bytes(1000)])
def test_a_message_without_whole_metadata_is_refused(message: bytes) -> None:
    metadata, plain, refusal = opened(_forged(message), 100)
    assert (metadata, plain) == (None, b"")
    assert isinstance(refusal, Tampered)


def _headers() -> list[bytes]:
    enc = base64.b64encode(edge_wrap(PUBLIC, KEY_ID, bytes(32))).decode()
    plain = canonical_json({"enc": enc, "key": KEY_ID})
    return [
        b"{}",
        b"[]",
        b"not json",
        b"\xff\xfe",
        b"[" * HEADER_LIMIT,
        canonical_json({"enc": enc}),
        canonical_json({"enc": 5, "key": KEY_ID}),
        canonical_json({"enc": enc, "key": 5}),
        canonical_json({"enc": enc, "key": ""}),
        canonical_json({"enc": enc, "key": "../../etc"}),
        canonical_json({"enc": enc, "key": "edge/2026-12"}),
        canonical_json({"enc": enc, "key": KEY_ID, "more": 1}),
        canonical_json({"enc": enc + "!", "key": KEY_ID}),
        canonical_json({"enc": enc + "\n", "key": KEY_ID}),
        canonical_json({"enc": "", "key": KEY_ID}),
        canonical_json({"enc": base64.b64encode(bytes(80)).decode(), "key": KEY_ID}),
        plain + b" ",
        b'{"enc":"x",' + plain[1:],
        plain.ljust(HEADER_LIMIT + 1),
    ]


@pytest.mark.parametrize("header", _headers(), ids=range(len(_headers())))
def test_odd_headers_are_refused(header: bytes) -> None:
    metadata, plain, refusal = opened(_forged(b"\0\0\0\0", header), 50)
    assert (metadata, plain) == (None, b"")
    assert isinstance(refusal, Tampered)


def test_a_short_envelope_cut_at_every_byte_is_refused() -> None:
    written = envelope(b"hello")
    for cut in range(len(written)):
        metadata, plain, refusal = opened(written[:cut], 64)
        assert (metadata, plain) == (None, b""), cut
        assert isinstance(refusal, Tampered)


def test_a_long_envelope_cut_anywhere_is_refused() -> None:
    data = content(2 * CHUNK + 500)
    written = envelope(data)
    for cut in {*range(0, len(written), 397), *range(len(written) - 600, len(written))}:
        _, plain, refusal = opened(written[:cut], 9000)
        assert isinstance(refusal, Tampered), cut
        assert data.startswith(plain)


def test_altered_at_any_byte_is_refused() -> None:
    written = bytearray(envelope(b"hello"))
    for place in range(len(written)):
        for bit in range(8):
            written[place] ^= 1 << bit
            metadata, plain, refusal = opened(bytes(written), 128)
            written[place] ^= 1 << bit
            assert (metadata, plain) == (None, b""), (place, bit)
            assert isinstance(refusal, Tampered), (place, bit)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), step=st.integers(200, 50_000))
def test_altered_in_a_long_one_releases_a_genuine_beginning_only(place: int, bit: int, step: int) -> None:
    data = content(3 * CHUNK)
    written = bytearray(envelope(data))
    written[place % len(written)] ^= 1 << bit
    _, plain, refusal = opened(bytes(written), step)
    assert isinstance(refusal, Tampered)
    assert data.startswith(plain)
    assert len(plain) < len(data)


def test_bytes_after_the_end_are_refused() -> None:
    assert isinstance(opened(envelope(b"hello") + b"x", 64)[2], Tampered)


def test_the_header_of_another_envelope_does_not_fit() -> None:
    one, two = envelope(b"one"), envelope(b"two")
    end = len(MAGIC) + 2 + int.from_bytes(one[len(MAGIC) : len(MAGIC) + 2])
    assert isinstance(opened(two[:end] + one[end:], 64)[2], Tampered)


def test_another_private_key_or_key_id_does_not_open() -> None:
    enc = edge_wrap(PUBLIC, KEY_ID, bytes(32))
    assert edge_unwrap(PRIVATE, KEY_ID, enc) == bytes(32)
    for private, key_id in [(bytes(31) + b"\x01", KEY_ID), (PRIVATE, "edge/2026-12")]:
        with pytest.raises(Tampered):
            edge_unwrap(private, key_id, enc)


def test_only_stream_keys_are_unwrapped() -> None:
    with pytest.raises(Tampered):
        edge_unwrap(PRIVATE, KEY_ID, edge_wrap(PUBLIC, KEY_ID, b"short"))


@pytest.mark.parametrize("public", [b"", PUBLIC[:-1], bytes(32)], ids=["empty", "short", "low order"])
def test_what_is_no_public_key_is_refused(public: bytes) -> None:
    with pytest.raises(InvalidInput):
        EdgeSealer(public_key=public, key_id=KEY_ID, metadata=METADATA)


def test_what_the_keyring_says_passes_through_and_the_opener_stays_shut() -> None:
    def gone(key_id: str, _enc: bytes) -> bytes:
        raise KeyDestroyed(f"{key_id} is destroyed; send what is spooled again under the present key")

    opener = EdgeOpener(open_key=gone)
    written = envelope(b"hello")
    with pytest.raises(KeyDestroyed):
        opener.feed(written)
    with pytest.raises(Tampered):
        opener.feed(b"x")
    with pytest.raises(Tampered):
        opener.close()
