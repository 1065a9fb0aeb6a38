"""The ingest journey: from an authenticated source's bytes to a receipt that promises they are durable.

Keeps rule 1 (object before row: ciphertext is durable before the row that names it and carries its key commits, together
with the audit entry), rule 7 (every row has its ``destroy_at``) and rule 8 (an intact recording is accepted and marked,
never refused). A crash leaves ciphertext whose key was never stored: already destroyed, swept later. Memory is bounded by
the store's part size whatever the length. Reading the request and its limits is left to ``interfaces``.

Protocol steps, labelled in :meth:`Ingest.accept`:

 1. the place is allowed now; 2. the source's id is looked up: destroyed, stored already, or new; 3. customer, contact
 point, agent, team; 4. hash, seal and put the stream; 5. compare with what was announced; 6. purposes, ends, day key;
 7. one commit: row, wrapped key, audit entry; 8. receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from recvault.domain.accounts import Source
from recvault.domain.audit import Act
from recvault.domain.communication import (
    Attention,
    Communication,
    Draft,
    Receipt,
    Seen,
)
from recvault.domain.errors import (
    Conflict,
    ConflictKeptAside,
    ContentMismatch,
    DatabaseUnavailable,
    Destroyed,
    KeyDestroyed,
    NotAuthenticated,
    RecvaultError,
    Unavailable,
)
from recvault.domain.ids import uuid7, uuid7_time
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.intake.media import decide_media_type
from recvault.sealing.manifest import Manifest, open_manifest
from recvault.services.audit_log import AuditLog
from recvault.services.customers import Customers, Parties
from recvault.services.fact_digests import FactDigests
from recvault.services.ingest_rows import IngestRows, Origin, Stored, require_announced
from recvault.services.lost_rows import LostRows
from recvault.services.period_keys import PeriodKeys
from recvault.services.places import Places
from recvault.services.retention import Retention
from recvault.services.streams import ORIGINAL, Streams, peek

INDEX_KEY = "index/1"
"""Keyring id of the MAC key under which sources' ids are hashed."""

