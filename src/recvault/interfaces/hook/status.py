"""What lies in the spool and how it stands with the archive's key; for a person, or JSON for monitoring.

Reads only; shows random names, counts and times, nothing of what is sealed.
"""

from __future__ import annotations

import json

from recvault.interfaces.hook.enrolment import load
from recvault.interfaces.hook.spool import PROBLEM, READY, REFUSED, AgentRunning, Spool, now

SHOWN = 20
"""Refused entries that are listed."""


def status(spool: Spool) -> dict[str, object]:
    """Counts, bytes, the oldest entry's time, the longest row of tries, refused entries with reasons, the key."""
    entries = [entry for name in spool.names() if (entry := spool.entry(name))]
    sidecars = [entry.sidecar for entry in entries if entry.sidecar]
    refused = spool.names(REFUSED)
    enrolment = load(spool)
    return {
        "waiting": len(entries),
        "waiting_bytes": sum(entry.size for entry in entries),
        "oldest": min((sidecar.created_at.isoformat() for sidecar in sidecars), default=None),
        "most_tries": max((sidecar.tries for sidecar in sidecars), default=0),
        "refused": len(refused),
        "refused_entries": [{"entry": name, "reason": _reason(spool, name)} for name in refused[:SHOWN]],
        "agent_running": _agent_running(spool),
        "key": enrolment.key_id if enrolment else None,
        "key_not_after": enrolment.not_after.isoformat() if enrolment else None,
        "key_expired": enrolment is None or now() >= enrolment.not_after,
    }


def text(found: dict[str, object]) -> str:
    """The same for a terminal."""
    oldest, tries = found["oldest"] or "none", found["most_tries"]
    expired = " (EXPIRED: nothing is sealed)" if found["key"] and found["key_expired"] else ""
    lines = [
        f"waiting    {found['waiting']} ({found['waiting_bytes']} bytes), oldest {oldest}, most tries {tries}",
        f"refused    {found['refused']}",
        f"agent      {'running' if found['agent_running'] else 'not running: nothing is being delivered'}",
        f"key        {found['key'] or 'none: run recvault hook enrol'}, until {found['key_not_after'] or 'none'}{expired}",
    ]
    entries = found["refused_entries"]
    for item in entries if isinstance(entries, list) else []:
        lines.append(f"  {item['entry']}: {item['reason']}")
    if entries:
        lines.append(f"  see {REFUSED}/NAME{PROBLEM}; to try one again, move NAME.rvedge and NAME.json to {READY}/")
    return "\n".join(lines)


def _reason(spool: Spool, name: str) -> str:
    try:
        return str(json.loads((spool.root / REFUSED / (name + PROBLEM)).read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def _agent_running(spool: Spool) -> bool:
    try:
        with spool.agent_lock():
            return False
    except AgentRunning:
        return True
