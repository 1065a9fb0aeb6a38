"""What stays of rows that are being destroyed: tombstones with their evidence, and an audit entry for each.

Keeps that nothing goes without them in the same commit, whoever destroys: the purge (``services.shredding``) or a replay
(``services.restore``). Grants to play what goes end here too. Which rows may go is decided before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.destruction import Destruction, Stage, Trigger
from recvault.domain.ports.database import UnitOfWork
from recvault.services.audit_log import AuditLog
from recvault.services.certificates import Certificates


class Tombstones:
    """Writes them down inside the caller's transaction."""

    def __init__(self, *, certificates: Certificates, audit: AuditLog) -> None:
        self._certificates = certificates
        self._audit = audit

    def write(
        self,
        unit: UnitOfWork,
        rows: Sequence[Communication],
        *,
        actor: str,
        batch: str,
        trigger: Callable[[Communication], Trigger],
        started_at: datetime,
        shredded_at: datetime,
    ) -> list[Destruction]:
        """The tombstones of locked rows, in their order; the rows themselves are left as they are."""
        ids = [row.id for row in rows]
        signers = {version: unit.policies.get(version).signed_by for version in {row.policy_version for row in rows}}
        keys = unit.communications.wrapped_by(ids)
        ended = unit.retention.endings_covering([row.id for row in rows if any(p.ended_at for p in row.purposes)])
        tombstones = [
            Destruction(
                communication_id=row.id,
                source_id=row.source_id,
                source_ref_hash=row.source_ref_hash,
                batch=batch,
                trigger=trigger(row),
                stage=Stage.SHREDDED,
                facts=self._certificates.evidence(
                    row,
                    policy_signed_by=signers[row.policy_version] or "nobody",
                    endings=ended.get(row.id, ()),
                    started_at=started_at,
                ),
                key_ids=keys.get(row.id, ()),
                shredded_at=shredded_at,
            )
            for row in rows
        ]
        unit.destructions.add(*tombstones)
        unit.accounts.drop_playback(expired_before=started_at, communication_ids=ids)
        self._audit.record_each(unit, actor=actor, act=Act.SHREDDED, targets=ids, detail={"batch": batch})
        return tombstones
