"""Whole streams: lengths, contexts, sealing in any step size; all that is not the stream is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.errors import InvalidInput, Tampered, TooLarge
from recvault.sealing.container import (
    CHUNK,
    HEADER,
    MAX_CHUNKS,
    OVERLAP_FROM,
    SEALED_CHUNK,
    TAG,
    Opener,
    Sealer,
    ciphertext_length,
    object_name,
    open_stream,
    plaintext_length,
    seal_stream,
    stream_context,
)

KEY = bytes(range(32))
ID = "0193a4d8-7c00-7000-8000-000000000001"
OTHER_ID = "0193a4d8-7c00-7000-8000-000000000002"
CONTEXT = stream_context(communication=ID, stream="original", generation=1)
SIZES = [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 77, 5 * CHUNK - 3]


def content(length: int) -> bytes:
    return hashlib.shake_128(b"content").digest(length)


def steps(data: bytes, step: int) -> Iterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


def sealed(data: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    return b"".join(seal_stream(Sealer(key=key, context=context), [data]))


def released(data: bytes, *, step: int, key: bytes = KEY, context: bytes = CONTEXT) -> tuple[bytes, bool]:
    """What an opener gave out, and whether it refused in the end."""
    plain = bytearray()
    try:
        for piece in open_stream(Opener(key=key, context=context), steps(data, step)):
            plain += piece
    except Tampered:
        return bytes(plain), True
    return bytes(plain), False


@pytest.mark.parametrize("size", SIZES)
def test_lengths_map_one_to_one(size: int) -> None:
    assert ciphertext_length(size) == len(sealed(content(size)))
    assert plaintext_length(ciphertext_length(size)) == size


def test_every_length_that_no_stream_has_is_refused() -> None:
    possible = {ciphertext_length(size) for size in range(3 * CHUNK)}
    for length in range(-2, HEADER + 2 * SEALED_CHUNK + TAG):
        if length not in possible:
            with pytest.raises(Tampered):
                plaintext_length(length)


def test_the_specification_s_limit() -> None:
    most = MAX_CHUNKS * CHUNK - 1
    assert plaintext_length(ciphertext_length(most)) == most
    with pytest.raises(TooLarge):
        ciphertext_length(most + 1)
    with pytest.raises(Tampered):
        plaintext_length(HEADER + MAX_CHUNKS * SEALED_CHUNK + TAG)
    with pytest.raises(InvalidInput):
        ciphertext_length(-1)


def test_context_and_object_name_in_their_written_form() -> None:
    assert CONTEXT == (
        b'{"communication":"0193a4d8-7c00-7000-8000-000000000001","generation":1,'
        b'"schema":"recvault/stream/v1","stream":"original"}'
    )
    assert object_name(communication=ID, stream="original", generation=2) == f"{ID}/original.2"


@pytest.mark.parametrize(
    ("communication", "stream", "generation"),
    [
        ("not-an-id", "original", 1),
        (ID.upper(), "original", 1),
        (ID, "", 1),
        (ID, "a/b", 1),
        (ID, "Original", 1),
        (ID, "a" * 33, 1),
        (ID, "original\n", 1),
        (ID, "original", 0),
        (ID, "original", True),
    ],
)
def test_names_that_could_mean_two_things_are_refused(communication: str, stream: str, generation: int) -> None:
    for make in (stream_context, object_name):
        with pytest.raises(InvalidInput):
            make(communication=communication, stream=stream, generation=generation)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1021, CHUNK - 1, CHUNK, CHUNK + 1, 40_000])
def test_sealing_in_steps_opens_with_the_library_and_measures_both_sides(size: int, step: int) -> None:
    data = content(size)
    sealer = Sealer(key=KEY, context=CONTEXT)
    message = b"".join(seal_stream(sealer, steps(data, step)))
    library = Cobblestone256Decryptor(KEY, CONTEXT)
    assert library.update(message) + library.finalize() == data
    assert released(message, step=step) == (data, False)
    assert sealer.seal.plaintext_length == size
    assert sealer.seal.ciphertext_length == len(message)
    assert sealer.seal.plaintext_sha256 == hashlib.sha256(data).hexdigest()
    assert sealer.seal.ciphertext_sha256 == hashlib.sha256(message).hexdigest()


def test_a_helper_changes_nothing_but_the_speed() -> None:
    data = content(3 * OVERLAP_FROM + 5)
    with ThreadPoolExecutor(1) as helper:
        sealer = Sealer(key=KEY, context=CONTEXT, helper=helper)
        message = b"".join(seal_stream(sealer, [data[:OVERLAP_FROM], data[OVERLAP_FROM:], b"", b"end"]))
    assert released(message, step=len(message)) == (data + b"end", False)
    assert sealer.seal.plaintext_sha256 == hashlib.sha256(data + b"end").hexdigest()
    assert sealer.seal.ciphertext_sha256 == hashlib.sha256(message).hexdigest()


def test_bytearrays_and_memoryviews_are_taken() -> None:
    sealer = Sealer(key=KEY, context=CONTEXT)
    message = b"".join(seal_stream(sealer, [bytearray(b"abc"), memoryview(b"_def_")[1:4]]))
    opener = Opener(key=KEY, context=CONTEXT)
    assert opener.update(memoryview(bytearray(message))) + opener.finish() == b"abcdef"


def test_the_same_plaintext_never_seals_alike() -> None:
    assert sealed(b"the same") != sealed(b"the same")


def test_measures_are_told_only_at_the_end() -> None:
    sealer = Sealer(key=KEY, context=CONTEXT)
    sealer.update(b"abc")
    with pytest.raises(InvalidInput):
        _ = sealer.seal


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"x"])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    for make in (Sealer, Opener):
        with pytest.raises(InvalidInput):
            make(key=key, context=CONTEXT)


@settings(max_examples=150, deadline=None)
@given(size=st.sampled_from(SIZES), step=st.integers(500, 40_000), data=st.data())
def test_a_flipped_bit_releases_nothing_of_its_chunk(size: int, step: int, data: st.DataObject) -> None:
    message = bytearray(sealed(content(size)))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] ^= 1 << data.draw(st.integers(0, 7))
    plain, refused = released(bytes(message), step=step)
    assert refused
    assert len(plain) <= max(place - HEADER, 0) // SEALED_CHUNK * CHUNK
    assert content(size).startswith(plain)


def test_cut_anywhere_is_refused() -> None:
    data = content(2 * CHUNK + 77)
    message = sealed(data)
    edges = [HEADER + number * SEALED_CHUNK for number in range(3)]
    cuts = {edge + odd for edge in edges for odd in (-1, 0, 1, TAG - 1, TAG, TAG + 1)}
    for cut in cuts | {0, 1, HEADER - 1, len(message) - 1, len(message) - TAG}:
        plain, refused = released(message[:cut], step=5000)
        assert refused, cut
        assert data.startswith(plain)


def test_growing_reordering_doubling_is_refused() -> None:
    data = content(4 * CHUNK + 9)
    message = sealed(data)
    head, chunks = message[:HEADER], list(steps(message[HEADER:], SEALED_CHUNK))
    others = [message + b"x", message + bytes(TAG), message + chunks[-1], message + message]
    for one, two in combinations(range(len(chunks)), 2):
        swapped = list(chunks)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        others.append(head + b"".join(swapped))
    others.append(head + b"".join(chunks[1:]))
    others.append(head + b"".join([chunks[0], *chunks]))
    for other in others:
        plain, refused = released(other, step=7777)
        assert refused
        assert data.startswith(plain)


@pytest.mark.parametrize(
    ("key", "context"),
    [
        (bytes(32), CONTEXT),
        (KEY, b""),
        (KEY, stream_context(communication=OTHER_ID, stream="original", generation=1)),
        (KEY, stream_context(communication=ID, stream="waveform", generation=1)),
        (KEY, stream_context(communication=ID, stream="original", generation=2)),
    ],
    ids=["key", "no context", "communication", "stream", "generation"],
)
def test_another_key_or_context_releases_nothing(key: bytes, context: bytes) -> None:
    assert released(sealed(content(3 * CHUNK)), step=1000, key=key, context=context) == (b"", True)


def test_a_refused_or_finished_opener_stays_so() -> None:
    opener = Opener(key=KEY, context=CONTEXT)
    with pytest.raises(Tampered):
        opener.update(bytes(HEADER))
    with pytest.raises(Tampered):
        opener.update(b"x")
    with pytest.raises(Tampered):
        opener.finish()
