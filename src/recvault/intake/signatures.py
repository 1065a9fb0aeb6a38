"""What the first bytes of a recording say it is.

Invariants: only the bytes count; nothing is decoded, and no more is read than was given. A type comes out
only for a signature that its format demands (or, for MPEG frames, e-mail and markup, for one that others
hardly show); whether the rest is intact is for the worker's decoder to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable

HEAD_BYTES = 4096
"""So many first bytes are enough for :func:`sniff`; fewer are fine."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"fLaC", "audio/flac"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"#!AMR-WB_MC1.0\n", "audio/amr-wb"),
    (b"#!AMR_MC1.0\n", "audio/amr"),
    (b"#!AMR\n", "audio/amr"),
    (b".snd", "audio/basic"),
    (b"caff\x00", "audio/x-caf"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap"),
    (b"\xa1\xb2\xc3\xd4", "application/vnd.tcpdump.pcap"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"#EXTM3U", "application/vnd.apple.mpegurl"),
)
_OGG: tuple[tuple[bytes, str], ...] = (
    (b"OpusHead", "audio/ogg; codecs=opus"),
    (b"\x01vorbis", "audio/ogg; codecs=vorbis"),
    (b"\x7fFLAC", "audio/ogg; codecs=flac"),
    (b"Speex   ", "audio/ogg; codecs=speex"),
)
_PCM = frozenset({0x0001, 0x0003})
_EXTENSIBLE = 0xFFFE
_HTML = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|iframe|title|style|table|a|div|h1|p|br|img|b)\b",
    re.IGNORECASE,
)
_SVG = re.compile(rb"<(?:[a-z]+:)?svg[\s>/]|<!doctype\s+svg", re.IGNORECASE)
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]?[^\n]*(?:\n[ \t][^\n]*)*\n")
_MAIL_FIELDS = frozenset(
    {b"from", b"to", b"cc", b"date", b"subject", b"message-id", b"received", b"return-path", b"mime-version"}
    | {
        b"delivered-to",
        b"reply-to",
        b"sender",
        b"dkim-signature",
        b"content-type",
        b"in-reply-to",
        b"references",
    }
)
_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_BIT_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44100, 48000, 32000)


def sniff(head: bytes) -> str | None:
    """The media type of content that begins with ``head`` (``HEAD_BYTES`` or all of it), None when nothing
    is sure.

    A WAV whose codec is not PCM or float names it as RFC 2361 does, in hexadecimal: ``audio/wav; codec=31``
    is GSM 6.10.
    """
    for signature, media_type in _MAGIC:
        if head.startswith(signature):
            return media_type
    for reader in _READERS:
        found = reader(head)
        if found is not None:
            return found
    return None


def _wav(head: bytes) -> str | None:
    if head[:4] not in {b"RIFF", b"RIFX", b"RF64", b"BW64"} or head[8:12] != b"WAVE":
        return None
    order: str = "big" if head[:4] == b"RIFX" else "little"
    place = 12
    while place + 10 <= len(head):
        name, size = head[place : place + 4], _number(head[place + 4 : place + 8], order)
        if name == b"fmt ":
            tag = _number(head[place + 8 : place + 10], order)
            if tag == _EXTENSIBLE and place + 34 <= len(head):
                tag = _number(head[place + 32 : place + 34], order)
            return "audio/wav" if tag in _PCM else f"audio/wav; codec={tag:X}"
        place += 8 + size + size % 2
    return "audio/wav"


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")


def _aiff(head: bytes) -> str | None:
    return "audio/aiff" if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"} else None


def _ogg(head: bytes) -> str | None:
    if not head.startswith(b"OggS\x00") or len(head) < 27:
        return "audio/ogg" if head.startswith(b"OggS") else None
    packet = head[27 + head[26] :]
    for signature, media_type in _OGG:
        if packet.startswith(signature):
            return media_type
    return "video/ogg" if packet.startswith((b"\x80theora", b"BBCD\x00")) else "audio/ogg"


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1aE\xdf\xa3"):
        return None
    container = "webm" if b"webm" in head[:64] else "x-matroska"
    kind = "video" if re.search(rb"\x86[\x81-\xbf]V_", head) else "audio"
    codecs = [name for code, name in ((b"A_OPUS", "opus"), (b"A_VORBIS", "vorbis")) if code in head]
    return f"{kind}/{container}" + (f"; codecs={codecs[0]}" if codecs and kind == "audio" else "")


def _iso_media(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    video = b"vide" in head
    if brand.startswith((b"3gp", b"3g2")):
        return "video/3gpp" if video else "audio/3gpp"
    if brand in {b"M4A ", b"M4B ", b"F4A "} and not video:
        return "audio/mp4"
    return "video/mp4" if video or b"soun" not in head else "audio/mp4"


def _mpeg(head: bytes) -> str | None:
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[3:5]) < 0xFF and max(head[6:10]) < 0x80:
        return "audio/mpeg"
    for measure, media_type in ((_layer3_frame, "audio/mpeg"), (_adts_frame, "audio/aac")):
        length = measure(head)
        # A-law and mu-law silence looks like a frame header: the next frame has to stand where the first
        # one ends.
        if length and (length + 7 > len(head) or measure(head[length:])):
            return media_type
    return None


def _layer3_frame(head: bytes) -> int:
    """The length of the MPEG audio layer III frame that ``head`` begins with (ISO 11172-3, 2.4.2.3), else
    0."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, sampling = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate in {0, 15} or sampling == 3:
        return 0
    whole = version == 3
    bit_rate = (_BIT_RATES if whole else _LOW_BIT_RATES)[rate] * 1000
    sample_rate = _SAMPLE_RATES[sampling] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if whole else 72) * bit_rate // sample_rate + (head[2] >> 1 & 1)


def _adts_frame(head: bytes) -> int:
    """The length of the AAC frame in ADTS (ISO 13818-7, 6.2) that ``head`` begins with, else 0."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def _markup(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\t\n\x0c\r \x00")
    if text[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = text[2:].replace(b"\x00", b"").lstrip()
    while text.startswith(b"<!--") and b"-->" in text:
        text = text.partition(b"-->")[2].lstrip()
    if _HTML.match(text):
        return "text/html"
    if _SVG.match(text):
        return "image/svg+xml"
    if not text.lower().startswith(b"<?xml"):
        return None
    if _SVG.search(text):
        return "image/svg+xml"
    return "application/xhtml+xml" if b"/1999/xhtml" in text or _HTML.search(text) else "application/xml"


def _mail(head: bytes) -> str | None:
    text = head.replace(b"\r\n", b"\n")
    mbox = text.startswith(b"From ")
    place = text.find(b"\n") + 1 if mbox else 0
    fields: set[bytes] = set()
    while match := _HEADER.match(text, place):
        fields.add(match[1].lower())
        place = match.end()
    # Three fields that mails have, one of which says who or when: a chat that begins "From: ..." is not
    # enough.
    if len(fields & _MAIL_FIELDS) < 3 or not fields & {b"from", b"date", b"received", b"message-id"}:
        return None
    return "application/mbox" if mbox else "message/rfc822"


_READERS: tuple[Callable[[bytes], str | None], ...] = (
    _wav,
    _aiff,
    _ogg,
    _matroska,
    _iso_media,
    _mpeg,
    _markup,
    _mail,
)
