"""What a person calls a browser by in the list of own sessions: its family and system, nothing finer."""

from __future__ import annotations

# The first that is named counts: each of these claims to be the ones below it as well.
_FAMILIES = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    """Such as ``Firefox, Linux``; empty when neither is known. A claim of the sender, good for recognising only."""
    family = next((name for mark, name in _FAMILIES if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return ", ".join(part for part in (family, system) if part)
