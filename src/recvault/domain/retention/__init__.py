"""Retention: when each purpose of a communication ends, and when the whole is destroyed.

``facts`` and a ``policy`` go into ``engine``; ``checks`` judges a policy before anybody signs it;
``explaining`` says why. Pure: no clock, no input or output. Holds and statutory overrides are decided
elsewhere and count on top.
"""

from __future__ import annotations

from recvault.domain.retention.engine import Ends, PurposeEnd, evaluate
from recvault.domain.retention.facts import Facts
from recvault.domain.retention.policy import (
    Ceiling,
    DoNotKeep,
    Event,
    Match,
    Policy,
    RecordEvent,
    RecordPurpose,
    RecordRule,
    Records,
    Reminder,
    Rule,
)

__all__ = [
    "Ceiling",
    "DoNotKeep",
    "Ends",
    "Event",
    "Facts",
    "Match",
    "Policy",
    "PurposeEnd",
    "RecordEvent",
    "RecordPurpose",
    "RecordRule",
    "Records",
    "Reminder",
    "Rule",
    "evaluate",
]
