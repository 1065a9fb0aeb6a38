"""The retrieval journey: search, view, open for a purpose, play byte ranges.

Keeps rule 2 (``opened`` is committed before the first byte leaves; every served range leaves a ``closed`` entry with it,
and a missing one counts as the whole) and P6: every look at content needs a role, a scope and a live purpose, decided again
at every range. No address stays good: a grant is random, bound to one person, short-lived, and only its hash is stored.

Unwrapped data keys, and streams opened with them, are kept at most ``cache_seconds`` (destruction waits that long).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

from recvault.domain.access import Action, Actor, Role, Subject, decide, sees_customer_masked, visible_sets
from recvault.domain.accounts import PlaybackGrant
from recvault.domain.audit import Act
from recvault.domain.communication import Communication, SearchQuery
from recvault.domain.errors import (
    DatabaseUnavailable,
    Destroyed,
    Forbidden,
    LimitReached,
    NotFound,
    Tampered,
)
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.purpose import Purpose
from recvault.domain.tokens import token_hash
from recvault.sealing.fields import open_fields
from recvault.sealing.manifest import Manifest, StreamEntry, open_manifest
from recvault.sealing.ranges import RangeReader
from recvault.services.audit_log import AuditLog
from recvault.services.grounds import AccessRefused, AccessRules, Grounds
from recvault.services.listening_limits import ListeningLimits
from recvault.services.period_keys import PeriodKeys
from recvault.services.sealed_fields import masked
from recvault.services.streams import ORIGINAL, Streams

SEARCH_LIMIT = 200
"""Rows a page at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A communication as one actor may see it: the row, its readable fields (masked or not), what holds it."""

    communication: Communication
    fields: Mapping[str, object]
    masked: bool
    hold_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The answer to opening: ``secret`` goes into the playback address, once."""

    secret: str
    communication_id: str
    media_type: str
    filename: str | None
    length: int
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Playback:
    """A checked right to read: length in bytes, and :meth:`Retrieval.read` gives ranges of it."""

    communication: Communication
    grant: PlaybackGrant
    manifest: Manifest
    stream: StreamEntry

    @property
    def etag(self) -> str:
        """A strong validator (RFC 9110, 8.8.3) that tells nothing of the content: the ciphertext's digest."""
        return f'"{self.stream.ciphertext_sha256[:32]}"'


@dataclass(kw_only=True, slots=True)
class _Kept:
    """An unwrapped data key, and the streams opened with it by object name and version."""

    since: datetime
    key: bytes
    readers: dict[tuple[str, str | None], RangeReader] = field(default_factory=dict)


class KeyCache:
    """Data keys by communication, and what was opened with them, for at most ``seconds``; safe between threads."""

    def __init__(self, *, period_keys: PeriodKeys, clock: Clock, seconds: int, size: int = 256) -> None:
        self._period_keys = period_keys
        self._clock = clock
        self._life = timedelta(seconds=seconds)
        self._size = size
        self._lock = Lock()
        self._keys: dict[tuple[str, str], _Kept] = {}

    def data_key(self, communication: Communication) -> bytes:
        """The data key; a stored row is the caller's proof that it still may be used."""
        return self._kept(communication).key

    def reader(
        self, communication: Communication, stream: StreamEntry, open_stream: Callable[[bytes], RangeReader]
    ) -> RangeReader:
        """The stream as ``open_stream`` opened and verified it with the data key: once, and not at every range. It is
        kept no longer than the data key, whose derivative it holds."""
        kept = self._kept(communication)
        name = (stream.object_name, stream.version_id)
        reader = kept.readers.get(name)
        if reader is None:
            reader = kept.readers[name] = open_stream(kept.key)
        return reader

    def _kept(self, communication: Communication) -> _Kept:
        now = self._clock.now()
        name = (communication.id, communication.key_id)
        with self._lock:
            self._keys = {n: kept for n, kept in self._keys.items() if now - kept.since < self._life}
            if name in self._keys:
                return self._keys[name]
        kept = _Kept(since=now, key=self._period_keys.unwrap(communication))
        with self._lock:
            if len(self._keys) < self._size:
                self._keys[name] = kept
        return kept


