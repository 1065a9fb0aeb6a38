"""The security headers of every answer, in one place.

Keeps: nothing is cached, framed, sniffed or embedded elsewhere; no script, style or address of a page is inline or foreign;
over https the browser comes back by https only. Sources: OWASP Secure Headers, CSP Level 3, the Fetch standard.
"""

from __future__ import annotations

from collections.abc import Mapping

ALL: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
}
"""Of every answer that does not say otherwise."""

HSTS = ("Strict-Transport-Security", "max-age=31536000")
"""Over https (RFC 6797). Without subdomains: they are not ours to speak for."""

PAGES: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Not no-referrer: browsers would then send 'Origin: null' with our own forms, and nothing could tell them from others'.
    "Referrer-Policy": "same-origin",
}
"""Of every page in place of those above."""
