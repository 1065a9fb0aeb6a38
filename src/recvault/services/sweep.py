"""The sweeper: ciphertext that no row names, left by uploads that never committed, is deleted in time.

Keeps rule 1: an object's name begins with the time its upload began; a commit later than 12 h after it is refused, and only
objects older than 24 h are touched, so an upload that is about to commit can never be taken. That compares times of two
machines, so nothing is swept while their clocks disagree. Such objects have no key anywhere; sweeping frees space, the
content was unreachable from the start. After a restore the rows may be
fewer than what was acknowledged: nothing is swept until two people switch it on (``services.restore``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from recvault.domain.audit import Act
from recvault.domain.errors import Unavailable
from recvault.domain.ids import is_uuid7, uuid7_time
from recvault.domain.ports.database import Database
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock
from recvault.services.audit_log import AuditLog
from recvault.services.nameless import Found, by_id, id_in, nameless


class Sweeper:
    """Deletes nameless objects and open uploads that are old enough."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        audit: AuditLog,
        clock: Clock,
        age: timedelta,
        clock_skew: timedelta = timedelta(minutes=2),
    ) -> None:
        self._database = database
        self._store = store
        self._audit = audit
        self._clock = clock
        self._age = age
        self._clock_skew = clock_skew

    def run(self) -> list[str]:
        """One pass over the store; returns the ids whose leftovers were deleted and are seen to be gone. Unavailable while
        the clocks of worker, database and store disagree."""
        if not self._database.witness().may_be_swept:
            raise Unavailable(
                "the database was put back since it was last swept: objects without a row may be recordings that were "
                "acknowledged. Look at 'recvault restore orphans', then 'recvault restore sweep-again' and a second person's "
                "approval switch the sweeper on"
            )
        now = self._clock.now()
        if max(abs(now - self._database.now()), abs(now - self._store.now())) > self._clock_skew:
            raise Unavailable(
                "the clocks of worker, database and object store differ by more than the limit; set them right"
            )
        return [one.id for one in nameless(self._database, self._old()) if self._sweep(one.id)]

    def _old(self) -> Iterator[Found]:
        """What objects or uploads are named after and is older than the limit."""
        border = self._clock.now() - self._age
        yield from (found for found in by_id(self._store.list_versions("")) if found.began_at < border)
        begun = {id_in(upload.name) for upload in self._store.list_uploads("")}
        for head in sorted(begun):
            if is_uuid7(head) and uuid7_time(head) < border:
                yield Found(id=head, began_at=uuid7_time(head))

    def _sweep(self, communication_id: str) -> bool:
        prefix = f"{communication_id}/"
        self._store.abort_uploads(prefix)
        self._store.delete_versions(self._store.list_versions(prefix))
        if next(iter(self._store.list_versions(prefix)), None) is not None:
            return False
        self._audit.note(actor="system:sweeper", act=Act.ORPHAN_SWEPT, target=communication_id)
        return True
