"""What stands sealed in a row: identifying fields and the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.errors import InvalidInput, NotFound, Tampered
from recvault.domain.ids import canonical_json
from recvault.sealing.container import ciphertext_length
from recvault.sealing.fields import open_fields, seal_fields
from recvault.sealing.manifest import Manifest, StreamEntry, open_manifest, seal_manifest
from recvault.sealing.wrapping import FIELDS_LABEL, MANIFEST_LABEL, derive, seal_small

DEK = bytes(range(100, 132))
NONCE = bytes(range(12))
ID = "0193a4d8-7c00-7000-8000-000000000001"
OTHER_ID = "0193a4d8-7c00-7000-8000-000000000002"
FIELDS = {
    "name": "Åsa Öhman",
    "tel": "+358 40 123",
    "extra": {"emoji": "\N{TELEPHONE RECEIVER}", "n": [1, None]},
}


def entry(name: str = "original", generation: int = 1) -> StreamEntry:
    return StreamEntry(
        name=name,
        generation=generation,
        object_name=f"{ID}/{name}.{generation}",
        version_id="v1",
        plaintext_length=20_000,
        ciphertext_length=ciphertext_length(20_000),
        ciphertext_sha256="ab" * 32,
    )


MANIFEST = Manifest(
    communication=ID,
    streams=(entry(), replace(entry("waveform"), version_id=None)),
    plaintext_sha256="cd" * 32,
)
OTHER_MANIFEST = replace(MANIFEST, communication=OTHER_ID)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), _json))
def test_any_json_comes_back(fields: Mapping[str, object]) -> None:
    sealed = seal_fields(DEK, ID, fields, NONCE)
    assert open_fields(DEK, ID, sealed) == fields
    assert (len(sealed) - 28) % 256 == 0


def test_the_length_says_little() -> None:
    lengths = {len(seal_fields(DEK, ID, {"name": "x" * size}, NONCE)) for size in range(240)}
    assert lengths == {28 + 256}
    assert len(seal_fields(DEK, ID, {"name": "x" * 250}, NONCE)) == 28 + 512


def _nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), b"bytes", "\ud800", {1, 2}, _nested(100_000)],
    ids=["nan", "bytes", "surrogate", "set", "depth"],
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        seal_fields(DEK, ID, {"extra": value}, NONCE)


def test_fields_open_nowhere_else() -> None:
    sealed = seal_fields(DEK, ID, FIELDS, NONCE)
    assert open_fields(DEK, ID, sealed) == FIELDS
    for key, communication in [(bytes(32), ID), (DEK, OTHER_ID)]:
        with pytest.raises(Tampered):
            open_fields(key, communication, sealed)
    for place in range(len(sealed)):
        other = bytearray(sealed)
        other[place] ^= 1 << place % 8
        with pytest.raises(Tampered):
            open_fields(DEK, ID, bytes(other))
        with pytest.raises(Tampered):
            open_fields(DEK, ID, sealed[:place])


@pytest.mark.parametrize("plain", [b"", b"[]", b"{", b"\xff"])
def test_fields_that_are_no_object_are_refused(plain: bytes) -> None:
    aad = canonical_json({"communication": ID, "schema": FIELDS_LABEL})
    with pytest.raises(Tampered):
        open_fields(DEK, ID, seal_small(derive(DEK, FIELDS_LABEL), plain, aad, NONCE))


def test_manifest_comes_back() -> None:
    assert open_manifest(DEK, ID, seal_manifest(DEK, MANIFEST, NONCE)) == MANIFEST


def test_manifest_opens_nowhere_else() -> None:
    sealed = seal_manifest(DEK, MANIFEST, NONCE)
    for key, communication in [(bytes(32), ID), (DEK, OTHER_ID)]:
        with pytest.raises(Tampered):
            open_manifest(key, communication, sealed)
    with pytest.raises(Tampered):
        open_manifest(DEK, ID, seal_manifest(DEK, OTHER_MANIFEST, NONCE))
    for place in range(len(sealed)):
        other = bytearray(sealed)
        other[place] ^= 1 << place % 8
        with pytest.raises(Tampered):
            open_manifest(DEK, ID, bytes(other))
        with pytest.raises(Tampered):
            open_manifest(DEK, ID, sealed[:place])


def test_fields_and_manifest_do_not_pass_for_each_other() -> None:
    with pytest.raises(Tampered):
        open_manifest(DEK, ID, seal_fields(DEK, ID, FIELDS, NONCE))
    with pytest.raises(Tampered):
        open_fields(DEK, ID, seal_manifest(DEK, MANIFEST, NONCE))


def _raw(**changes: object) -> bytes:
    value = {
        "communication": ID,
        "plaintext_sha256": "cd" * 32,
        "schema": MANIFEST_LABEL,
        "streams": [asdict(entry())],
    }
    return canonical_json({key: item for key, item in (value | changes).items() if item is not None})


@pytest.mark.parametrize(
    "plain",
    [
        b"{",
        b"[]",
        _raw(schema="recvault/manifest/v2"),
        _raw(schema=None),
        _raw(streams=None),
        _raw(streams=[{"name": "original"}]),
        _raw(streams=[asdict(entry()), asdict(entry())]),
        _raw(communication=OTHER_ID),
        _raw(plaintext_sha256="CD" * 32),
        _raw(plaintext_sha256=5),
    ],
)
def test_a_genuine_seal_over_nonsense_is_refused(plain: bytes) -> None:
    aad = canonical_json({"communication": ID, "schema": MANIFEST_LABEL})
    with pytest.raises(Tampered):
        open_manifest(DEK, ID, seal_small(derive(DEK, MANIFEST_LABEL), plain, aad, NONCE))


@pytest.mark.parametrize(
    "streams",
    [
        (entry(), entry(generation=2)),
        (replace(entry(), ciphertext_length=20_000),),
        (replace(entry(), ciphertext_sha256="xyz"),),
    ],
    ids=["twice", "lengths", "digest"],
)
def test_a_manifest_that_contradicts_itself_is_refused(streams: tuple[StreamEntry, ...]) -> None:
    with pytest.raises(InvalidInput):
        replace(MANIFEST, streams=streams)


def test_streams_are_found_added_and_replaced() -> None:
    assert MANIFEST.stream("waveform").version_id is None
    with pytest.raises(NotFound):
        MANIFEST.stream("transcript")
    newer = MANIFEST.with_stream(entry("waveform", 2))
    assert [(known.name, known.generation) for known in newer.streams] == [("original", 1), ("waveform", 2)]
    assert len(newer.with_stream(entry("transcript")).streams) == 3
    with pytest.raises(InvalidInput):
        newer.with_stream(entry("waveform", 2))
