"""What is known of a recording: both notations, options over environment, nothing forged, nothing refused."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recvault.domain.errors import InvalidInput
from recvault.interfaces.hook.metadata import (
    complete,
    encode,
    from_base64,
    from_bytes,
    from_flat,
    merge,
    readable,
)
from recvault.sealing.edge import METADATA_LIMIT

ASTERISK = (
    b"direction=inbound\nstarted_at=1700000000\nlinked_id=1700000000.7\nqueue=service\nremote_tel=+358401234567\n"
    b"remote_name=Virtanen, Maija\nlocal_tel=+358912345\nagent=201\nanswered=yes\n"
)


def test_what_the_asterisk_dialplan_writes() -> None:
    assert from_base64(base64.b64encode(ASTERISK).decode()) == {
        "direction": "inbound",
        "started_at": "2023-11-14T22:13:20+00:00",
        "extra": {"linked_id": "1700000000.7"},
        "queue": "service",
        "remote": {"tel": "+358401234567", "name": "Virtanen, Maija"},
        "local": {"tel": "+358912345"},
        "agent": "201",
        "answered": True,
    }


def test_an_empty_number_says_withheld_and_other_empty_values_nothing() -> None:
    assert from_bytes(b"remote_tel=\nremote_name=\nqueue=\nanswered=no\n") == {"remote": {"tel": ""}, "answered": False}


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_caller_forges_no_line(end: str) -> None:
    found = from_bytes(f"remote_name=A{end}answered=no{end}direction=outbound\nanswered=yes\n".encode())
    assert found["answered"] is True
    assert "direction" not in found


def test_the_first_of_two_lines_counts() -> None:
    assert from_bytes(b"direction=inbound\ndirection=outbound\n") == {"direction": "inbound"}


def test_tags_gather_and_unknown_keys_pass() -> None:
    assert from_bytes(b"tag=a\ntag=b\ncolour=red\n") == {"tags": ["a", "b"], "colour": "red"}


def test_a_name_in_latin_1() -> None:
    assert from_bytes("remote_name=Päivi".encode("latin-1")) == {"remote": {"name": "Päivi"}}
    assert readable(b"\xe4".decode("utf-8", "surrogateescape")) == "ä"


def test_what_cannot_be_read_is_kept() -> None:
    assert from_bytes(b'{"channel": ') == {"extra": {"metadata_unread": '{"channel": '}}
    assert from_base64("%%%") == {"extra": {"metadata_unread": "%%%"}}
    assert from_bytes(b"no equals sign\nqueue=x") == {
        "queue": "x",
        "extra": {"metadata_unread": ["no equals sign"]},
    }
    assert from_bytes(b'{"a":' * 100_000)["extra"] is not None
    assert from_bytes(b"") == from_bytes(b"\n\n") == {}


def test_options_win_and_objects_merge() -> None:
    base = from_bytes(b'{"channel": "sms", "remote": {"tel": "1", "name": "N"}, "tags": ["a"]}')
    over = from_flat({"channel": "call", "remote_tel": "2", "tags": ["a", "b"], "agent": None})
    assert merge(base, over) == {
        "channel": "call",
        "remote": {"tel": "2", "name": "N"},
        "tags": ["a", "b"],
    }


def test_a_source_id_is_needed_and_may_be_hashed() -> None:
    with pytest.raises(InvalidInput, match="--source-id"):
        complete({"source_id": " "}, filename="f", hash_source_id=False)
    assert complete({"source_id": 17}, filename="f", hash_source_id=False) == {"source_id": "17", "filename": "f"}
    hashed = complete({"source_id": "x"}, filename="f", hash_source_id=True)["source_id"]
    assert hashed == complete({"source_id": " x "}, filename="f", hash_source_id=True)["source_id"]
    assert str(hashed).startswith("sha256-") and len(str(hashed)) == 71
    long = complete({"source_id": "x" * 256}, filename="f", hash_source_id=False)["source_id"]
    assert str(long).startswith("sha256-")


@pytest.mark.parametrize(
    "huge",
    [
        {"remote": {"name": "x" * 100_000}},
        {"extra": {str(n): "y" * 900 for n in range(200)}},
        {"tags": ["z" * 999] * 100},
        {"direction": "d" * 70_000},
    ],
)
def test_metadata_always_fit(huge: dict[str, object]) -> None:
    raw = encode({"source_id": "1", "channel": "call", **huge})
    found = json.loads(raw)
    assert len(raw) <= METADATA_LIMIT
    assert (found["source_id"], found["channel"], found["extra"]["metadata_cut"]) == ("1", "call", True)


@given(st.binary(max_size=300))
def test_any_bytes_become_metadata(raw: bytes) -> None:
    found = encode(complete({**from_bytes(raw), "source_id": "1"}, filename="f", hash_source_id=False))
    assert json.loads(found)["source_id"] == "1"


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.text(st.characters()), lambda s: st.lists(s, max_size=3))))
def test_any_text_is_encoded(value: dict[str, object]) -> None:
    assert json.loads(encode(value)) == value
