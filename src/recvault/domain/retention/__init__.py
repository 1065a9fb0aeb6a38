"""Retention: when each purpose of a communication ends, and when the whole is destroyed.

``facts`` and a ``policy`` go into ``engine``; ``checks`` judges a policy before anybody signs it;
``explaining`` says why; ``statutes`` keeps the table of statutes; ``differences`` and ``trial`` compare policies before
one is put in force. Pure: no clock, no input or output. Holds are decided elsewhere and count on top.
"""

from __future__ import annotations

from recvault.domain.retention.checks import Problem, check
from recvault.domain.retention.engine import Ends, Evaluator, PurposeEnd, evaluate
from recvault.domain.retention.explaining import Line, explain
from recvault.domain.retention.facts import Facts, StatuteEnd
from recvault.domain.retention.policy import (
    CHANNELS,
    DIRECTIONS,
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
    "CHANNELS",
    "DIRECTIONS",
    "Ceiling",
    "DoNotKeep",
    "Ends",
    "Evaluator",
    "Event",
    "Facts",
    "Line",
    "Match",
    "Policy",
    "Problem",
    "PurposeEnd",
    "RecordEvent",
    "RecordPurpose",
    "RecordRule",
    "Records",
    "Reminder",
    "Rule",
    "StatuteEnd",
    "check",
    "evaluate",
    "explain",
]
