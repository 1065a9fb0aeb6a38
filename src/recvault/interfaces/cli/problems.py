"""What an error becomes on the command line: its exit code, and its line or problem document."""

from __future__ import annotations

import json
from typing import TextIO

from recvault.domain import errors

DONE = 0
FAULT = 1
USAGE = 2
REFUSED = 3
TRY_AGAIN = 75

# The first class that matches counts, so the special stand before the general.
EXIT_CODES: tuple[tuple[type[errors.RecvaultError], int], ...] = (
    (errors.ContentMismatch, FAULT),
    (errors.InvalidInput, USAGE),
    (errors.NotFound, REFUSED),
    (errors.NotAuthenticated, REFUSED),
    (errors.TooManyAttempts, TRY_AGAIN),
    (errors.LimitReached, TRY_AGAIN),
    (errors.Forbidden, REFUSED),
    (errors.Destroyed, REFUSED),
    (errors.Conflict, REFUSED),
    (errors.ResidencyViolation, REFUSED),
    (errors.Unavailable, TRY_AGAIN),
    (errors.RecvaultError, FAULT),
)


def exit_code(fault: errors.RecvaultError) -> int:
    """The exit code for an error."""
    return next(code for kind, code in EXIT_CODES if isinstance(fault, kind))


def report(fault: errors.RecvaultError, *, as_json: bool, to: TextIO) -> int:
    """Writes the error for a person, or as a problem document (RFC 9457), and returns the exit code."""
    code = exit_code(fault)
    if as_json:
        problem = {"type": f"/problems/{fault.code}", "detail": str(fault), "exit_code": code}
        to.write(json.dumps(problem, ensure_ascii=False) + "\n")
    else:
        to.write(f"recvault: {fault}\n")
    return code
