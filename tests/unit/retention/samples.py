"""What the retention tests share: the shipped policy, plain facts, and how hypothesis makes facts and policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st

from recvault.domain.durations import NOTHING, Period, parse
from recvault.domain.retention import (
    CHANNELS,
    DIRECTIONS,
    Ceiling,
    DoNotKeep,
    Event,
    Facts,
    Match,
    Policy,
    RecordEvent,
    RecordPurpose,
    RecordRule,
    Records,
    Reminder,
    Rule,
)
from recvault.intake.policy_file import parse_policy

HELSINKI = ZoneInfo("Europe/Helsinki")
SHIPPED_FILE = Path(__file__).parents[3] / "config" / "retention.toml"
SHIPPED = parse_policy(SHIPPED_FILE.read_bytes())

# Several suites share a machine: how long one example takes says nothing.
steady = settings(deadline=None)
# For properties over a whole policy, whose examples take long to make.
quick = settings(max_examples=60, deadline=None)

CONTACT = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


def after(text: str, moment: datetime = CONTACT) -> datetime:
    """The moment a period later, in Helsinki."""
    return parse(text).add_to(moment, HELSINKI)


def facts(**changes: Any) -> Facts:
    """An answered call of five minutes, stored at once."""
    plain: dict[str, Any] = {
        "channel": "call",
        "direction": "inbound",
        "contact_at": CONTACT,
        "stored_at": changes.get("contact_at", CONTACT) + timedelta(minutes=1),
        "duration_seconds": 300.0,
        "answered": True,
    }
    return Facts(**{**plain, **changes})


def rule(name: str, **changes: Any) -> Rule:
    """A verification rule of six months from contact for everything, at priority 0."""
    plain: dict[str, Any] = {
        "match": Match(),
        "purpose": "verification",
        "keep": Period(months=6),
        "from_event": Event.CONTACT,
        "cap": changes.get("keep", Period(months=6)),
        "priority": 0,
        "why": "because",
    }
    return Rule(name=name, **{**plain, **changes})


def policy(*rules: Rule, **changes: Any) -> Policy:
    """A policy of these rules with a ceiling of 24 months and a day to undo."""
    kept = RecordRule(purpose=RecordPurpose.SECURITY, keep=Period(months=3), from_event=RecordEvent.MADE, why="because")
    told = Reminder(after=Period(days=7), why="because")
    plain: dict[str, Any] = {
        "version": "test",
        "ceiling": Ceiling(keep=Period(months=24), why="because"),
        "do_not_keep": DoNotKeep(tag="do-not-keep", keep=Period(days=1), why="because"),
        "rules": rules,
        "records": Records(
            call_details=kept,
            access_log=kept,
            request_register=kept,
            customer=kept,
            quarantine_alarm=told,
            hold_review=told,
        ),
    }
    return Policy(**{**plain, **changes})


moments = st.datetimes(datetime(2019, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
periods = st.one_of(
    st.builds(Period, months=st.integers(0, 40)),
    st.builds(Period, days=st.integers(0, 800)),
    st.builds(Period, months=st.integers(0, 12), days=st.integers(0, 40), seconds=st.integers(0, 100_000)),
)
_maybe_moment = st.none() | moments
_few = st.frozensets(st.sampled_from(("order", "vip", "b2b")), max_size=2)


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    """Facts of every kind, also impossible ones: events before the contact, storing before the contact."""
    contact_at = draw(moments)
    return Facts(
        channel=draw(st.sampled_from(CHANNELS)),
        direction=draw(st.sampled_from(DIRECTIONS)),
        contact_at=contact_at,
        stored_at=contact_at + timedelta(seconds=draw(st.integers(-86_400, 86_400 * 900))),
        queue=draw(st.sampled_from((None, "sales"))),
        tags=draw(_few),
        has_case=draw(st.booleans()),
        duration_seconds=draw(st.none() | st.floats(0, 600)),
        answered=draw(st.sampled_from((None, True, False))),
        empty=draw(st.booleans()),
        quarantined=draw(st.booleans()),
        case_closed_at=draw(_maybe_moment),
        relationship_ended_at=draw(_maybe_moment),
        ended_purposes=draw(st.dictionaries(st.sampled_from(("verification", "training")), moments, max_size=2)),
        do_not_keep_at=draw(_maybe_moment),
        releases=tuple(draw(st.lists(moments, max_size=2))),
    )


_conditions = st.builds(
    Match,
    channels=st.frozensets(st.sampled_from(CHANNELS), max_size=2),
    tags=_few,
    has_case=st.sampled_from((None, True, False)),
    answered=st.sampled_from((None, None, True, False)),
    shorter_than=st.sampled_from((None, None, Period(seconds=3))),
)


@st.composite
def some_policies(draw: st.DrawFn) -> Policy:
    """Policies with a catch-all and distinct priorities, whose periods, caps and ceiling may be absurd (`check` would
    refuse many of them; the engine must keep its promises all the same)."""
    rules = [
        rule(
            f"r{number}",
            match=draw(_conditions),
            purpose=draw(st.sampled_from(("verification", "training"))),
            keep=draw(periods),
            from_event=draw(st.sampled_from(list(Event))),
            at_least=draw(st.just(NOTHING) | periods),
            cap=draw(periods),
            priority=number,
            only=draw(st.sampled_from((False, False, False, True))),
        )
        for number in range(1, draw(st.integers(1, 6)))
    ]
    ceiling = Ceiling(keep=draw(periods), why="because")
    return policy(rule("any", keep=draw(periods), priority=0), *rules, ceiling=ceiling)
