"""The client certificate that a source showed to the proxy, as the proxy passes it on in ``Client-Cert`` (RFC 9440).

Keeps: the header counts only in a request that a believed proxy says came over TLS; from anybody else it is not read at
all. The server has no TLS of its own, so a request is https only when its peer stands in ``server.trusted_proxies`` and
says so (``server``). What is no single byte sequence (RFC 8941, 3.3.5) is no certificate, and a bound source is refused.

Left to others: the proxy asks for the certificate, proves that its key is there, and removes what the client itself put
into the header; whether the certificate is the source's (``services.sources``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from fastapi import Request

HEADER = "client-cert"


def fingerprint_of(request: Request) -> bytes | None:
    """SHA-256 of the certificate's DER; None when none was shown, or nobody who is believed says so."""
    if request.scope["scheme"] != "https":
        return None
    said = request.headers.getlist(HEADER)
    if len(said) != 1:
        return None
    value = said[0].strip()
    if len(value) < 3 or not (value.startswith(":") and value.endswith(":")):
        return None
    try:
        der = base64.b64decode(value[1:-1], validate=True)
    except (binascii.Error, ValueError):
        return None
    return hashlib.sha256(der).digest() if der else None
