"""Codes of authenticator apps (TOTP, RFC 6238) through pyotp, and the picture by which an app takes a secret (segno).

Keeps: SHA-1, 30 seconds, six digits, which every app knows; codes are compared in constant time; which steps count, and that
none counts twice, is decided by ``services.second_factors``. The picture is SVG without style or script, so that a page
needs no exception in its content policy.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable

import pyotp
import segno

from recvault.domain.factors import DIGITS, STEP_SECONDS


class OneTimeCodes:
    """See ``domain.ports.credentials.CodeMaker``."""

    def matching(self, secret: bytes, code: str, steps: Iterable[int]) -> list[int]:
        """See the port. Every step is computed, whichever matches."""
        maker = pyotp.HOTP(_base32(secret), digits=DIGITS)
        given = code.encode()
        return [step for step in steps if hmac.compare_digest(maker.at(step).encode(), given)]

    def letters(self, secret: bytes) -> str:
        """See the port."""
        return _base32(secret)

    def address(self, secret: bytes, *, account: str, issuer: str) -> str:
        """See the port: ``otpauth://totp/…`` (the Key Uri Format of Google Authenticator)."""
        maker = pyotp.TOTP(_base32(secret), digits=DIGITS, interval=STEP_SECONDS)
        return maker.provisioning_uri(name=account, issuer_name=issuer)

    def picture(self, address: str) -> str:
        """See the port."""
        svg: str = segno.make(address, error="m", micro=False).svg_inline(
            scale=5, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
        )
        return svg


def _base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")
