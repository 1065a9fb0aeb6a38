"""What becomes of a draft: the row of a communication, with its sealed parts, its ends and what is odd about it.

Keeps rule 7 (every row has its ``destroy_at``) and the first half of rule 8 (what is odd marks, it never refuses). The
order in which things are stored is left to :mod:`ingest`, wrapping the data key too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from recvault.domain.accounts import Source
from recvault.domain.communication import Attention, Communication, Draft, State, StreamRecord
from recvault.domain.errors import ContentMismatch
from recvault.domain.ports.system import Clock, Entropy
from recvault.sealing.container import StreamSeal
from recvault.sealing.fields import seal_fields
from recvault.sealing.manifest import Manifest, seal_manifest
from recvault.services.customers import Parties
from recvault.services.fact_digests import FactDigests
from recvault.services.places import Places
from recvault.services.retention import Retention
from recvault.services.sealed_fields import fields_of_draft


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A sealed stream in the object store that no row names yet."""

    communication_id: str
    data_key: bytes
    record: StreamRecord
    seal: StreamSeal
    media_type: str
    media_differs: bool
    replaces: Communication | None = None
    """The row, beyond reach since a restore, whose place it takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Whose upload it is: the source, the hash of its own id (None for what is kept aside), and beside what it is kept."""

    source: Source
    ref_hash: bytes | None
    conflict_of: str | None = None


class IngestRows:
    """Makes rows."""

    def __init__(
        self,
        *,
        retention: Retention,
        digests: FactDigests,
        places: Places,
        clock: Clock,
        entropy: Entropy,
        unset_notice: str,
    ) -> None:
        self._retention = retention
        self._digests = digests
        self._places = places
        self._clock = clock
        self._entropy = entropy
        self._unset_notice = unset_notice

    def make(self, origin: Origin, draft: Draft, parties: Parties, stored: Stored) -> Communication:
        """The row without its wrapped key; purposes and ends by the policy in force."""
        now = self._clock.now()
        blank = replace(self._described(origin, draft, parties, stored, now), streams=(stored.record,))
        row = self._retention.with_ends(self._sealed(blank, draft, stored), standing=parties.standing)
        has_notice = bool(draft.notice_ref or origin.source.notice_ref)
        marks = _marks(draft, parties, stored, row, now, has_notice=has_notice)
        return self._digests.sealed(replace(row, attention=marks))

    def _described(
        self, origin: Origin, draft: Draft, parties: Parties, stored: Stored, now: datetime
    ) -> Communication:
        place = self._places.record()
        return Communication(
            id=stored.communication_id,
            source_id=origin.source.id,
            source_ref_hash=origin.ref_hash,
            conflict_of=origin.conflict_of,
            channel=draft.channel,
            direction=draft.direction,
            started_at=draft.started_at,
            ended_at=draft.ended_at,
            stored_at=now,
            customer_id=parties.customer_id,
            customer_kind=parties.customer_kind,
            contact_point_id=None,
            agent_id=parties.agent_id,
            team=draft.team or parties.team,
            queue=draft.queue,
            case_ref=draft.case_ref,
            tags=draft.tags,
            answered=draft.answered,
            media_type=stored.media_type,
            notice_ref=draft.notice_ref or origin.source.notice_ref or self._unset_notice,
            balancing_ref=origin.source.balancing_ref or self._unset_notice,
            length=stored.seal.plaintext_length,
            policy_version="",
            destroy_at=now,
            purposes=(),
            attention=frozenset(),
            state=State.STORED,
            key_id="",
            wrapped_key=None,
            sealed_fields=None,
            sealed_manifest=None,
            streams=(),
            place_declared=place.declared,
            place_observed=place.observed,
            do_not_keep_at=now if self._retention.asks_not_to_keep(draft.tags) else None,
            relationship_ended_at=parties.relationship_ended_at,
        )

    def _sealed(self, row: Communication, draft: Draft, stored: Stored) -> Communication:
        manifest = Manifest(communication=row.id, streams=row.streams, plaintext_sha256=stored.seal.plaintext_sha256)
        return replace(
            row,
            sealed_fields=seal_fields(stored.data_key, row.id, fields_of_draft(draft), self._entropy.bytes(12)),
            sealed_manifest=seal_manifest(stored.data_key, manifest, self._entropy.bytes(12)),
        )


def require_announced(draft: Draft, seal: StreamSeal) -> None:
    """ContentMismatch when the content is not what the draft said it would be."""
    if draft.length is not None and draft.length != seal.plaintext_length:
        raise ContentMismatch(
            f"{seal.plaintext_length} bytes came, {draft.length} were announced; the upload was cut or grew: send it again"
        )
    if draft.sha256 is not None and draft.sha256 != seal.plaintext_sha256:
        raise ContentMismatch("the content does not have the digest that was announced; send it again")


def _marks(
    draft: Draft, parties: Parties, stored: Stored, row: Communication, now: datetime, *, has_notice: bool
) -> frozenset[Attention]:
    marks = set(draft.attention) | set(parties.marks)
    if not has_notice:
        marks.add(Attention.NO_NOTICE)
    if row.length == 0:
        marks.add(Attention.EMPTY_CONTENT)
    if stored.media_differs:
        marks.add(Attention.MEDIA_TYPE_DIFFERS)
    if row.conflict_of is not None:
        marks.add(Attention.CONFLICTING_CONTENT)
    if row.destroy_at <= now:
        marks.add(Attention.OVERDUE_ON_ARRIVAL)
    return frozenset(marks)