COMMIT_TRIES = 3
"""A day key that begins to close, or a register that changes, under an upload: the commit is prepared anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestLimits:
    """Named limits. ``commit_deadline``: a commit later than this after the id was made is refused, which lets the
    sweeper take nameless objects that are older than twice that."""

    conflict_quota: int = 100
    commit_deadline: timedelta = timedelta(hours=12)
    unset_notice: str = "unset"


class Ingest:
    """Accepts communications from sources."""

    def __init__(
        self,
        *,
        database: Database,
        streams: Streams,
        keyring: Keyring,
        period_keys: PeriodKeys,
        retention: Retention,
        customers: Customers,
        places: Places,
        lost_rows: LostRows,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        limits: IngestLimits,
    ) -> None:
        self._database = database
        self._streams = streams
        self._keyring = keyring
        self._period_keys = period_keys
        self._retention = retention
        self._customers = customers
        self._places = places
        self._lost_rows = lost_rows
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._rows = IngestRows(
            retention=retention,
            digests=FactDigests(keyring=keyring),
            places=places,
            clock=clock,
            entropy=entropy,
            unset_notice=limits.unset_notice,
        )

    def accept(self, source: Source, draft: Draft, content: Iterable[bytes]) -> Receipt:
        """Stores one communication. Raises ContentMismatch (cut or altered: send again), Conflict (same id, other
        content; kept aside), Destroyed (was here, is gone), NotAuthenticated (token revoked meanwhile), Unavailable."""
        self._places.require_writable()  # 1
        origin = Origin(source=source, ref_hash=self._hash_ref(source, draft))
        with self._database.look() as unit:  # nothing rests on it: the commit looks again
            seen = self._seen(unit, origin)
            parties = self._customers.resolve(unit, draft)  # 3
        known = self._known(origin, seen)  # 2
        lost = self._lost_rows.lost(known)
        if lost is not None:
            known = None
        if known is not None and draft.sha256 == self._manifest(known).plaintext_sha256:
            return self._seen_again(source, known, draft, content)
        stored = replace(self._put(draft, content), replaces=lost)  # 4
        try:
            require_announced(draft, stored.seal)  # 5
            if known is None:
                return self._commit(origin, draft, parties, stored)  # 6, 7, 8
            return self._settle_duplicate(origin, draft, known, parties, stored)
        except DatabaseUnavailable:
            raise  # the commit may have happened: the object stays, the sweeper knows
        except RecvaultError:
            self._discard(stored.communication_id)
            raise

    def _discard(self, communication_id: str) -> None:
        """Best effort, and never what a row names (content that was kept aside); in doubt it is the sweeper's."""
        try:
            with self._database.read() as unit:
                named = unit.communications.existing_ids([communication_id])
        except DatabaseUnavailable:
            return
        if not named:
            self._streams.discard(communication_id)

    def _hash_ref(self, source: Source, draft: Draft) -> bytes:
        return self._keyring.mac(INDEX_KEY, f"{source.id}\0{draft.source_ref}".encode())

    def _seen(self, unit: UnitOfWork, origin: Origin) -> Seen:
        return Seen() if origin.ref_hash is None else unit.communications.seen(origin.source.id, origin.ref_hash)

    def _known(self, origin: Origin, seen: Seen) -> Communication | None:
        """What is stored under the source's id; Destroyed when it was, and is gone."""
        while seen.destroyed is None and seen.stored is not None:
            with self._database.read() as unit:
                if known := unit.communications.find([seen.stored]):
                    return known[0]
                seen = self._seen(unit, origin)  # destroyed in this moment
        if seen.destroyed is None:
            return None
        actor = f"source:{origin.source.id}"
        self._audit.note(actor=actor, act=Act.RESENT_AFTER_DESTRUCTION, target=seen.destroyed)
        raise Destroyed("this communication was stored and has been destroyed; remove it from the spool")

    def _manifest(self, communication: Communication) -> Manifest:
        if communication.sealed_manifest is None:
            raise Destroyed("this communication has been destroyed; remove it from the spool")
        return open_manifest(self._period_keys.unwrap(communication), communication.id, communication.sealed_manifest)

    # --- 4: the stream

    def _put(self, draft: Draft, content: Iterable[bytes]) -> Stored:
        communication_id = uuid7(self._clock.now(), self._entropy.bytes(10))
        data_key = self._entropy.bytes(32)
        head, chunks = peek(content)
        media_type, differs = decide_media_type(draft.media_type, draft.filename, head)
        record, seal = self._streams.write(communication_id, ORIGINAL, 1, data_key, chunks)
        return Stored(
            communication_id=communication_id,
            data_key=data_key,
            record=record,
            seal=seal,
            media_type=media_type,
            media_differs=differs,
        )

    # --- 6 and 7: ends, key, commit

    def _commit(self, origin: Origin, draft: Draft, parties: Parties, stored: Stored) -> Receipt:
        for attempt in range(1, COMMIT_TRIES + 1):
            row = self._rows.make(origin, draft, parties, stored)
            key_id = self._period_keys.prepare(row.destroy_at)
            try:
                wrapped = self._period_keys.wrap(row.id, key_id, stored.data_key)
                row = replace(row, key_id=key_id, wrapped_key=wrapped)
                return self._commit_once(draft, row, parties, stored)
            except (Conflict, KeyDestroyed) as fault:  # that the day's key died meanwhile says nothing of the recording
                self._period_keys.forget(row.destroy_at)
                with self._database.read() as unit:
                    seen = self._seen(unit, origin)
                    parties = self._customers.resolve(unit, draft)
                winner = self._known(origin, seen)
                if (
                    winner is not None and self._lost_rows.lost(winner) is None
                ):  # the same upload was quicker by another way
                    return self._settle_duplicate(origin, draft, winner, parties, stored)
                if attempt == COMMIT_TRIES:  # no refusal: a recording that is intact is taken the next time
                    raise Unavailable("keys or register changed under the upload each time; send it again") from fault
        raise AssertionError("unreachable: the last try returns or raises")

    def _commit_once(self, draft: Draft, row: Communication, parties: Parties, stored: Stored) -> Receipt:
        receipt = Receipt.of(row, stored.seal.plaintext_sha256)
        try:
            with self._database.begin() as unit:
                if unit.accounts.share_source(row.source_id).revoked_at is not None:
                    raise NotAuthenticated("the source's token was revoked during the upload; nothing was stored")
                row = replace(row, contact_point_id=self._guard(unit, draft, parties))
                self._retention.require_current(unit, row)
                if stored.replaces is not None:
                    self._lost_rows.let_go(unit, stored.replaces)
                self._period_keys.share(unit, row.key_id)
                self._require_in_time(unit, row.id)
                if row.conflict_of is not None:
                    unit.communications.add_attention(row.conflict_of, [Attention.CONFLICTING_CONTENT])
                self._record(unit, row)
                unit.communications.add(row)
                if stored.replaces is not None:
                    self._lost_rows.hand_on(unit, stored.replaces, row)
                unit.commit()
        except DatabaseUnavailable:
            self._require_committed(row.id)
        return receipt

    def _guard(self, unit: UnitOfWork, draft: Draft, parties: Parties) -> str | None:
        """Shares the guard rows; Conflict when the register changed since the parties were looked up (a purge dropped
        the contact point, a relationship ended). Returns the contact point's id."""
        unit.register.share_guards(
            customer_ids=[parties.customer_id] if parties.customer_id else [],
            contact_point_ids=[parties.point.id] if parties.point else [],
        )
        if self._customers.resolve(unit, draft) != parties:
            raise Conflict("the register changed during the upload; the same request works again at once")
        point_id = self._customers.keep_point(unit, parties)
        if parties.point is None and point_id is not None:  # made just now, by us or by a racing upload
            unit.register.share_guards(customer_ids=[], contact_point_ids=[point_id])
        return point_id

    def _require_committed(self, communication_id: str) -> None:
        """An unknown commit is looked up, never undone: raises again unless the row is there."""
        with self._database.read() as unit:
            if not unit.communications.existing_ids([communication_id]):
                raise DatabaseUnavailable("the database did not confirm the upload; send it again")

    def _require_in_time(self, unit: UnitOfWork, communication_id: str) -> None:
        """Unavailable otherwise: nothing is wrong with the recording. By the database's clock too, which all hosts share:
        what a host whose clock is behind has named looks old to the sweeper from the start."""
        began = uuid7_time(communication_id)
        if self._clock.now() - began > self._limits.commit_deadline:
            raise Unavailable("the upload took longer than the commit deadline; send it again")
        if unit.now() - began > self._limits.commit_deadline:
            raise Unavailable("the clock of this host is hours behind the database's; set it right, then send it again")

    def _record(self, unit: UnitOfWork, row: Communication) -> None:
        self._audit.record(
            unit,
            actor=f"source:{row.source_id}",
            act=Act.STORED if row.conflict_of is None else Act.CONFLICT,
            target=row.id,
            detail={
                "channel": row.channel.value,
                "length": row.length,
                "destroy_at": row.destroy_at.isoformat(),
                "policy": row.policy_version,
                "place": row.place_declared,
                "attention": sorted(mark.value for mark in row.attention),
                "conflict_of": row.conflict_of,
            },
        )

    # --- uploads seen before

    def _seen_again(self, source: Source, known: Communication, draft: Draft, content: Iterable[bytes]) -> Receipt:
        """The announced digest is the stored one: the bytes are read and compared, and nothing is stored twice."""
        digest = hashlib.sha256()
        for chunk in content:
            digest.update(chunk)
        if digest.hexdigest() != draft.sha256:
            raise ContentMismatch("the content does not have the digest that was announced; send it again")
        return self._first_receipt(source, known, digest.hexdigest())

    def _settle_duplicate(
        self, origin: Origin, draft: Draft, known: Communication, parties: Parties, stored: Stored
    ) -> Receipt:
        """Same source id: the same content gives the first receipt, other content is kept aside and refused."""
        if self._manifest(known).plaintext_sha256 == stored.seal.plaintext_sha256:
            self._streams.discard(stored.communication_id)
            return self._first_receipt(origin.source, known, stored.seal.plaintext_sha256)
        with self._database.read() as unit:
            aside = unit.communications.conflicts_of_source(origin.source.id)
            others = unit.communications.conflicts_with(known.id)
        for other in others:
            if self._manifest(other).plaintext_sha256 == stored.seal.plaintext_sha256:  # its 409 was lost
                self._streams.discard(stored.communication_id)
                raise ConflictKeptAside(other.id)
        if aside >= self._limits.conflict_quota:
            raise Conflict(
                "this id is stored with other content, and the quota of conflicting uploads of this source is full; "
                "give each communication an id of its own, then have a person settle those kept aside"
            )
        kept = self._commit(replace(origin, ref_hash=None, conflict_of=known.id), draft, parties, stored)
        raise ConflictKeptAside(kept.id)

    def _first_receipt(self, source: Source, known: Communication, sha256: str) -> Receipt:
        self._audit.note(actor=f"source:{source.id}", act=Act.STORED_AGAIN, target=known.id)
        return replace(Receipt.of(known, sha256), already_stored=True)
