"""The agents' directory: who had which extension and which team, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import agent_memberships, agents
from recvault.domain.customer import Agent, Membership

_EXTENSION, _TEAM = "extension", "team"


class AgentDirectory:
    """The part of the register that knows the agents."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put_agent(self, agent: Agent) -> None:
        """See the port. Conflict when another agent has the ref."""
        row = {"id": agent.id, "ref": agent.ref, "name": agent.name, "valid_until": agent.valid_until}
        self._session.put(agents, row, key=["id"])
        self._session.change(delete(agent_memberships).where(agent_memberships.c.agent_id == agent.id))
        rows = [*_rows(agent.id, _EXTENSION, agent.extensions), *_rows(agent.id, _TEAM, agent.teams)]
        self._session.insert(agent_memberships, rows)

    def agent(self, agent_id: str) -> Agent:
        """See the port."""
        found = self._agents(agents.c.id == agent_id)
        if not found:
            raise missing("agent")
        return found[0]

    def agents(self) -> list[Agent]:
        """See the port."""
        return self._agents()

    def agent_by_ref(self, ref: str) -> Agent | None:
        """See the port."""
        return next(iter(self._agents(agents.c.ref == ref)), None)

    def agents_by_extension(self, extension: str) -> list[Agent]:
        """In name order."""
        having = select(agent_memberships.c.agent_id).where(
            agent_memberships.c.kind == _EXTENSION, agent_memberships.c.value == extension
        )
        return self._agents(agents.c.id.in_(having))

    def _agents(self, *conditions: ColumnElement[bool]) -> list[Agent]:
        rows = self._session.rows(select(agents).where(*conditions))
        held: dict[tuple[str, str], list[Membership]] = {}
        for batch in batches([row.id for row in rows]):
            for one in self._session.rows(
                select(agent_memberships)
                .where(agent_memberships.c.agent_id.in_(batch))
                .order_by(agent_memberships.c.agent_id, agent_memberships.c.position)
            ):
                held.setdefault((one.agent_id, one.kind), []).append(_membership(one))
        found = [
            Agent(
                id=row.id,
                ref=row.ref,
                name=row.name,
                extensions=tuple(held.get((row.id, _EXTENSION), ())),
                teams=tuple(held.get((row.id, _TEAM), ())),
                valid_until=row.valid_until,
            )
            for row in rows
        ]
        return sorted(found, key=lambda agent: (agent.name.casefold(), agent.id))


def _rows(agent_id: str, kind: str, memberships: Sequence[Membership]) -> list[dict[str, Any]]:
    return [
        {
            "agent_id": agent_id,
            "kind": kind,
            "position": position,
            "value": one.value,
            "valid_from": one.valid_from,
            "valid_until": one.valid_until,
        }
        for position, one in enumerate(memberships)
    ]


def _membership(row: Row[Any]) -> Membership:
    return Membership(value=row.value, valid_from=row.valid_from, valid_until=row.valid_until)
