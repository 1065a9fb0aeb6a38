"""What kind of media a recording is: from its bytes first, from what the sender says second, never from its
name alone.

Invariants: no type that a browser would run comes out of :func:`decide_media_type`, whoever claims it; a
type comes out in one spelling. Damaged content is not judged here.
"""

from __future__ import annotations

import re

from recvault.intake.disposition import content_disposition
from recvault.intake.signatures import HEAD_BYTES, sniff

__all__ = ["HEAD_BYTES", "OPAQUE", "content_disposition", "decide_media_type", "is_playable_inline", "sniff"]

OPAQUE = "application/octet-stream"

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_TYPE = re.compile(rf"({_NAME})/({_NAME})", re.ASCII)
_PARAMETER = re.compile(r'\s*([A-Za-z0-9!#$&^_.+-]{1,40})=("[\w .,;:+/=-]{1,80}"|[\w.,+/-]{1,80})\s*', re.ASCII)
# Those that say how to read the content; any other may say whose it is (rule 9: the type stands in a header).
_TELLING = frozenset(
    {"charset", "codec", "codecs", "rate", "channels", "bits", "format", "delsp", "version", "profile"}
)
_ACTIVE = re.compile(
    r"text/html|application/xhtml\+xml|image/svg\+xml|.*/(x-)?(java|ecma|live|j)script.*|application/wasm"
    r"|multipart/.*|text/(x-)?(xsl|xml|css|cache-manifest)|application/(xml|pdf\+.*|x-shockwave-flash|hta)|.*\+xml"
    r"|application/(java-archive|x-msdownload|x-sh)"
)
_ALIASES = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-pn-wav": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/au": "audio/basic",
    "audio/x-au": "audio/basic",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "audio/amr-nb": "audio/amr",
    "audio/opus": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "application/ogg": "audio/ogg",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
}
# One container, whatever it holds: a sender who says the one for the other does not lie.
_CONTAINERS = {
    "video/ogg": "audio/ogg",
    "video/webm": "audio/webm",
    "video/mp4": "audio/mp4",
    "video/3gpp": "audio/3gpp",
    "video/x-matroska": "audio/x-matroska",
}
_WITH_SIGNATURE = frozenset(
    {
        "audio/wav",
        "audio/mpeg",
        "audio/ogg",
        "audio/webm",
        "audio/mp4",
        "audio/3gpp",
        "audio/flac",
        "audio/aac",
    }
    | {"audio/amr", "audio/amr-wb", "audio/aiff", "audio/x-matroska", "application/pdf", "application/zip"}
    | {"application/gzip", "image/png", "image/jpeg", "image/gif"}
)
_SUFFIXES = {
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/webm": ".webm",
    "audio/mp4": ".m4a",
    "audio/3gpp": ".3gp",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/amr-wb": ".awb",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "message/rfc822": ".eml",
    "text/plain": ".txt",
}
# Formats of exchanges that are samples and nothing else: their names are the only word on them.
_BARE_SAMPLES = {
    "gsm": "audio/x-gsm",
    "ulaw": "audio/pcmu",
    "ul": "audio/pcmu",
    "pcmu": "audio/pcmu",
    "alaw": "audio/pcma",
    "al": "audio/pcma",
    "pcma": "audio/pcma",
    "sln": "audio/x-sln",
    "sln16": "audio/x-sln16",
    "g722": "audio/g722",
    "g729": "audio/g729",
}
_PLAYABLE = frozenset({"audio/mpeg", "audio/ogg", "audio/webm", "audio/mp4", "audio/aac", "audio/flac", "audio/wav"})
_PLAYABLE_WAV = frozenset({None, "1", "3", "6", "7"})
"""WAV codecs that browsers play: PCM, float, A-law, mu-law (RFC 2361 numbers)."""


def decide_media_type(declared: str | None, filename: str | None, head: bytes) -> tuple[str, bool]:
    """The media type to store, and whether it differs from what the sender declared.

    Bytes that are recognised decide. Else the declared type stands when it is one (RFC 6838) and not
    active; it differs when the format it names always shows itself in the first bytes and this content does
    not. With no claim, or against one that differs, the suffix of ``filename`` may name one of the headerless
    sample formats. All else is ``application/octet-stream``.
    """
    found, claim = sniff(head), _tidy_type(declared)
    base = _canonical(claim) if claim else None
    claimed = base is not None and base != OPAQUE
    if found is not None:
        differs = claimed and _family(base or "") != _family(_canonical(found))
        return (OPAQUE if _is_active(found) else found), differs
    samples = _BARE_SAMPLES.get((filename or "").rpartition(".")[2].lower(), OPAQUE)
    if claim is None or base is None or not claimed:
        return samples, bool(declared and declared.strip()) and claim is None
    if _is_active(base):
        return OPAQUE, True
    refuted = bool(head) and _family(base) in _WITH_SIGNATURE
    return (samples if refuted and samples != OPAQUE else claim), refuted


def is_playable_inline(media_type: str) -> bool:
    """Whether a browser may be given it to play in place: sound that Chromium and Firefox decode, and
    nothing else."""
    claim = _tidy_type(media_type)
    if claim is None or _canonical(claim) not in _PLAYABLE:
        return False
    codec = re.search(r";\s*codec=([0-9A-Fa-f]+)", claim)
    number = codec[1].lstrip("0").upper() if codec else None
    return _canonical(claim) != "audio/wav" or number in _PLAYABLE_WAV


def suffix_of(media_type: str) -> str:
    """The usual suffix of a file of this type, with its dot; empty when there is none. (Of bare samples the suffix is all
    that tells a program how to play them.)"""
    base = _canonical(media_type)
    bare = next((f".{suffix}" for suffix, kind in _BARE_SAMPLES.items() if kind == base), "")
    return _SUFFIXES.get(base, bare)


def _tidy_type(text: str | None) -> str | None:
    """``type/subtype; name=value`` in one spelling, None when it is no media type; parameters that are none, or do not
    say how to read the content, are left out."""
    parts = (text or "").strip().split(";")
    match = _TYPE.fullmatch(parts[0].strip())
    if match is None:
        return None
    parameters = [found for part in parts[1:] if (found := _PARAMETER.fullmatch(part)) and found[1].lower() in _TELLING]
    base = match[0].lower()
    return "; ".join([_ALIASES.get(base, base), *(f"{found[1].lower()}={found[2]}" for found in parameters[:4])])


def _canonical(media_type: str) -> str:
    base = media_type.partition(";")[0].strip().lower()
    return _ALIASES.get(base, base)


def _family(base: str) -> str:
    return _CONTAINERS.get(base, base)


def _is_active(media_type: str) -> bool:
    return _ACTIVE.fullmatch(_canonical(media_type)) is not None
