"""What a worker remembers of its tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recvault.interfaces.tasks import Tasks
from recvault.services.alarms import TaskState

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def test_numbers_of_what_a_person_should_see() -> None:
    tasks = Tasks()
    outcome = {
        "destroyed": 5, "stopped": 2, "unfinished": ["a", "b", "c"], "stopped_because": "no signature",
        "came_back": 0, "violations": ["place"], "differences": {"x": 2, "y": 3}, "faults": [],
    }  # fmt: skip
    tasks.ended("purge", NOW, outcome)
    (state,) = tasks.states()
    assert state == TaskState(
        task="purge", at=NOW, wrong={"differences": 5, "stopped": 2, "stopped_because": 1, "unfinished": 3}
    )
    tasks.ended("purge", LATER, {"destroyed": 1})
    assert tasks.states() == (TaskState(task="purge", at=LATER, wrong={}),)


def test_a_failure_keeps_its_beginning_and_what_was_wrong_before() -> None:
    tasks = Tasks()
    tasks.ended("purge", NOW, {"stopped": 1})
    tasks.failed("purge", NOW)
    tasks.failed("purge", LATER)
    assert tasks.states() == (TaskState(task="purge", at=LATER, wrong={"stopped": 1}, failing_since=NOW),)
    tasks.ended("purge", LATER, {})
    assert tasks.states() == (TaskState(task="purge", at=LATER, wrong={}),)


def test_some_are_not_remembered() -> None:
    tasks = Tasks(but={"notices"})
    tasks.failed("notices", NOW)
    tasks.ended("notices", NOW, {"faults": ["mail-unavailable"]})
    assert tasks.states() == ()
