"""Style, script and icon: read once from the package, served under names that change with their content."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from fastapi.responses import Response

from recvault.domain.errors import NotFound

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = {
    file.name: file.read_bytes()
    for file in (files("recvault.interfaces.web") / "static").iterdir()
    if file.name.rpartition(".")[2] in _TYPES
}
_ADDRESSES = {name: f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}" for name, data in _FILES.items()}


def address(name: str) -> str:
    """Where a file is served."""
    return _ADDRESSES[name]


def serve_static(name: str) -> Response:
    """The file; NotFound for any other name."""
    if name not in _FILES:
        raise NotFound("there is no such file")
    return Response(
        _FILES[name],
        media_type=_TYPES[name.rpartition(".")[2]],
        headers={"Cache-Control": "private, max-age=86400"},
    )
