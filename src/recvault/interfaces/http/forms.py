"""JSON of the API: what comes in (closed, typed) and what goes out. Translation only."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from recvault.domain.communication import Channel, Communication, Direction, Receipt, SearchQuery, State
from recvault.domain.customer import Agent, Customer
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import InvalidInput
from recvault.domain.holds import Hold, HoldKind
from recvault.domain.purpose import Purpose
from recvault.services.retrieve import Opened, View

Short = Annotated[str, Field(max_length=255)]


class Form(BaseModel):
    """A closed request body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignInForm(Form):
    """``POST /v1/session``. ``device``: what an earlier answer gave, so that this program is known."""

    name: Short
    password: Annotated[str, Field(max_length=1024)]
    device: Annotated[str, Field(max_length=128)] | None = None


class FactorForm(Form):
    """``POST /v1/session/factor``: a code of the person's app, or a recovery code."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    device: Annotated[str, Field(max_length=128)] | None = None


class SearchForm(Form):
    """``POST /v1/communications/search``: filters by id and class; ``tel``, ``mailto`` or ``handle`` find contact points.
    ``reference``: the request, or the id of the disclosure, for the purposes ``request`` and ``authority``."""

    purpose: Purpose
    reference: Short | None = None
    customer_id: Short | None = None
    customer_number: Short | None = None
    tel: Short | None = None
    mailto: Short | None = None
    handle: Short | None = None
    agent_id: Short | None = None
    team: Short | None = None
    queue: Short | None = None
    channel: Channel | None = None
    direction: Direction | None = None
    tag: Short | None = None
    case_ref: Short | None = None
    started_from: AwareDatetime | None = None
    started_until: AwareDatetime | None = None
    live_purpose: Short | None = None
    state: State | None = State.STORED
    needs_attention: bool | None = None
    unmatched: bool | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    def query(self, *, customer_id: str | None, contact_point_ids: tuple[str, ...] | None) -> SearchQuery:
        """The domain's query."""
        return SearchQuery(
            customer_id=customer_id,
            contact_point_ids=contact_point_ids,
            agent_id=self.agent_id,
            team=self.team,
            queue=self.queue,
            channel=self.channel,
            direction=self.direction,
            tag=self.tag,
            case_ref=self.case_ref,
            started_from=self.started_from,
            started_until=self.started_until,
            live_purpose=self.live_purpose,
            state=self.state,
            needs_attention=self.needs_attention,
            unmatched=self.unmatched,
            after=None if self.cursor is None else parse_cursor(self.cursor),
            limit=self.limit,
        )


class ViewForm(Form):
    """``POST /v1/communications/{id}/view``: ``reference`` as for a search."""

    purpose: Purpose
    reference: Short | None = None


class OpenForm(Form):
    """``POST /v1/communications/{id}/open``."""

    purpose: Purpose
    case_ref: Short | None = None
    reason: Short | None = None


class ReleaseForm(Form):
    """``POST /v1/communications/{id}/release``: to a trainee's sign-in name, until a moment."""

    to: Short
    until: AwareDatetime


class HoldSearchForm(Form):
    """What a hold takes from a search, as the search finds it now: classes and times only."""

    customer_id: Short | None = None
    agent_id: Short | None = None
    team: Short | None = None
    queue: Short | None = None
    channel: Channel | None = None
    direction: Direction | None = None
    tag: Short | None = None
    case_ref: Short | None = None
    started_from: AwareDatetime | None = None
    started_until: AwareDatetime | None = None

    def query(self) -> SearchQuery:
        """The domain's query; InvalidInput when it names nothing, since that would be everything."""
        asked = self.model_dump(exclude_none=True)
        if not asked:
            raise InvalidInput("a hold on a search names at least one class or time")
        return SearchQuery(**asked)


class HoldForm(Form):
    """``POST /v1/holds``."""

    reason: Annotated[str, Field(max_length=500)]
    review_on: date
    communication_id: Short | None = None
    customer_id: Short | None = None
    found_by: HoldSearchForm | None = None
    authority: Annotated[str, Field(max_length=500)] | None = None
    owner: Short | None = None
    kind: HoldKind = HoldKind.HOLD


class CustomerSearchForm(Form):
    """``POST /v1/customers/search``."""

    text: Short
    limit: Annotated[int, Field(ge=1, le=100)] = 20


def make_cursor(row: Communication) -> str:
    """The keyset position after ``row``, opaque to the caller."""
    return position_cursor(row.started_at, row.id)


