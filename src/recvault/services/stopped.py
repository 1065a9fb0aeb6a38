"""What the purge stopped goes on: a person has looked at a row whose end was not what the policy gives (rule 7).

Keeps: the end is computed again from the facts and replaces what stood in the row, never the other way round; a hold or a
later end still keeps it; the act, who did it and why stand in the audit log in the same commit, with the ends before and
after. Reasons are a short list, because the log holds no personal data. Destroying it is left to the next purge.
"""

from __future__ import annotations

from dataclasses import replace

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act
from recvault.domain.communication import Communication, State
from recvault.domain.destruction import WhyResumed
from recvault.domain.errors import Conflict, Destroyed, NotFound
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.services.access import Access
from recvault.services.retention import Retention


class Stopped:
    """Lets stopped communications go on."""

    def __init__(self, *, database: Database, retention: Retention, access: Access) -> None:
        self._database = database
        self._retention = retention
        self._access = access

    def resume(self, actor: Actor, communication_id: str, reason: WhyResumed) -> Communication:
        """The communication with the end that its policy gives, under the purge's care again.

        Forbidden, NotFound, Destroyed; Conflict when it was not stopped.
        """
        self._access.require(actor, Action.DESTRUCTION_CONFIRM)
        with self._database.begin() as unit:
            row = self._locked(unit, communication_id)
            known = unit.retention.facts_versions([row.id]).get(row.id, 0)
            row = replace(row, facts_version=max(row.facts_version, known))  # what is authenticated now is the last
            self._retention.move(
                unit,
                [row],
                [row],
                by=actor.id,
                act=Act.ITEM_RESUMED,
                detail={"reason": reason.value},
                always=True,
            )
            if not unit.communications.unstop(communication_id):
                raise Conflict("this communication was not stopped; the purge takes care of it as of all others")
            found = unit.communications.get(communication_id)
            unit.commit()
        return found

    def _locked(self, unit: UnitOfWork, communication_id: str) -> Communication:
        customers, points = unit.communications.guards([communication_id])
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        rows = unit.communications.lock([communication_id])
        if rows and rows[0].state is State.STORED:
            return rows[0]
        if rows or unit.destructions.find([communication_id]):
            raise Destroyed("this communication has been destroyed")
        raise NotFound("there is no such communication; check the id")
