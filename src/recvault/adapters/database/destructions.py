"""Tombstones and certificates. Rows are never deleted: they are the archive's proof of a destruction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, literal, select, tuple_, update

from recvault.adapters.database.bulk import insert_many
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session, batches
from recvault.adapters.database.tables import (
    batch_certificates,
    communications,
    destruction_keys,
    destructions,
    period_keys,
)
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.destruction import BatchCertificate, Destruction, Stage, Trigger
from recvault.domain.errors import Conflict
from recvault.domain.merkle import DIGEST

_d = destructions.c
_PLAIN = (
    "communication_id", "source_id", "source_ref_hash", "batch", "facts", "shredded_at", "inaccessible_at",
    "complete_at", "certificate_inaccessible", "certificate_complete", "inaccessible_in", "complete_in",
)  # fmt: skip
_BEFORE = {Stage.INACCESSIBLE: Stage.SHREDDED, Stage.COMPLETE: Stage.INACCESSIBLE}


class SqlDestructions:
    """Implements the port's ``Destructions``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *new: Destruction) -> None:
        """Conflict when a communication has a tombstone already, or the stage is a later one."""
        if any(one.stage is not Stage.SHREDDED for one in new):
            raise Conflict("a destruction begins at stage 'shredded'; the later stages come with their certificates")
        insert_many(
            self._session,
            destructions,
            (
                {name: getattr(one, name) for name in _PLAIN} | {"trigger": one.trigger.value, "stage": one.stage.value}
                for one in new
            ),
        )
        insert_many(
            self._session,
            destruction_keys,
            (
                {"communication_id": one.communication_id, "key_id": key_id, "position": position}
                for one in new
                for position, key_id in enumerate(one.key_ids)
            ),
        )

    def get(self, communication_id: str) -> Destruction:
        """See the port."""
        found = self.find([communication_id])
        if not found:
            raise missing("destruction")
        return found[communication_id]

    def find(self, communication_ids: Collection[str]) -> dict[str, Destruction]:
        """See the port."""
        found: dict[str, Destruction] = {}
        for batch in batches(communication_ids):
            rows = self._session.rows(select(destructions).where(self._session.among(_d.communication_id, batch)))
            found |= {one.communication_id: one for one in self._load(rows)}
        return found

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Destruction | None:
        """The newest, should there be several."""
        rows = self._session.rows(
            select(destructions)
            .where(_d.source_id == source_id, _d.source_ref_hash == source_ref_hash)
            .order_by(_d.shredded_at.desc(), _d.communication_id.desc())
            .limit(1)
        )
        return next(iter(self._load(rows)), None)

    def certify(self, certificate: BatchCertificate, communication_ids: Collection[str], *, at: datetime) -> None:
        """See the port. Conflict also when the certificate's id exists."""
        self._session.insert(
            batch_certificates,
            {
                "id": certificate.id,
                "stage": certificate.stage.value,
                "issued_at": certificate.issued_at,
                "leaves": b"".join(certificate.leaves),
                "document": certificate.document,
            },
        )
        stage = certificate.stage
        values: dict[str, Any] = {"stage": stage.value, f"{stage.value}_at": at, f"{stage.value}_in": certificate.id}
        if stage is Stage.INACCESSIBLE:
            values["looked_for_at"] = at
        changed = 0
        for batch in batches(communication_ids):
            changed += self._session.change(
                update(destructions)
                .where(self._session.among(_d.communication_id, batch), _d.stage == _BEFORE[stage].value)
                .values(values)
            )
        if changed != len(communication_ids):
            raise self._why_not(communication_ids, _BEFORE[stage])

    def certificate(self, certificate_id: str) -> BatchCertificate:
        """See the port."""
        row = self._session.first(select(batch_certificates).where(batch_certificates.c.id == certificate_id))
        if row is None:
            raise missing("certificate")
        return BatchCertificate(
            id=row.id,
            stage=Stage(row.stage),
            issued_at=row.issued_at,
            leaves=tuple(row.leaves[at : at + DIGEST] for at in range(0, len(row.leaves), DIGEST)),
            document=row.document,
        )

    def completable(self, limit: int) -> list[Destruction]:
        """See the port. A key without a row in ``period keys`` does not hold it back here: whether it is gone
        is the keyring's to say before the certificate is signed.
        """
        alive = (
            exists()
            .where(destruction_keys.c.communication_id == _d.communication_id)
            .where(period_keys.c.key_id == destruction_keys.c.key_id, period_keys.c.destroyed_at.is_(None))
        )
        rows = self._session.rows(
            select(destructions)
            .where(_d.stage == Stage.INACCESSIBLE.value, ~alive)
            .order_by(_d.inaccessible_at, _d.communication_id)
            .limit(limit)
        )
        return self._load(rows)

    def uncertified(self, before: datetime, limit: int) -> list[Destruction]:
        """See the port."""
        there = exists().where(communications.c.id == _d.communication_id)
        rows = self._session.rows(
            select(destructions)
            .where(_d.stage == Stage.SHREDDED.value, _d.shredded_at < before, ~there)
            .order_by(_d.shredded_at, _d.communication_id)
            .limit(limit)
        )
        return self._load(rows)

    def to_recheck(self, *, since: datetime, before: datetime, limit: int) -> list[Destruction]:
        """See the port; the one not looked for the longest first. Complete ones are looked for as well."""
        rows = self._session.rows(
            select(destructions)
            .where(_d.inaccessible_at >= since, _d.looked_for_at < before)
            .order_by(_d.looked_for_at, _d.communication_id)
            .limit(limit)
        )
        return self._load(rows)

    def note_rechecked(self, communication_ids: Collection[str], at: datetime) -> None:
        """See the port."""
        for batch in batches(communication_ids):
            self._session.change(
                update(destructions)
                .where(self._session.among(_d.communication_id, batch), _d.inaccessible_at.is_not(None))
                .values(looked_for_at=at)
            )

    def recent(self, limit: int, *, after: tuple[datetime, str] | None = None) -> list[Destruction]:
        """See the port."""
        statement = select(destructions).order_by(_d.shredded_at.desc(), _d.communication_id.desc()).limit(limit)
        if after is not None:
            position = tuple_(literal(after[0], Moment()), literal(after[1], TEXT))
            statement = statement.where(tuple_(_d.shredded_at, _d.communication_id) < position)
        return self._load(self._session.rows(statement))

    def _why_not(self, ids: Collection[str], current: Stage) -> Exception:
        """After a change that did not touch all: one of them is not there, or was not at the stage."""
        found = self.find(ids)
        if len(found) != len(ids):
            return missing("destruction")
        stages = ", ".join(sorted({one.stage for one in found.values()}))
        return Conflict(f"not everything was at stage {current}, now at stage {stages}; read the certificates instead")

    def _load(self, rows: Sequence[Row[Any]]) -> list[Destruction]:
        keys: dict[str, list[str]] = {}
        for batch in batches([row.communication_id for row in rows]):
            for key in self._session.rows(
                select(destruction_keys)
                .where(self._session.among(destruction_keys.c.communication_id, batch))
                .order_by(destruction_keys.c.communication_id, destruction_keys.c.position)
            ):
                keys.setdefault(key.communication_id, []).append(key.key_id)
        return [
            Destruction(
                **{name: getattr(row, name) for name in _PLAIN},
                trigger=Trigger(row.trigger),
                stage=Stage(row.stage),
                key_ids=tuple(keys.get(row.communication_id, ())),
            )
            for row in rows
        ]
