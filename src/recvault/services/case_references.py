"""References to cases and requests, as they may stand in the log: they name a matter and no person."""

from __future__ import annotations

import re

from recvault.domain.errors import InvalidInput
from recvault.intake.text import has_identity_code

_CASE = re.compile(r"(?!\+?[0-9]{9,15}$)[A-Za-z0-9][A-Za-z0-9._/#-]{0,39}")
"""A case reference; what looks like a telephone number is none."""


def checked_case(reference: str, pattern: str | None) -> str:
    """The reference; InvalidInput when it has not the form of ``pattern``, or could name a person."""
    if pattern and not re.fullmatch(pattern, reference):
        raise InvalidInput("the case reference does not have the form that this archive asks for")
    if not _CASE.fullmatch(reference) or has_identity_code(reference):
        raise InvalidInput(
            "a case reference is 1 to 40 letters, digits and . _ / # -, and never a person's name, number or identity "
            "code; give the case's own id"
        )
    return reference
