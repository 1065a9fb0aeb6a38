"""What the doctor finds: a part, how it stands, and the mend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at; ``mend`` says what to do when it is not good."""

    part: str
    grade: Grade
    told: str
    mend: str = ""


def good(part: str, told: str) -> Finding:
    """In order."""
    return Finding(part=part, grade=Grade.GOOD, told=told)


def warning(part: str, told: str, mend: str) -> Finding:
    """Works, and should be better."""
    return Finding(part=part, grade=Grade.WARNING, told=told, mend=mend)


def bad(part: str, told: str, mend: str) -> Finding:
    """Does not work, or is not safe."""
    return Finding(part=part, grade=Grade.FAULT, told=told, mend=mend)