class Retrieval:
    """Finds communications and gives out their content."""

    def __init__(
        self,
        *,
        database: Database,
        streams: Streams,
        keys: KeyCache,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        rules: AccessRules,
        limits: ListeningLimits,
        grounds: Grounds,
    ) -> None:
        self._database = database
        self._streams = streams
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._rules = rules
        self._limits = limits
        self._grounds = grounds

    # --- the index

    def search(
        self, actor: Actor, query: SearchQuery, purpose: Purpose | None = None, *, reference: str | None = None
    ) -> list[Communication]:
        """What the actor may see of what the query asks, newest first; at most ``query.limit`` rows. ``reference`` names the
        request of a data subject or the authorisation that it is for; without a purpose it is for neither."""
        now = self._clock.now()
        visible = visible_sets(actor, purpose, now)
        if purpose is None:
            visible = tuple(one for one in visible if one.purpose is not None)
        if not visible:
            raise Forbidden(
                "searching needs a role that covers the purpose; choose another purpose or ask for the role"
            )
        query = replace(query, limit=max(1, min(query.limit, SEARCH_LIMIT)))
        with self._traced(self._database.begin()) as unit:
            self._limits.look(unit, actor, now)
            query, ground = self._grounds.searching(unit, actor, query, purpose, reference)
            rows = unit.communications.search(query, visible, now)
            self._audit.record(
                unit,
                actor=actor.id,
                act=Act.SEARCHED,
                target=query.customer_id,
                purpose=purpose,
                detail={"rows": len(rows), **ground.detail},
            )
            unit.commit()
        return rows

    def view(self, actor: Actor, communication_id: str, purpose: Purpose, *, reference: str | None = None) -> View:
        """The row and its readable fields; leaves a trace like opening does."""
        now = self._clock.now()
        with self._traced(self._database.begin()) as unit:
            row = self._allowed(unit, actor, Action.VIEW, communication_id, purpose, now)
            ground = self._grounds.viewing(unit, actor, row, purpose, reference)
            self._limits.look(unit, actor, now)
            holds = unit.holds.covering([row.id]).get(row.id, ())
            self._audit.record(
                unit, actor=actor.id, act=Act.VIEWED, target=row.id, purpose=purpose, detail=ground.detail
            )
            unit.commit()
        hide = self._rules.mask_for_trainers and sees_customer_masked(actor, purpose, now)
        fields = self._fields(row)
        return View(communication=row, fields=masked(fields) if hide else fields, masked=hide, hold_ids=holds)

    # --- opening

    def open(
        self,
        actor: Actor,
        communication_id: str,
        purpose: Purpose,
        *,
        case_ref: str | None = None,
        reason: str | None = None,
    ) -> Opened:
        """Commits ``opened`` and returns a grant for this person alone. Forbidden leaves a trace too."""
        now = self._clock.now()
        secret = base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        with self._traced(self._database.begin()) as unit:
            row = self._allowed(unit, actor, Action.OPEN, communication_id, purpose, now)
            ground = self._grounds.opening(unit, actor, row, purpose, case_ref, reason)
            self._limits.opening(unit, actor, purpose, row.customer_id, now)
            entry = self._audit.record(
                unit,
                actor=actor.id,
                act=Act.OPENED,
                target=row.id,
                purpose=purpose,
                detail=ground.detail,
            )
            grant = PlaybackGrant(
                hash=token_hash(secret),
                communication_id=row.id,
                actor_id=actor.id,
                purpose=purpose,
                opened_entry=entry,
                expires_at=now + self._rules.grant_life,
                authorisation_id=ground.authorisation_id,
            )
            unit.accounts.add_playback(grant)
            unit.commit()
        return Opened(
            secret=secret,
            communication_id=row.id,
            media_type=row.media_type,
            filename=self._filename(actor, purpose, row, now),
            length=row.length,
            expires_at=grant.expires_at,
        )

    def playback(self, actor: Actor, secret: str) -> Playback:
        """Authorises one request for a range: grant, person, role, scope, purpose and state, all as of now."""
        now = self._clock.now()
        with self._traced(self._database.look()) as unit:
            grant = unit.accounts.playback(token_hash(secret))
            if grant is None or grant.expires_at <= now or grant.actor_id != actor.id:
                raise NotFound("this playback has ended; open the communication again")
            row = self._allowed(unit, actor, Action.OPEN, grant.communication_id, Purpose(grant.purpose), now)
            self._grounds.playing(unit, actor, row, grant)
        manifest = self._manifest(row)
        return Playback(communication=row, grant=grant, manifest=manifest, stream=manifest.stream(ORIGINAL))

    def read(self, playback: Playback, first: int, last: int) -> Iterator[bytes]:
        """Plaintext bytes ``first`` to ``last`` inclusive. Commitment and last chunk are verified before the first byte (by
        an earlier range, where the stream is still open from it); a ``closed`` entry with what was served follows, also
        when the listener stops early."""
        served = 0
        row = playback.communication
        reader = self._keys.reader(row, playback.stream, partial(self._streams.reader, row.id, playback.stream))
        try:
            for piece in reader.read(first, last):
                served += len(piece)
                yield piece
        finally:
            self._close(playback, first, served)

    def _close(self, playback: Playback, first: int, served: int) -> None:
        """A database that is away now changes nothing: ``opened`` stands, and without this entry the whole counts."""
        with suppress(DatabaseUnavailable), self._database.begin() as unit:
            self._audit.record(
                unit,
                actor=playback.grant.actor_id,
                act=Act.CLOSED,
                target=playback.communication.id,
                purpose=playback.grant.purpose,
                detail={"opened": playback.grant.opened_entry, "first": first, "length": served},
            )
            unit.commit()

    # --- shared parts

    def _allowed(
        self, unit: UnitOfWork, actor: Actor, action: Action, communication_id: str, purpose: Purpose, now: datetime
    ) -> Communication:
        found = unit.communications.find([communication_id])
        if not found:
            if unit.destructions.find([communication_id]):
                raise Destroyed("this communication has been destroyed")
            raise NotFound("there is no such communication")
        row = found[0]
        if row.awaiting_purge is not None:
            raise Destroyed("this communication was destroyed, or is being; only a restored database still has its row")
        trainee = any(grant.role is Role.TRAINEE for grant in actor.grants)  # to nobody else it makes a difference
        released = trainee and unit.accounts.released_to(row.id, actor.id, now)
        restricted = action is Action.OPEN and bool(unit.holds.restricted([row.id]))
        subject = Subject(communication=row, restricted=restricted, released_to_actor=released)
        decision = decide(actor, action, subject, purpose, now)
        if not decision.allowed:
            raise AccessRefused(
                actor_id=actor.id, communication_id=row.id, action=action, purpose=purpose, reason=decision.reason
            )
        return row

    @contextmanager
    def _traced(self, transaction: AbstractContextManager[UnitOfWork]) -> Iterator[UnitOfWork]:
        """A transaction whose refusal leaves a trace of its own, after the rollback."""
        try:
            with transaction as unit:
                yield unit
        except AccessRefused as refusal:
            self._audit.note(
                actor=refusal.actor_id,
                act=Act.OPEN_REFUSED,
                target=refusal.communication_id,
                detail={"action": refusal.action, "purpose": refusal.purpose, "reason": refusal.reason},
            )
            raise
        except LimitReached as refusal:
            self._audit.note(actor=refusal.person, act=Act.LIMIT_REACHED)
            raise

    def _manifest(self, row: Communication) -> Manifest:
        if row.sealed_manifest is None:
            raise Destroyed("this communication has been destroyed")
        manifest = open_manifest(self._keys.data_key(row), row.id, row.sealed_manifest)
        if set(manifest.streams) != set(row.streams):
            raise Tampered("the row's streams differ from the sealed manifest; run 'recvault doctor'")
        return manifest

    def _fields(self, row: Communication) -> dict[str, object]:
        if row.sealed_fields is None:
            return {}
        return open_fields(self._keys.data_key(row), row.id, row.sealed_fields)

    def _filename(self, actor: Actor, purpose: Purpose, row: Communication, now: datetime) -> str | None:
        """The name as sent, unless masking hides it: recorders put the caller's number into names."""
        if self._rules.mask_for_trainers and sees_customer_masked(actor, purpose, now):
            return None
        name = self._fields(row).get("filename")
        return name if isinstance(name, str) else None
