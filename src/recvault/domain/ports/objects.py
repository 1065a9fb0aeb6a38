"""The object store as services see it: names, bytes, versions, and where the bytes lie.

What every store keeps:

* what ``put`` returned is durable, and nobody ever sees half an object;
* ``ObjectNotFound`` is said only when the store itself says so; a fault is ``StoreUnavailable``, a refusal
  ``StoreError``;
* deleting reports each failure. Success of a deletion is still no proof of absence: list versions and open
  uploads again.

It leaves to others: sealing (only ciphertext comes here), names that reveal nothing, and the judgement
whether the place is allowed (``domain.residency``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from recvault.domain.errors import InvalidInput, StoreError
from recvault.domain.ids import require_aware

SMALL_OBJECT_LIMIT = 8 * 1024 * 1024
"""Bytes; the most that ``put_small`` takes."""

NAME_LIMIT = 200
"""Characters of a whole object name."""

SEGMENT_LIMIT = 128
"""Characters between two slashes."""

_SEGMENT = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._=-]{{0,{SEGMENT_LIMIT - 1}}}")


def is_segment(text: str) -> bool:
    """Whether ``text`` may stand between two slashes of an object name."""
    return _SEGMENT.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Returns ``name`` when it is a lawful object name, raises InvalidInput otherwise.

    Segments of ASCII letters, digits and ``. _ = -``, not beginning with a dot or dash, joined by single
    slashes. This is the same for every store, so that an archive can move from a folder to S3 and back. No
    store promises to hold both an object ``a`` and objects under ``a/``.
    """
    if len(name) > NAME_LIMIT or not all(map(is_segment, name.split("/"))):
        raise InvalidInput(
            "this is not a lawful object name; use ASCII letters, digits and . _ = - in segments joined by / "
            f"(at most {SEGMENT_LIMIT} characters a segment, {NAME_LIMIT} in all)"
        )
    return name


def check_prefix(prefix: str) -> str:
    """Returns ``prefix`` when it is empty or whole segments followed by ``/``; InvalidInput otherwise.

    A prefix that stops inside a segment would take neighbours along (``a`` also means ``ab``).
    """
    if prefix and not prefix.endswith("/"):
        raise InvalidInput("a prefix must end in / so that no neighbour is taken along; add the slash")
    if prefix:
        check_name(prefix[:-1])
    return prefix


class ObjectExists(StoreError):
    """The name of a ``put_small`` is taken. It may be taken by an earlier try of the same caller: read it and
    see.
    """

    code = "object-exists"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """What ``put`` made durable. ``version_id`` is None where the store keeps no versions; ``length`` in
    bytes.
    """

    name: str
    version_id: str | None
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectVersion:
    """One version of one object, or a delete marker (length 0). ``version_id`` is None where there are no
    versions.
    """

    name: str
    version_id: str | None
    is_delete_marker: bool
    length: int
    modified: datetime

    def __post_init__(self) -> None:
        require_aware(self.modified, "modified")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenUpload:
    """An upload begun and neither completed nor aborted; its parts occupy space and hold ciphertext.

    ``name`` is the object's name. ``started`` is the store's time, in a folder that of the last write.
    """

    name: str
    upload_id: str
    started: datetime

    def __post_init__(self) -> None:
        require_aware(self.started, "started")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteFailure:
    """A version that was not seen to go. ``retryable`` tells a fault from a refusal; ``reason`` says what to
    do.
    """

    item: ObjectVersion
    reason: str
    retryable: bool


class ObjectLock(StrEnum):
    """The strongest default retention of a bucket. ENABLED: locking is on, without a default period."""

    NONE = "none"
    ENABLED = "enabled"
    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class Versioning(StrEnum):
    """Whether overwriting or a plain delete leaves older versions behind."""

    OFF = "off"
    ON = "on"
    SUSPENDED = "suspended"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedPlace:
    """What the store itself says about where and how it keeps objects. Never filled from configuration.

    ``kind`` is ``s3``, ``folder`` or ``memory``. ``location`` is the bucket's own location (None: the store
    did not say; a folder never can). ``endpoint`` is ``host:port`` of the connection, the source of the mount
    for a folder on a network file system, and empty for a local folder. ``encrypted_transport`` is TLS with a
    verified certificate. ``loopback`` says that the bytes do not leave this machine on their way.
    ``default_retention_days`` is None without a default retention. ``lifecycle_rules`` are phrases, one for
    each enabled rule that expires or moves objects. ``unreadable`` names settings the store refused to tell:
    whoever judges must treat them as unknown. ``free_bytes`` is None where it cannot be known.
    """

    kind: str
    endpoint: str
    location: str | None
    encrypted_transport: bool
    loopback: bool
    versioning: Versioning
    object_lock: ObjectLock
    default_retention_days: int | None
    replication: bool
    lifecycle_rules: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    free_bytes: int | None = None


class ObjectStore(Protocol):
    """A place for ciphertext. Safe to use from several threads at once.

    All methods raise StoreUnavailable for faults that may pass, StoreError for refusals, InvalidInput for
    names that ``check_name`` or ``check_prefix`` refuses.
    """

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        """Stores a stream of unknown length; durable on return, memory bounded whatever the length.

        When ``chunks`` raises, nothing becomes visible, what was begun is aborted, and the exception
        propagates. After StoreUnavailable the object may nevertheless exist (an answer was lost): look, do
        not assume.
        """

    def put_small(self, name: str, data: bytes) -> StoredObject:
        """Stores at most SMALL_OBJECT_LIMIT bytes under a name that must be new; ObjectExists when it is
        taken.

        Folder, memory and S3 without versions decide this atomically. On a versioned S3 bucket Ceph ignores
        the condition: there the name is looked for first, and of two racing writers both may become versions,
        which ``list_versions`` shows.
        """

    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        """The whole object in pieces; ObjectNotFound comes with the first step at the latest. None: the
        newest.
        """

    def get_range(self, name: str, version_id: str | None, offset: int, length: int) -> bytes:
        """Exactly ``length`` (1 or more) bytes from ``offset``; RangeNotSatisfiable when they are not all
        there.
        """

    def list_versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """Every version and delete marker under ``prefix`` ordered by name (bytewise), names greater than
        ``after``.

        Memory is bounded whatever the number of objects. Within a name the newest comes first.
        """

    def list_versions_of(self, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
        """The same for many prefixes (none within another), ordered by name. Where their names lie close together a store
        that counts requests reads them as one range; strangers among them are passed over.
        """

    def list_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """Uploads begun under ``prefix`` that are neither completed nor aborted."""

    def abort_uploads(self, prefix: str) -> int:
        """Aborts the open uploads under ``prefix``, living ones too, and returns how many went."""

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        """Deletes exactly these versions, in bulk, and returns those whose end was not confirmed.

        What is gone already counts as deleted. Absence is proven by listing again, not by an empty result.
        When the store as a whole does not answer, StoreUnavailable: some may be gone, ask again with the same
        items.
        """

    def observe(self) -> ObservedPlace:
        """Reads from the store where and how it keeps objects."""

    def now(self) -> datetime:
        """The store's own clock, UTC; whole seconds on S3 (the Date header of an answer, RFC 9110, 6.6.1)."""

    def check(self) -> None:
        """Returns when the store answers and lets us in; raises otherwise. One cheap request."""
