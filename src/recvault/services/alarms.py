"""What is wrong with the archive as a whole, seen from its gauges, its rows and its worker's tasks.

Keeps: a number that is missing is unknown, which neither begins an alarm nor ends one; numbers and names only. Whom an
alarm reaches, and when, is left to ``services.notices``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recvault.domain.approvals import ProposalState
from recvault.domain.attempts import ALARMING, Counted
from recvault.domain.backups import VERIFIED
from recvault.domain.notices import Alarm, AlarmCode
from recvault.domain.ports.database import UnitOfWork

REPEAT = timedelta(hours=24)
"""How often people hear of an alarm that stands."""
QUIET = timedelta(minutes=5)
"""For how long nobody must have seen it before an alarm ends: workers on several machines may see differently."""
PATIENCE = timedelta(minutes=2)
"""How long a part may be out of reach before people are told."""
FORGOTTEN = timedelta(hours=26)
"""After this an alarm of a task ends even though nothing more was heard of the task."""
UNSIGNED = timedelta(days=14)
"""How long a policy may go without a signature."""
BACKUP_AGE = timedelta(hours=48)
"""How old the newest verified backup may be, where backups are made."""
FAILING = timedelta(minutes=10)
"""How long a task may fail."""
BROKEN_FOR = timedelta(days=7)
"""For how long people hear that what was approved had been altered."""
TRIED_FOR = timedelta(hours=1)
"""How long after the last failed sign-in people are told of many on one account."""
NO_WORKER_SECONDS = 300
AUDIT_BEHIND_SECONDS = 600

_MAY_COME_BACK = frozenset(
    {AlarmCode.STORE, AlarmCode.PLACE, AlarmCode.KEYRING, AlarmCode.DATABASE, AlarmCode.NO_WORKER}
)
_ACCOUNTS = (Counted.ACCOUNT, Counted.DEVICE)
_SAME_WORK = {"overdue": "purge"}
"""Tasks that do another's work: what is wrong with either is one alarm."""

Sights = dict[str, int | None]
"""What is wrong now, with its number, by name of the alarm; None where it cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskState:
    """How a task of a worker last ended. ``wrong``: what of it a person should see, with numbers; empty when it was well.
    ``failing_since``: its first failure in a row, None after a success."""

    task: str
    at: datetime
    wrong: Mapping[str, int]
    failing_since: datetime | None = None


def of_gauges(values: Mapping[str, float], *, attention_limit: int) -> Sights:
    """From the gauges of :mod:`services.gauges`."""
    bounds: tuple[tuple[AlarmCode, str, Callable[[float], bool], int], ...] = (
        (AlarmCode.STORE, "store_reachable", lambda value: value < 1, 1),
        (AlarmCode.PLACE, "place_in_order", lambda value: value < 1, 1),
        (AlarmCode.KEYRING, "keyring_in_step", lambda value: value < 1, 1),
        (AlarmCode.NO_WORKER, "last_tick_age_seconds", lambda value: value > NO_WORKER_SECONDS, 60),
        (AlarmCode.AUDIT_BEHIND, "audit_unnumbered_age_seconds", lambda value: value > AUDIT_BEHIND_SECONDS, 60),
        (AlarmCode.OVERDUE, "overdue", lambda value: value > 0, 1),
        (AlarmCode.ATTENTION, "needs_attention", lambda value: value >= attention_limit, 1),
    )
    found: Sights = {}
    for code, gauge, wrong, unit in bounds:
        value = values.get(gauge)
        if value is None:
            found[code] = None
        elif wrong(value):
            found[code] = int(min(value, 10.0**9)) // unit
    return found


def of_rows(unit: UnitOfWork, now: datetime, *, suspended: bool, backups: bool) -> Sights:
    """Policy, backup, lone decisions, altered approvals, suspect passkeys, failed sign-ins, suspension.
    ``suspended``: destruction is; ``backups``: they are made here."""
    found: Sights = {}
    policy = unit.policies.active()
    if policy is not None and policy.signed_at is None and policy.activated_at + UNSIGNED <= now:
        found[AlarmCode.POLICY_UNSIGNED] = (now - policy.activated_at).days
    if backups and policy is not None:
        made = unit.settings.get(VERIFIED)
        last = policy.activated_at if made is None else datetime.fromisoformat(str(made["made_at"]))
        if last + BACKUP_AGE <= now:
            found[AlarmCode.BACKUP] = int((now - last).total_seconds() // 3600)
    if alone := sum(one.state is ProposalState.WAITING and one.by_one_person for one in unit.proposals.standing()):
        found[AlarmCode.DECIDED_ALONE] = alone
    if broken := unit.proposals.ended_by_itself(since=now - BROKEN_FOR):
        found[AlarmCode.APPROVAL_BROKEN] = broken
    if suspects := unit.passkeys.suspects():
        found[AlarmCode.PASSKEY_SUSPECT] = suspects
    if tried := unit.attempts.crowded(_ACCOUNTS, failures=ALARMING, since=now - TRIED_FOR):
        found[AlarmCode.SIGN_IN_FAILURES] = tried
    if suspended:
        found[AlarmCode.DESTRUCTION_SUSPENDED] = 1
    return found


def of_tasks(tasks: Iterable[TaskState], now: datetime) -> Sights:
    """What a worker's tasks reported last."""
    found: Sights = {}
    for state in tasks:
        work = _SAME_WORK.get(state.task, state.task)
        for what, count in state.wrong.items():
            found[f"{work}/{what}"] = count
        if state.failing_since is not None and now - state.failing_since >= FAILING:
            found[f"{work}/failed"] = int((now - state.failing_since).total_seconds() // 60)
    return found


def is_unsigned(unit: UnitOfWork) -> bool:
    """Whether nobody has signed the policy yet."""
    policy = unit.policies.active()
    return policy is None or policy.signed_at is None


def without_stops(sights: Sights) -> Sights:
    """Without what tasks say of a stop: an unsigned policy (after its 14 days) and a suspension are told by themselves."""
    return {name: count for name, count in sights.items() if not name.endswith("/stopped_because")}


def is_to_tell(alarm: Alarm, now: datetime) -> bool:
    """Whether people should hear of it now: at its beginning (a part that is out of reach may come back by itself for a
    while), and each day."""
    if alarm.told_at is not None:
        return now - alarm.told_at >= REPEAT
    return alarm.name not in _MAY_COME_BACK or now - alarm.began_at >= PATIENCE


def is_over(alarm: Alarm, tasks: Sequence[TaskState], now: datetime) -> bool:
    """Whether an alarm that is not seen now has ended. One of a task ends when that task went well since it was seen."""
    unseen = now - alarm.seen_at
    task, slash, _ = alarm.name.partition("/")
    if not slash:
        return unseen >= QUIET
    well = (state for state in tasks if _SAME_WORK.get(state.task, state.task) == task and not state.wrong)
    return unseen >= FORGOTTEN or any(state.at > alarm.seen_at and state.failing_since is None for state in well)
