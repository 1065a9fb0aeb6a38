"""Random access gives what the library gives, and refuses what the library refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import combinations

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.errors import InvalidInput, RangeNotSatisfiable, Tampered
from recvault.sealing.container import CHUNK, HEADER, SEALED_CHUNK, TAG, ciphertext_length, stream_context
from recvault.sealing.ranges import CHUNKS_PER_FETCH, RangeReader, ReadAt

KEY = bytes(range(32))
ID = "0193a4d8-7c00-7000-8000-000000000001"
OTHER_ID = "0193a4d8-7c00-7000-8000-000000000002"
CONTEXT = stream_context(communication=ID, stream="original", generation=1)
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 77, 5 * CHUNK - 3, 5 * CHUNK]


def content(length: int) -> bytes:
    return hashlib.shake_128(b"content").digest(length)


def sealed(data: bytes, *, key: bytes = KEY, context: bytes = CONTEXT) -> bytes:
    library = Cobblestone256Encryptor(key, context)
    return library.update(data) + library.finalize()


MESSAGES = {size: sealed(content(size)) for size in SIZES}


def from_bytes(message: bytes | bytearray) -> ReadAt:
    return lambda offset, length: bytes(message[offset : offset + length])


def reader(message: bytes | bytearray, *, key: bytes = KEY, context: bytes = CONTEXT) -> RangeReader:
    return RangeReader(key=key, context=context, read=from_bytes(message), ciphertext_length=len(message))


def released(make: Callable[[], RangeReader]) -> tuple[bytes, bool]:
    """What came out of reading it all, and whether it ended in refusal."""
    plain = bytearray()
    try:
        for piece in make().read_all():
            plain += piece
    except Tampered:
        return bytes(plain), True
    return bytes(plain), False


@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_what_the_library_sealed(size: int) -> None:
    opened = reader(MESSAGES[size])
    assert opened.length == size
    assert b"".join(opened.read_all()) == content(size)


@settings(max_examples=400, deadline=None)
@given(size=st.sampled_from([size for size in SIZES if size]), data=st.data())
def test_any_range_is_the_slice(size: int, data: st.DataObject) -> None:
    near_edges = st.sampled_from([n * CHUNK + d for n in range(6) for d in (-1, 0, 1)])
    place = (st.integers(0, size - 1) | near_edges).filter(lambda at: 0 <= at < size)
    first, last = sorted((data.draw(place), data.draw(place)))
    pieces = list(reader(MESSAGES[size]).read(first, last))
    assert b"".join(pieces) == content(size)[first : last + 1]
    assert all(0 < len(piece) <= CHUNK for piece in pieces)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_outside_is_said_at_once(size: int) -> None:
    opened = reader(MESSAGES[size])
    for first, last in [(size, size), (0, size), (-1, 0), (1, 0), (size + 5, size + 9)]:
        with pytest.raises(RangeNotSatisfiable) as caught:
            opened.read(first, last)
        assert caught.value.length == size


def test_only_the_covering_chunks_are_fetched_in_bounded_runs() -> None:
    size = (2 * CHUNKS_PER_FETCH + 3) * CHUNK + 100
    message = sealed(content(size))
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return message[offset : offset + length]

    opened = RangeReader(key=KEY, context=CONTEXT, read=read, ciphertext_length=len(message))
    assert asked == [(0, HEADER), (HEADER + (2 * CHUNKS_PER_FETCH + 3) * SEALED_CHUNK, 100 + TAG)]
    asked.clear()
    assert b"".join(opened.read(CHUNK - 1, CHUNK)) == content(size)[CHUNK - 1 : CHUNK + 1]
    assert asked == [(HEADER, 2 * SEALED_CHUNK)]
    asked.clear()
    assert b"".join(opened.read_all()) == content(size)
    assert [length for _, length in asked] == [
        CHUNKS_PER_FETCH * SEALED_CHUNK,
        CHUNKS_PER_FETCH * SEALED_CHUNK,
        3 * SEALED_CHUNK + 100 + TAG,
    ]


def test_a_flipped_bit_in_any_byte_is_refused_before_its_chunk() -> None:
    size = 2 * CHUNK + 77
    data, message = content(size), bytearray(MESSAGES[size])
    last = HEADER + 2 * SEALED_CHUNK
    for place in range(len(message)):
        message[place] ^= 1 << place % 8
        plain, refused = released(lambda: reader(message))
        message[place] ^= 1 << place % 8
        bound = 0 if place < HEADER or place >= last else (place - HEADER) // SEALED_CHUNK * CHUNK
        assert refused, place
        assert plain == data[:bound], place


@settings(max_examples=100, deadline=None)
@given(size=st.sampled_from([5 * CHUNK - 3, 5 * CHUNK]), data=st.data())
def test_a_range_beside_the_bad_chunk_still_opens(size: int, data: st.DataObject) -> None:
    message = bytearray(MESSAGES[size])
    bad = data.draw(st.integers(0, 3))
    place = HEADER + bad * SEALED_CHUNK + data.draw(st.integers(0, SEALED_CHUNK - 1))
    message[place] ^= 1 << data.draw(st.integers(0, 7))
    opened = reader(message)
    for number in range(size // CHUNK):
        first, end = number * CHUNK, min((number + 1) * CHUNK, size)
        if number == bad:
            with pytest.raises(Tampered):
                list(opened.read(first, first))
            with pytest.raises(Tampered):
                list(opened.read(end - 1, end - 1))
        else:
            assert b"".join(opened.read(first, end - 1)) == content(size)[first:end]


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 77])
def test_cut_anywhere_releases_nothing(size: int) -> None:
    message = MESSAGES[size]
    edges = {HEADER + number * SEALED_CHUNK for number in range(4)}
    cuts = {edge + odd for edge in edges for odd in range(-TAG - 1, TAG + 2)} | {0, 1, HEADER // 2}
    cuts |= {len(message) - cut for cut in (1, 2, TAG, TAG + 1, 33)} | set(range(HEADER, len(message), 1009))
    for cut in (cut for cut in cuts if 0 <= cut < len(message)):
        assert released(lambda cut=cut: reader(message[:cut])) == (b"", True), cut  # type: ignore[misc]


def test_an_object_shorter_or_longer_than_its_manifest_releases_nothing() -> None:
    size = 2 * CHUNK + 77
    message = MESSAGES[size]
    for said in (ciphertext_length(size - 1), ciphertext_length(size + 1), ciphertext_length(9 * CHUNK)):
        make = lambda said=said: RangeReader(  # noqa: E731
            key=KEY, context=CONTEXT, read=from_bytes(message), ciphertext_length=said
        )
        assert released(make) == (b"", True)


def test_chunks_in_another_order_are_refused_at_the_first_wrong_place() -> None:
    data, message = content(5 * CHUNK - 3), MESSAGES[5 * CHUNK - 3]
    starts = range(HEADER, len(message), SEALED_CHUNK)
    chunks = [message[start : start + SEALED_CHUNK] for start in starts]
    for one, two in combinations(range(4), 2):
        swapped = list(chunks)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        plain, refused = released(lambda swapped=swapped: reader(message[:HEADER] + b"".join(swapped)))  # type: ignore[misc]
        assert refused
        assert plain == data[: one * CHUNK]
    assert released(lambda: reader(message[:HEADER] + b"".join(chunks[1:]))) == (b"", True)
    assert released(lambda: reader(message[:HEADER] + b"".join([chunks[0], *chunks]))) == (b"", True)


@pytest.mark.parametrize(
    ("key", "context"),
    [
        (bytes(32), CONTEXT),
        (KEY, b""),
        (KEY, stream_context(communication=OTHER_ID, stream="original", generation=1)),
        (KEY, stream_context(communication=ID, stream="waveform", generation=1)),
        (KEY, stream_context(communication=ID, stream="original", generation=2)),
    ],
    ids=["key", "no context", "swapped object", "other stream", "older generation"],
)
@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 77])
def test_another_key_or_context_releases_nothing(size: int, key: bytes, context: bytes) -> None:
    assert released(lambda: reader(MESSAGES[size], key=key, context=context)) == (b"", True)


def test_chunks_of_another_message_under_the_same_key_are_refused() -> None:
    size = 2 * CHUNK + 77
    mine, other = MESSAGES[size], sealed(content(size))
    for number in range(3):
        start = HEADER + number * SEALED_CHUNK
        mixed = mine[:start] + other[start : start + SEALED_CHUNK] + mine[start + SEALED_CHUNK :]
        plain, refused = released(lambda mixed=mixed: reader(mixed))  # type: ignore[misc]
        assert refused
        assert plain == (b"" if number == 2 else content(size)[: number * CHUNK])
    assert released(lambda: reader(other[:HEADER] + mine[HEADER:])) == (b"", True)


@pytest.mark.parametrize("wrong", [-SEALED_CHUNK, -1, 1])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_store_that_gives_other_than_asked_is_refused(wrong: int, call: int) -> None:
    size = 3 * CHUNK + 77
    message = sealed(content(size)) + bytes(SEALED_CHUNK)
    calls = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal calls
        calls += 1
        return message[offset : offset + max(0, length + (wrong if calls == call + 1 else 0))]

    plain, refused = released(
        lambda: RangeReader(key=KEY, context=CONTEXT, read=read, ciphertext_length=ciphertext_length(size))
    )
    assert (plain, refused) == (b"", True)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput):
        reader(MESSAGES[1], key=KEY[:16])
