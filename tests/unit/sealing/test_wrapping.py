"""Data keys open only under their key, communication and key id; subkeys differ by label."""

from __future__ import annotations

import pytest

from recvault.domain.errors import InvalidInput, Tampered
from recvault.sealing.wrapping import FIELDS_LABEL, MANIFEST_LABEL, derive, unwrap, wrap, wrap_aad

KEK = bytes(range(32))
DEK = bytes(range(100, 132))
NONCE = bytes(range(12))
ID = "0193a4d8-7c00-7000-8000-000000000001"
OTHER_ID = "0193a4d8-7c00-7000-8000-000000000002"
AAD = wrap_aad(communication=ID, key_id="day/2026-11-22/1")


def test_round_trip_and_size() -> None:
    wrapped = wrap(KEK, DEK, AAD, NONCE)
    assert len(wrapped) == 60
    assert wrapped.startswith(NONCE)
    assert unwrap(KEK, wrapped, AAD) == DEK


def test_associated_data_in_its_written_form() -> None:
    assert AAD == (
        b'{"communication":"0193a4d8-7c00-7000-8000-000000000001","key":"day/2026-11-22/1","schema":"recvault/dek/v1"}'
    )


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    wrapped = wrap(KEK, DEK, AAD, NONCE)
    for place in range(len(wrapped)):
        for bit in range(8):
            other = bytearray(wrapped)
            other[place] ^= 1 << bit
            with pytest.raises(Tampered):
                unwrap(KEK, bytes(other), AAD)
        with pytest.raises(Tampered):
            unwrap(KEK, wrapped[:place], AAD)
    with pytest.raises(Tampered):
        unwrap(KEK, wrapped + b"x", AAD)


@pytest.mark.parametrize(
    "aad",
    [
        wrap_aad(communication=OTHER_ID, key_id="day/2026-11-22/1"),
        wrap_aad(communication=ID, key_id="day/2026-11-22/2"),
        wrap_aad(communication=ID, key_id="day/2026-11-23/1"),
        b"",
    ],
    ids=["communication", "generation", "day", "none"],
)
def test_another_place_is_refused(aad: bytes) -> None:
    with pytest.raises(Tampered):
        unwrap(KEK, wrap(KEK, DEK, AAD, NONCE), aad)


def test_another_key_is_refused() -> None:
    with pytest.raises(Tampered):
        unwrap(bytes(32), wrap(KEK, DEK, AAD, NONCE), AAD)


def test_lengths_are_checked() -> None:
    for kek, dek, nonce in [(KEK[:16], DEK, NONCE), (KEK, DEK[:16], NONCE), (KEK, DEK, NONCE[:8])]:
        with pytest.raises(InvalidInput):
            wrap(kek, dek, AAD, nonce)


@pytest.mark.parametrize("key_id", ["", "/day", "day 1", "day/\n", "x" * 129, "päivä/1"])
def test_odd_key_ids_are_refused(key_id: str) -> None:
    with pytest.raises(InvalidInput):
        wrap_aad(communication=ID, key_id=key_id)


def test_a_wrapped_key_belongs_to_a_communication() -> None:
    with pytest.raises(InvalidInput):
        wrap_aad(communication="elsewhere", key_id="day/2026-11-22/1")


def test_subkeys_differ_by_label_and_key() -> None:
    made = {derive(key, label) for key in (DEK, KEK) for label in (FIELDS_LABEL, MANIFEST_LABEL)}
    assert len(made | {DEK, KEK}) == 6
    assert all(len(key) == 32 for key in made)


@pytest.mark.parametrize("label", ["", "fields", "recvault/fields", "c2sp.org/chunked-encryption@v1+", "recvault/f/v0"])
def test_a_label_outside_our_own_is_refused(label: str) -> None:
    with pytest.raises(InvalidInput):
        derive(DEK, label)
