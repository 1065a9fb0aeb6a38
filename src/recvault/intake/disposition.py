"""The Content-Disposition header (RFC 6266, parameters by RFC 8187) for any file name whatever.

Invariants: what comes out is printable ASCII on one line, at most about 1 KB long; the name in it has no
directory, no control or direction character, and none of the characters that a file system or a header
gives a meaning to.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

NAME_BYTES = 180
"""UTF-8 bytes of the name offered to a browser; most file systems take 255."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_UNSAFE = re.compile(r'[<>:"/\\|?*%;\x00-\x1f\x7f]')
_NOT_A_TOKEN = re.compile(r"[^A-Za-z0-9._ +()-]")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def content_disposition(filename: str | None, fallback: str, inline: bool) -> str:
    """``attachment`` or ``inline`` with ``filename`` in ASCII and, where that is not the whole,
    ``filename*`` in UTF-8.

    ``fallback`` is the name when nothing usable is left of ``filename``.
    """
    name = safe_basename(filename or "") or safe_basename(fallback) or "recording"
    suffix = _suffix(name)
    stem = unicodedata.normalize("NFKD", name.removesuffix(suffix)).encode("ascii", "ignore").decode("ascii")
    stem = _NOT_A_TOKEN.sub("_", stem).strip(" .")
    shown = (stem if stem.strip("_ ") else safe_ascii(fallback)) + suffix
    header = f'{"inline" if inline else "attachment"}; filename="{shown}"'
    return header if shown == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def safe_ascii(name: str) -> str:
    """Letters, digits and ``._ +()-`` of ``name``, at most 100; ``recording`` when none are left."""
    return _NOT_A_TOKEN.sub("", name)[:100].strip(" .") or "recording"


def safe_basename(name: str) -> str:
    """The last part of a path without anything dangerous, cut to ``NAME_BYTES`` before its suffix; may be
    empty."""
    last = re.split(r"[/\\\u2044\u2215\u29f5\uff0f\uff3c]", name)[-1]
    kept = "".join(character for character in last if unicodedata.category(character)[0] not in "C")
    kept = " ".join(_UNSAFE.sub("_", unicodedata.normalize("NFC", kept)).split()).strip(" .")
    if _DEVICE.fullmatch(kept):
        kept = "_" + kept
    if len(kept.encode()) <= NAME_BYTES:
        return kept
    suffix = _suffix(kept)
    stem = kept.removesuffix(suffix).encode()[: NAME_BYTES - len(suffix)]
    return stem.decode("utf-8", "ignore").rstrip(" .") + suffix


def _suffix(name: str) -> str:
    found = _SUFFIX.fullmatch(name[name.rfind(".") :]) if "." in name else None
    return found[0] if found else ""
