"""What a worker remembers of its tasks, for the alarms: how each last ended, and since when it fails.

Keeps: numbers and names of what was counted, no ids. In memory only: after a start nothing is known of a task until it has
run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from threading import Lock

from recvault.services.alarms import TaskState

ALARMING = frozenset({"differences", "faults", "stopped_because", "stopped", "unfinished", "violations", "came_back"})
"""Outcomes that a person should see."""

_TOLD_OTHERWISE = frozenset({"violations"})
"""Outcomes that are an alarm already, by a gauge."""


class Tasks:
    """The last state of each task, but of those in ``but``. Tasks end in threads of their own."""

    def __init__(self, *, but: Collection[str] = ()) -> None:
        self._but = frozenset(but)
        self._states: dict[str, TaskState] = {}
        self._lock = Lock()

    def ended(self, task: str, at: datetime, outcome: Mapping[str, object]) -> None:
        """It ran to its end."""
        wrong = {name: _many(outcome[name]) for name in sorted(ALARMING - _TOLD_OTHERWISE) if outcome.get(name)}
        self._put(TaskState(task=task, at=at, wrong=wrong))

    def failed(self, task: str, at: datetime) -> None:
        """It broke off; what it found wrong before still holds."""
        with self._lock:
            before = self._states.get(task)
        since = before.failing_since if before is not None and before.failing_since is not None else at
        self._put(TaskState(task=task, at=at, wrong={} if before is None else before.wrong, failing_since=since))

    def states(self) -> tuple[TaskState, ...]:
        """All that are known."""
        with self._lock:
            return tuple(self._states.values())

    def _put(self, state: TaskState) -> None:
        if state.task not in self._but:
            with self._lock:
                self._states[state.task] = state


def _many(value: object) -> int:
    match value:
        case int():
            return int(value)
        case dict():
            return sum(_many(part) for part in value.values())
        case list() | tuple() | set() | frozenset():
            return len(value)
    return 1
