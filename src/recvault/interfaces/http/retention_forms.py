"""JSON of retention: forms of events, early ends and overrides, and what is told of them. Ids and rules only: nothing here
speaks of a person but the reason that somebody typed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from recvault.domain.purpose import Purpose
from recvault.domain.retention.endings import PurposeEnding
from recvault.domain.retention.statutes import Override, Statute
from recvault.domain.retention.trial import Shift, Trial
from recvault.interfaces.http.forms import Form, Short
from recvault.services.retention_desk import Applied, Explanation, Moved
from recvault.services.retention_endings import OpenEnding
from recvault.services.retention_events import EventReport
from recvault.services.retention_overrides import OverrideView

Reason = Annotated[str, Field(min_length=1, max_length=500)]


class CaseClosedForm(Form):
    """``POST /v1/events/case-closed``; without ``at``, now."""

    case_ref: Short
    at: AwareDatetime | None = None


class RelationshipForm(Form):
    """``POST /v1/events/relationship-end`` and ``…-resumed``: one of the customer's id and number, and the day."""

    customer_id: Short | None = None
    customer_number: Short | None = None
    on: date


class ObjectionForm(Form):
    """``POST /v1/events/training-objection``: by a customer, or in one communication."""

    customer_id: Short | None = None
    customer_number: Short | None = None
    communication_id: Short | None = None
    reason: Reason


class EndingForm(Form):
    """``POST /v1/purpose-endings``."""

    communications: Annotated[list[Short], Field(min_length=1, max_length=1000)]
    purpose: Purpose
    reason: Reason


class OverrideForm(Form):
    """``POST /v1/statutory-overrides``: on a communication or a customer; ``year_end`` for statutes that ask for it."""

    code: Short
    communication_id: Short | None = None
    customer_id: Short | None = None
    customer_number: Short | None = None
    year_end: Annotated[str, Field(pattern=r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$")] | None = None
    reason: Reason


class ReasonForm(Form):
    """A reason alone."""

    reason: Reason


def event_json(report: EventReport) -> dict[str, Any]:
    """What an event did."""
    return {"concerned": report.concerned, "moved": report.moved}


def explanation_json(told: Explanation) -> dict[str, Any]:
    """Which rule gave which end, and why."""
    return {
        "id": told.row.id,
        "policy": told.row.policy_version,
        "destroy_at": told.row.destroy_at.isoformat(),
        "computed": told.ends.destroy_at.isoformat(),
        "differs": told.differs,
        "decided_by": told.ends.decided_by,
        "needed_until": told.ends.needed_until.isoformat(),
        "purposes": [
            {
                "purpose": end.purpose,
                "needed_until": end.needed_until.isoformat(),
                "rule": end.rule,
                "cap": end.cap_until.isoformat(),
                "ended_at": None if end.ended_at is None else end.ended_at.isoformat(),
            }
            for end in told.ends.purposes
        ],
        "lines": [
            {
                "code": line.code,
                "text": line.text,
                "purpose": line.purpose,
                "rule": line.rule,
                "at": None if line.at is None else line.at.isoformat(),
            }
            for line in told.lines
        ],
        "holds": list(told.holds),
        "overrides": [override.id for override in told.overrides],
        "endings": [ending.id for ending in told.endings],
    }


def trial_json(trial: Trial) -> dict[str, Any]:
    """What a policy would do, by customer kind and day."""
    return {
        "policy": trial.version,
        "communications": trial.rows,
        **{shift.value: trial.total(shift) for shift in Shift},
        "now_but_held": trial.frozen,
        "by_customer_kind": [
            {"customer_kind": kind or None, "shift": shift.value, "communications": number}
            for (shift, kind), number in sorted(trial.shifts.items())
        ],
        "by_day": [
            {"day": day.isoformat(), "customer_kind": kind or None, "before": before, "after": after}
            for day, kind, before, after in trial.by_day()
        ],
    }


def moved_json(moved: Moved) -> dict[str, Any]:
    """One line of the list of ids."""
    return {
        "id": moved.id,
        "shift": moved.shift.value,
        "before": moved.before.isoformat(),
        "after": moved.after.isoformat(),
    }


def applied_json(applied: Applied) -> dict[str, Any]:
    """How far a policy has come."""
    return {
        "policy": applied.version,
        "looked_at": applied.looked_at,
        "moved": applied.moved,
        "done": applied.done,
    }


def statute_json(statute: Statute) -> dict[str, Any]:
    """An entry of the table."""
    return statute.document()


def override_json(view: OverrideView) -> dict[str, Any]:
    """An active override and what it keeps."""
    return {
        **_override(view.override),
        "covered": view.covered,
        "until": None if view.until is None else view.until.isoformat(),
    }


def _override(override: Override) -> dict[str, Any]:
    return {
        "id": override.id,
        "communication_id": override.communication_id,
        "customer_id": override.customer_id,
        "statute": override.statute.document(),
        "year_end": override.year_end,
        "reason": override.reason,
        "placed_by": override.placed_by,
        "approved_by": override.approved_by,
        "placed_at": override.placed_at.isoformat(),
    }


def ending_json(one: OpenEnding) -> dict[str, Any]:
    """An early end that can still be taken back."""
    ending: PurposeEnding = one.ending
    return {
        "id": ending.id,
        "purpose": ending.purpose,
        "reason": ending.reason,
        "placed_by": ending.placed_by,
        "approved_by": ending.approved_by,
        "placed_at": ending.placed_at.isoformat(),
        "ends_at": ending.ends_at.isoformat(),
        "communications": one.items,
    }
