"""What is known of a recording, from options, environment and files, into the JSON that the archive reads.

Keys are those of ``POST /v1/communications``. Invariants: no odd value is refused here, because a call does not
come back; the archive keeps and marks what it does not understand. What a caller chose can forge nothing: a line
ends at a line feed and nowhere else. The result always fits into an envelope.

Two notations are read: a JSON object, and lines ``key=value`` (as a dialplan can write them):
``remote_tel``, ``remote_mailto``, ``remote_handle``, ``remote_name``, the same with ``local_``; ``customer_number``,
``customer_business_id``, ``customer_id``; ``linked_id`` (goes to ``extra``); ``tag`` (repeatable); ``answered``
(yes or no); any other key is the archive's own. Of a key given twice the first counts: a dialplan writes what
it knows itself before what a caller sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from recvault.domain.errors import InvalidInput
from recvault.sealing.edge import METADATA_LIMIT

SOURCE_ID_LENGTH = 255
"""Characters of a source id that the archive takes."""
CUT_TEXT = 1_000
"""Characters to which texts are cut when the metadata would not fit into an envelope."""

_PARTS = {
    **{f"{who}_{way}": (who, way) for who in ("remote", "local") for way in ("tel", "mailto", "handle", "name")},
    **{f"customer_{key}": ("customer", key) for key in ("number", "business_id", "id")},
    "linked_id": ("extra", "linked_id"),
}
_ESSENTIAL = ("source_id", "channel", "direction", "started_at", "ended_at", "answered")
_EPOCH = re.compile(r"[0-9]{9,10}", re.ASCII)
_YES, _NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})


def readable(raw: bytes | str) -> str:
    """Text from a system that declares no encoding: UTF-8, else Latin-1 (as exchanges send Nordic names)."""
    data = os.fsencode(raw) if isinstance(raw, str) else raw
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def from_base64(text: str) -> dict[str, object]:
    """As :func:`from_bytes`, from base64; what is not base64 is kept in ``extra``."""
    try:
        return from_bytes(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        return _unread(readable(text))


def from_bytes(raw: bytes) -> dict[str, object]:
    """The metadata in either notation; never fails."""
    if not raw.lstrip().startswith(b"{"):
        return _from_lines(raw)
    try:
        value = json.loads(readable(raw))
    except (ValueError, RecursionError):
        return _unread(readable(raw))
    return value if isinstance(value, dict) else _unread(readable(raw))


def _unread(text: str) -> dict[str, object]:
    return {"extra": {"metadata_unread": text}} if text.strip() else {}


def _from_lines(raw: bytes) -> dict[str, object]:
    flat: dict[str, object] = {}
    tags: list[str] = []
    unread: list[str] = []
    for line in raw.split(b"\n"):
        key, equals, value = (readable(part) for part in line.rstrip(b"\r").partition(b"="))
        key = key.strip()
        if not equals or not key:
            unread += [key] if key else []
        elif key == "tag":
            tags.append(value)
        else:
            flat.setdefault(key, value)
    result = from_flat({**flat, "tags": tags})
    return merge(result, {"extra": {"metadata_unread": unread}}) if unread else result


def from_flat(values: Mapping[str, object]) -> dict[str, object]:
    """Metadata from ``remote_tel`` and the like. None and empty values are left out, save an empty ``remote_tel``,
    which says that the caller withheld the number."""
    result: dict[str, object] = {}
    for key, value in values.items():
        if value is None or value == [] or (value == "" and key != "remote_tel"):
            continue
        section, name = _PARTS.get(key, ("", key))
        if section:
            inner = result.setdefault(section, {})
            if isinstance(inner, dict):
                inner[name] = value
        else:
            result[name] = _value(name, value)
    return result


def _value(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if name == "answered" and word in _YES | _NO:
        return word in _YES
    if name in {"started_at", "ended_at"} and _EPOCH.fullmatch(word):
        return datetime.fromtimestamp(int(word), UTC).isoformat()
    return value


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """``over`` wins; objects are merged by key, lists joined."""
    result = dict(base)
    for key, value in over.items():
        held = result.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            result[key] = merge(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            result[key] = held + [item for item in value if item not in held]
        else:
            result[key] = value
    return result


def opaque(source_id: str) -> str:
    """A source id that shows nothing: SHA-256, so that the same id stays the same. (It keeps numbers out of the
    archive's index; against somebody who tries out all numbers a digest without a key protects nothing.)"""
    return "sha256-" + hashlib.sha256(source_id.encode("utf-8", "surrogatepass")).hexdigest()


def complete(metadata: Mapping[str, object], *, filename: str, hash_source_id: bool) -> dict[str, object]:
    """Fills in the file's name and settles the source id, hashed when asked for or too long; InvalidInput without
    one."""
    given = metadata.get("source_id")
    source_id = str(given).strip() if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if not source_id:
        raise InvalidInput("a source id is missing: the recording's own id at its source; give --source-id")
    if hash_source_id or len(source_id) > SOURCE_ID_LENGTH:
        source_id = opaque(source_id)
    return {"filename": filename, **metadata, "source_id": source_id}


def encode(metadata: Mapping[str, object]) -> bytes:
    """JSON of at most ``METADATA_LIMIT`` bytes. What would not fit is cut, and says so in ``extra.metadata_cut``."""
    whole = _json(metadata)
    if len(whole) <= METADATA_LIMIT:
        return whole
    cut = _json({**metadata, "extra": {**_extra(metadata), "metadata_cut": True}}, limit=CUT_TEXT)
    if len(cut) <= METADATA_LIMIT:
        return cut
    essential = {key: metadata[key] for key in _ESSENTIAL if key in metadata}
    return _json({**essential, "extra": {"metadata_cut": True}}, limit=CUT_TEXT)


def _extra(metadata: Mapping[str, object]) -> Mapping[str, object]:
    extra = metadata.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _json(value: object, *, limit: int | None = None) -> bytes:
    if limit is not None:
        value = _shortened(value, limit)
    # A lone surrogate becomes its JSON escape.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _shortened(value: object, limit: int) -> object:
    if isinstance(value, str):
        return value[:limit]
    if isinstance(value, Mapping):
        return {key: _shortened(inner, limit) for key, inner in value.items() if len(key) <= limit}
    return [_shortened(inner, limit) for inner in value] if isinstance(value, list) else value
