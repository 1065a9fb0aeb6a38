"""Media types from bytes, and the header that offers a file for saving."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.intake.media import (
    HEAD_BYTES,
    OPAQUE,
    content_disposition,
    decide_media_type,
    is_playable_inline,
    sniff,
    suffix_of,
)

SAMPLES = Path(__file__).parents[2] / "samples"


def wav(tag: int, *, before: bytes = b"", subformat: int = 0) -> bytes:
    extension = (
        b"\x16\0\x10\0\x03\0\0\0" + subformat.to_bytes(2, "little") + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    )
    body = tag.to_bytes(2, "little") + bytes(14) + (extension if subformat else b"")
    return b"RIFF\0\0\0\0WAVE" + before + b"fmt " + len(body).to_bytes(4, "little") + body + b"data\0\0\0\0"


def ogg(packet: bytes) -> bytes:
    return b"OggS\0\x02" + bytes(20) + b"\x01" + bytes([len(packet)]) + packet


MP3_FRAME = b"\xff\xfb\x90\x44" + bytes(413)
ADTS_FRAME = b"\xff\xf1\x60\x40\x04\x00\xfc" + bytes(25)
HEADS = {
    "audio/wav": [
        wav(1),
        wav(3),
        wav(0xFFFE, subformat=1),
        wav(1, before=b"JUNK\x03\0\0\0abc\0"),
        b"RIFF\0\0\0\0WAVEfmt ",
    ],
    "audio/wav; codec=6": [wav(6), wav(0xFFFE, subformat=6)],
    "audio/wav; codec=7": [wav(7)],
    "audio/wav; codec=31": [wav(0x31)],
    "audio/wav; codec=11": [wav(0x11)],
    "audio/wav; codec=2": [wav(2)],
    "audio/ogg; codecs=opus": [ogg(b"OpusHead\x01")],
    "audio/ogg; codecs=vorbis": [ogg(b"\x01vorbis\0")],
    "audio/ogg; codecs=flac": [ogg(b"\x7fFLAC\x01")],
    "audio/ogg": [ogg(b"other"), b"OggS"],
    "video/ogg": [ogg(b"\x80theora\x03")],
    "audio/webm; codecs=opus": [b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm....\x86\x86A_OPUS"],
    "video/webm": [b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm....\x86\x85V_VP8\x86\x86A_OPUS"],
    "audio/x-matroska": [b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska"],
    "audio/mpeg": [b"ID3\x04\0\0\0\0\x01\x02", MP3_FRAME * 2, MP3_FRAME[:100]],
    "audio/aac": [ADTS_FRAME * 2],
    "audio/flac": [b"fLaC\0"],
    "audio/amr": [b"#!AMR\n\x3c"],
    "audio/amr-wb": [b"#!AMR-WB\n"],
    "audio/mp4": [b"\0\0\0\x1cftypM4A \0\0\x02\0"],
    "video/mp4": [b"\0\0\0\x1cftypisom\0\0\x02\0"],
    "audio/3gpp": [b"\0\0\0\x1cftyp3gp4\0\0\x02\0"],
    "audio/basic": [b".snd\0\0\0\x2c"],
    "audio/aiff": [b"FORM\0\0\0\0AIFFCOMM", b"FORM\0\0\0\0AIFC"],
    "application/pdf": [b"%PDF-1.7"],
    "application/zip": [b"PK\x03\x04\x14"],
    "message/rfc822": [
        b"Received: from a\r\n\tby b\r\nFrom: a@b.fi\r\nSubject: hei\r\n\r\n<html>",
        b"Date: x\nTo: a\nMessage-ID: <1@x>\n\nhei",
    ],
    "application/mbox": [b"From a@b Thu Jan  1\nFrom: a\nTo: b\nDate: c\n\nhei"],
    "text/html": [
        b"<!DOCTYPE html><p>",
        b"\xef\xbb\xbf \n<HTML>",
        b"<!-- x --><script>",
        b"\xff\xfe<\0h\0t\0m\0l\0>\0",
    ],
    "image/svg+xml": [b"<svg xmlns=", b"<?xml version='1.0'?>\n<svg onload=", b"<s:svg >"],
    "application/xhtml+xml": [b"<?xml version='1.0'?><x xmlns='http://www.w3.org/1999/xhtml'>"],
    "application/xml": [b"<?xml version='1.0'?><recording/>"],
}


@pytest.mark.parametrize(("expected", "head"), [(kind, head) for kind, heads in HEADS.items() for head in heads])
def test_signatures(expected: str, head: bytes) -> None:
    assert sniff(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"R",
        b"\xff\xfb",
        b"\xff" * 64,
        b"\xff\xfe~\xff" * 99,
        b"hei",
        b"From: me\nhow are you",
        b"RIFF\x00\x00\x00\x00AVI ",
        MP3_FRAME + b"x" * 99,
        bytes(4000),
        b"{}",
        b"\xd5" * 99,
        b"a < b",
    ],
)
def test_what_is_no_signature(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("declared", "filename", "head", "decided"),
    [
        ("audio/x-wav", "a.wav", wav(1), ("audio/wav", False)),
        ("audio/wav;codec=1", "a.wav", wav(6), ("audio/wav; codec=6", False)),
        ("audio/mpeg", "a.mp3", wav(1), ("audio/wav", True)),
        (None, "a.html", wav(1), ("audio/wav", False)),
        (OPAQUE, None, wav(1), ("audio/wav", False)),
        ("video/webm", None, HEADS["audio/webm; codecs=opus"][0], ("audio/webm; codecs=opus", False)),
        ("audio/opus", None, HEADS["audio/ogg; codecs=opus"][0], ("audio/ogg; codecs=opus", False)),
        ("audio/mpeg", "a.mp3", b"<svg onload=x>", (OPAQUE, True)),
        ("text/html", "a.html", b"<html>", (OPAQUE, False)),
        ("text/html", "a.html", b"hei", (OPAQUE, True)),
        ("Application/JavaScript", None, b"alert(1)", (OPAQUE, True)),
        ("image/svg+xml; charset=utf-8", None, b"hei", (OPAQUE, True)),
        ("text/plain; charset=UTF-8", None, b"hei", ("text/plain; charset=UTF-8", False)),
        ('text/plain; charset="a\r\nb"; version=1', None, b"hei", ("text/plain; version=1", False)),
        ("text/plain; name=Matti.txt; charset=utf-8", None, b"hei", ("text/plain; charset=utf-8", False)),
        ("audio/wav", "a.wav", b"hei", ("audio/wav", True)),
        ("audio/wav", "a.wav", b"", ("audio/wav", False)),
        ("audio/wav", "a.gsm", b"\xdahei", ("audio/x-gsm", True)),
        (None, "a.ULAW", b"\xff", ("audio/pcmu", False)),
        (None, "a.html", b"hei", (OPAQUE, False)),
        (None, None, b"", (OPAQUE, False)),
        ("nonsense", "x", b"hei", (OPAQUE, True)),
        ("a/b\r\nSet-Cookie: x", None, b"hei", (OPAQUE, True)),
        ("a" * 200 + "/b", None, b"hei", (OPAQUE, True)),
    ],
)
def test_who_decides(declared: str | None, filename: str | None, head: bytes, decided: tuple[str, bool]) -> None:
    assert decide_media_type(declared, filename, head) == decided


@settings(deadline=None)
@given(st.one_of(st.none(), st.text(max_size=30)), st.one_of(st.none(), st.text(max_size=10)), st.binary(max_size=64))
def test_the_decision_is_a_harmless_header_value(declared: str | None, filename: str | None, head: bytes) -> None:
    media_type, _ = decide_media_type(declared, filename, head)
    assert re.fullmatch(r"[\x20-\x7e]{3,}", media_type)
    assert not re.search(r"html|svg|script", media_type)


@pytest.mark.parametrize(
    ("media_type", "playable"),
    [
        ("audio/wav", True),
        ("audio/wav; codec=6", True),
        ("audio/wav; codec=0007", True),
        ("audio/wav; codec=31", False),
        ("audio/x-wav", True),
        ("audio/ogg; codecs=opus", True),
        ("audio/webm", True),
        ("audio/mp4", True),
        ("audio/amr", False),
        ("audio/aiff", False),
        ("video/mp4", False),
        ("text/html", False),
        ("application/pdf", False),
        ("", False),
    ],
)
def test_what_a_browser_may_play(media_type: str, playable: bool) -> None:
    assert is_playable_inline(media_type) is playable


# -- Content-Disposition -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("call.wav", 'attachment; filename="call.wav"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("C:\\temp\\a.wav", 'attachment; filename="a.wav"'),
        ('a"; x="b.wav', "attachment; filename=\"a__ x__b.wav\"; filename*=UTF-8''a__%20x%3D_b.wav"),
        ("a\r\nSet-Cookie: b.wav", 'attachment; filename="aSet-Cookie_ b.wav"'),
        ("p\u00e4iv\u00e4.wav", "attachment; filename=\"paiva.wav\"; filename*=UTF-8''p%C3%A4iv%C3%A4.wav"),
        ("\U0001f600.wav", "attachment; filename=\"0192.wav\"; filename*=UTF-8''%F0%9F%98%80.wav"),
        ("a\u202egpj.exe", 'attachment; filename="agpj.exe"'),
        ("..", 'attachment; filename="0192"'),
        ("", 'attachment; filename="0192"'),
        (None, 'attachment; filename="0192"'),
        ("nul.wav", 'attachment; filename="_nul.wav"'),
        ("a" * 4096 + ".wav", f'attachment; filename="{"a" * 176}.wav"'),
    ],
)
def test_names_offered_for_saving(filename: str | None, header: str) -> None:
    assert content_disposition(filename, "0192", False) == header


def test_inline() -> None:
    assert content_disposition("a.wav", "x", True) == 'inline; filename="a.wav"'


@settings(deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="./\\\"'%;\r\n\0\u202e\ud800\U0001f600a", max_size=400)))
def test_any_name_makes_a_safe_header(filename: str) -> None:
    header = content_disposition(filename, filename, False)
    match = re.fullmatch(r"attachment; filename=\"([A-Za-z0-9._ +()-]+)\"(?:; filename\*=UTF-8''([!-~]+))?", header)
    assert match is not None and len(header) < 1000
    for name in (match[1], unquote(match[2] or "x")):
        assert not re.search(r"[/\\\x00-\x1f\x7f\u202e]", name) and name not in {".", ".."}


# -- real files ----------------------------------------------------------------------------------------------

BY_SUFFIX = {
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".3gp": "audio/3gpp",
    ".amr": "audio/amr",
    ".flac": "audio/flac",
    ".oga": "audio/ogg; codecs=flac",
    ".opus": "audio/ogg; codecs=opus",
    ".webm": "audio/webm; codecs=opus",
    ".au": "audio/basic",
    ".aiff": "audio/aiff",
    ".pcap": "application/vnd.tcpdump.pcap",
    ".gsm": None,
    ".ulaw": None,
    ".alaw": None,
    ".g722": None,
    ".sln": None,
    ".json": None,
}
BY_NAME = {
    "UPPER.WAV": "audio/wav; codec=6",
    "mp3-in-riff-8k-mono.wav": "audio/wav; codec=55",
    "really-mp3.wav": "audio/mpeg",
    "really-webm.ogg": "audio/webm; codecs=opus",
    "m3u-ssrf.mp3": "application/vnd.apple.mpegurl",
    "svg-script.mp3": "image/svg+xml",
    "zip-slip.mp3": "application/zip",
    "mp3-leading-garbage.mp3": None,
    "ogg-cut-mid-page.ogg": "audio/ogg; codecs=opus",
    "alaw-8k-mono.wav": "audio/wav; codec=6",
    "alaw-8k-stereo.wav": "audio/wav; codec=6",
    "gsm610-8k-mono.wav": "audio/wav; codec=31",
    "asterisk-2-mixed.WAV": "audio/wav; codec=31",
    "ima-adpcm-8k-stereo.wav": "audio/wav; codec=11",
    "ms-adpcm-8k-mono.wav": "audio/wav; codec=2",
    "g726-32k-8k-mono.wav": "audio/wav; codec=45",
}


def expected_of(path: Path) -> str | None:
    if path.name in BY_NAME:
        return BY_NAME[path.name]
    defaults = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg; codecs=vorbis"}
    return {**BY_SUFFIX, **defaults}[path.suffix.lower()]


@pytest.mark.parametrize("folder", ["audio", "real"])
def test_sample_recordings(folder: str) -> None:
    paths = sorted((SAMPLES / folder).iterdir())
    assert paths
    for path in paths:
        with path.open("rb") as stream:
            assert sniff(stream.read(HEAD_BYTES)) == expected_of(path), path.name


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [
        ("audio/wav; codec=7", ".wav"),
        ("audio/x-gsm", ".gsm"),
        ("audio/pcma", ".alaw"),
        ("audio/pcmu", ".ulaw"),
        ("audio/g729", ".g729"),
        (OPAQUE, ""),
    ],
)
def test_the_suffix_of_a_type(media_type: str, suffix: str) -> None:
    assert suffix_of(media_type) == suffix