def position_cursor(moment: datetime, identifier: str) -> str:
    """A keyset position as :func:`parse_cursor` reads it."""
    text = json.dumps([moment.isoformat(), identifier])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[datetime, str]:
    """The position in a cursor; InvalidInput when it is none of ours."""
    try:
        moment, identifier = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        position = datetime.fromisoformat(moment)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidInput("the cursor is not one of this search; begin again without it") from error
    if position.tzinfo is None or not isinstance(identifier, str):
        raise InvalidInput("the cursor is not one of this search; begin again without it")
    return position, identifier


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """A receipt."""
    return {
        "id": receipt.id,
        "sha256": receipt.sha256,
        "length": receipt.length,
        "stored_at": receipt.stored_at.isoformat(),
        "destroy_at": receipt.destroy_at.isoformat(),
        "place": receipt.place,
        "needs_attention": [mark.value for mark in receipt.needs_attention],
    }


def communication_json(row: Communication) -> dict[str, Any]:
    """A row of the index: ids, classes, times; no names or numbers."""
    return {
        "id": row.id,
        "channel": row.channel.value,
        "direction": row.direction.value,
        "started_at": row.started_at.isoformat(),
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
        "stored_at": row.stored_at.isoformat(),
        "customer_id": row.customer_id,
        "contact_point_id": row.contact_point_id,
        "agent_id": row.agent_id,
        "team": row.team,
        "queue": row.queue,
        "case_ref": row.case_ref,
        "tags": sorted(row.tags),
        "media_type": row.media_type,
        "length": row.length,
        "state": row.state.value,
        "destroy_at": row.destroy_at.isoformat(),
        "do_not_keep": row.do_not_keep_at is not None,
        "policy_version": row.policy_version,
        "purposes": [
            {
                "purpose": p.purpose,
                "needed_until": p.needed_until.isoformat(),
                "rule": p.rule,
                "ended_at": None if p.ended_at is None else p.ended_at.isoformat(),
            }
            for p in row.purposes
        ],
        "needs_attention": sorted(mark.value for mark in row.attention),
        "conflict_of": row.conflict_of,
        "place": {"declared": row.place_declared, "observed": row.place_observed},
        "notice_ref": row.notice_ref,
    }


def view_json(view: View) -> dict[str, Any]:
    """A view: the row, its sealed fields as this person may read them, the holds on it."""
    return {
        **communication_json(view.communication),
        "fields": dict(view.fields),
        "masked": view.masked,
        "holds": list(view.hold_ids),
    }


def opened_json(opened: Opened) -> dict[str, Any]:
    """The answer to opening."""
    return {
        "playback": f"/v1/playback/{opened.secret}",
        "communication_id": opened.communication_id,
        "media_type": opened.media_type,
        "filename": opened.filename,
        "length": opened.length,
        "expires_at": opened.expires_at.isoformat(),
    }


def hold_json(hold: Hold) -> dict[str, Any]:
    """A hold."""
    return {
        "id": hold.id,
        "communication_id": hold.communication_id,
        "customer_id": hold.customer_id,
        "snapshot": hold.snapshot,
        "kind": hold.kind.value,
        "scope": hold.scope.value,
        "owner": hold.responsible,
        "reason": hold.reason,
        "authority": hold.authority,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at.isoformat(),
        "review_on": hold.review_on.isoformat(),
        "released_at": None if hold.released_at is None else hold.released_at.isoformat(),
    }


def customer_json(customer: Customer) -> dict[str, Any]:
    """A row of the register."""
    return {
        "id": customer.id,
        "number": customer.number,
        "name": customer.name,
        "business_id": customer.business_id,
        "kind": customer.kind,
        "address": customer.address,
        "domicile": customer.domicile,
        "relationship_start": _day(customer.relationship_start),
        "relationship_end": _day(customer.relationship_end),
        "marketing_ban": customer.marketing_ban,
    }


def agent_json(agent: Agent) -> dict[str, Any]:
    """A row of the agents' directory."""
    return {
        "id": agent.id,
        "ref": agent.ref,
        "name": agent.name,
        "extensions": [m.value for m in agent.extensions],
        "teams": [m.value for m in agent.teams],
        "valid_until": None if agent.valid_until is None else agent.valid_until.isoformat(),
    }


def destruction_json(item: Destruction, certificates: Mapping[Stage, str]) -> dict[str, Any]:
    """A tombstone with its certificates (files as text, each verifiable alone)."""
    return {
        "communication_id": item.communication_id,
        "stage": item.stage.value,
        "trigger": item.trigger.value,
        "shredded_at": item.shredded_at.isoformat(),
        "inaccessible_at": None if item.inaccessible_at is None else item.inaccessible_at.isoformat(),
        "complete_at": None if item.complete_at is None else item.complete_at.isoformat(),
        "certificates": {
            "inaccessible": certificates.get(Stage.INACCESSIBLE),
            "complete": certificates.get(Stage.COMPLETE),
        },
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
