"""Checkpoints: the audit log's root, signed and taken out of the database.

Keeps: a checkpoint is never smaller than, nor inconsistent with, the one before, which is remembered in two places outside of
the database (the object store and the keyring); a database that cannot continue it publishes nothing. In this order: the
tree is proven to continue the last one; the signed note is in the object store; the keyring remembers it; then the database,
then those outside. So a crash between any two is followed by the same note (a checkpoint holds no time). A log that goes on
from a restored database is another log by name, and says which it follows.

Left to others: that a database behind its checkpoint serves nothing (``services.ledger``), and beginning another log after
a replay (``services.restore``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.audit import Act, TreeHead
from recvault.domain.checkpoints import ED25519, Checkpoint, NoteKey, Signature, parse_checkpoint
from recvault.domain.errors import AuditFailure, KeyNotFound, RecvaultError, Unavailable
from recvault.domain.log_tree import consistency, root_of
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.objects import ObjectExists, ObjectStore
from recvault.domain.ports.publication import Addition, KnowsAnother, Outlet
from recvault.domain.ports.system import Clock
from recvault.sealing import notes
from recvault.services.audit_log import AuditLog
from recvault.services.log_verify import Tiles

SIGNING_KEY = "log/v1"

ANCHOR = "log"
"""Name of the keyring's anchor: ``<epoch>:<size>:<root>`` of the last checkpoint."""

PREFIX = "log/"
"""Of checkpoints in the object store: ``log/<epoch>/<size>``, and with ``.<key hash>`` as a witness signed it."""

ACTOR = "system:log"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointRules:
    """How long, or for how many new leaves, a log may go without a checkpoint."""

    interval: timedelta = timedelta(seconds=60)
    leaves: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What was last published: the how-manieth log of this archive, and its tree."""

    epoch: int
    head: TreeHead

    def text(self) -> str:
        """As the keyring remembers it."""
        return f"{self.epoch}:{self.head.size}:{self.head.root.hex()}"


def published(keyring: Keyring) -> Published | None:
    """What the keyring remembers."""
    value = keyring.anchor(ANCHOR)
    if value is None:
        return None
    epoch, size, root = value.split(":")
    return Published(epoch=int(epoch), head=TreeHead(size=int(size), root=bytes.fromhex(root)))


def object_name(epoch: int, size: int) -> str:
    """Of a checkpoint in the object store; order by name is order by size."""
    return f"{PREFIX}{epoch:06d}/{size:012d}"


class Checkpoints:
    """Publishes, tells, and knows the last."""

    def __init__(
        self,
        *,
        database: Database,
        store: ObjectStore,
        keyring: Keyring,
        audit: AuditLog,
        clock: Clock,
        rules: CheckpointRules,
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self._database = database
        self._store = store
        self._keyring = keyring
        self._audit = audit
        self._clock = clock
        self._rules = rules
        self._outlets = tuple(outlets)
        self._again_at: dict[str, datetime] = {}
        self._refusal = ""

    def latest(self) -> Checkpoint | None:
        """The last that was published, with the signatures of witnesses that came since; None before the first."""
        with self._database.read() as unit:
            found = unit.audit.checkpoints(1)
        return found[0] if found else None

    def ready(self) -> None:
        """Makes the log's key for an archive of an earlier program; KeyNotFound when a log that was begun has lost it."""
        try:
            self._keyring.info(SIGNING_KEY)
        except KeyNotFound:
            if self._keyring.anchor(ANCHOR) is not None:
                raise
            self._keyring.ensure(SIGNING_KEY, KeyKind.SIGN)

    def key(self, epoch: int | None = None) -> NoteKey:
        """The public key that verifies checkpoints, of the log as it is now or of an earlier one."""
        public = self._keyring.public(SIGNING_KEY)
        if epoch is None:
            last = published(self._keyring)
            epoch = 1 if last is None else last.epoch
        name = f"recvault/{hashlib.sha256(public).hexdigest()[:16]}/{epoch}"
        return NoteKey(name=name, kind=ED25519, public=public)

    # --- publishing

    def publish(self, *, at_once: bool = False) -> Checkpoint | None:
        """Publishes if it is time to, or ``at_once`` if there is anything new; the checkpoint, None when there was nothing to
        do. AuditFailure when this database cannot continue what was published; Unavailable when somebody could not be told,
        who is told again later."""
        try:
            made = self._publish(at_once)
        except AuditFailure as refusal:
            self._refused(refusal)
            raise
        self._refusal = ""
        self._tell_all()
        return made

    def check(self) -> TreeHead:
        """The head of the database's tree, when it continues what was published; AuditFailure, StoreUnavailable."""
        last, beyond = published(self._keyring), self._newest_stored()
        with self._database.read() as unit:
            return _continuing(unit, last, beyond)

    def _publish(self, at_once: bool) -> Checkpoint | None:
        # What was published is asked before the database: another worker may publish meanwhile.
        last, beyond = published(self._keyring), self._newest_stored()
        with self._database.read() as unit:
            head = _continuing(unit, last, beyond)
            newest = next(iter(unit.audit.checkpoints(1)), None)
        now = self._clock.now()
        key = self.key()
        if newest is not None and (newest.origin, newest.size) == (key.name, head.size):
            return None
        if head.size == 0 or not (at_once or self._is_due(newest, head, now)):
            return None
        epoch = 1 if last is None else last.epoch
        checkpoint = Checkpoint(
            origin=key.name, size=head.size, root=head.root, extensions=self._extensions(epoch), published_at=now
        )
        signed = notes.sign(checkpoint, key, lambda message: self._keyring.sign(SIGNING_KEY, message))
        self._put(object_name(epoch, head.size), signed)
        self._remember(Published(epoch=epoch, head=head))
        with self._database.begin() as unit:
            unit.audit.put_checkpoint(signed)
            unit.commit()
        return signed

    def _is_due(self, newest: Checkpoint | None, head: TreeHead, now: datetime) -> bool:
        if newest is None or newest.published_at is None:
            return True
        # A clock that was set back must not keep the log silent.
        age = abs(now - newest.published_at)
        return head.size - newest.size >= self._rules.leaves or age >= self._rules.interval

    def _extensions(self, epoch: int) -> tuple[str, ...]:
        """What a log that follows another says of it."""
        before = self._keyring.anchor(f"{ANCHOR}/{epoch - 1}")
        if before is None:
            return ()
        _, size, root = before.split(":")
        return (
            f"recvault: continues {self.key(epoch - 1).name} from a restored database, which had reached {size} {root}",
        )

    def _put(self, name: str, checkpoint: Checkpoint) -> None:
        try:
            self._store.put_small(name, checkpoint.note().encode())
        except ObjectExists:
            if self._stored(name).body() != checkpoint.body():
                raise AuditFailure(
                    f"another checkpoint of {checkpoint.size} entries is in the object store: the log forked (a database was "
                    "put back and went on); compare with a backup, then run 'recvault ledger replay'"
                ) from None

    def _remember(self, made: Published) -> None:
        last = published(self._keyring)
        if last is None or (last.epoch, last.head.size) < (made.epoch, made.head.size):
            self._keyring.set_anchor(ANCHOR, made.text())

    def _newest_stored(self) -> Checkpoint | None:
        """The newest checkpoint of this log in the object store that the keyring does not remember."""
        last = published(self._keyring)
        epoch, size = (1, 0) if last is None else (last.epoch, last.head.size)
        prefix = object_name(epoch, 0).rpartition("/")[0] + "/"
        newest = None
        for version in self._store.list_versions(prefix, after=object_name(epoch, size)):
            if not version.is_delete_marker and "." not in version.name:
                newest = version.name
        return None if newest is None else self._stored(newest)

    def _stored(self, name: str) -> Checkpoint:
        checkpoint = parse_checkpoint(b"".join(self._store.get(name, None)).decode())
        notes.verify(checkpoint, self.key(int(checkpoint.origin.rpartition("/")[2])))
        return checkpoint

    def _refused(self, refusal: AuditFailure) -> None:
        if self._refusal != str(refusal):
            self._refusal = str(refusal)
            self._audit.note(actor=ACTOR, act=Act.CHECKPOINT_REFUSED, detail={"code": refusal.code})

    # --- another log

    def continue_restored(self, unit: UnitOfWork) -> Published | None:
        """In the transaction of a replay: if this database cannot continue what was published, the log goes on as another
        one, and an entry says so. What is to be remembered once that is committed; None when nothing is."""
        last = published(self._keyring)
        if last is None:
            return None
        head = unit.audit.head()
        try:
            _continuing(unit, last, self._newest_stored())
        except AuditFailure:
            pass
        else:
            return None
        self._audit.record(
            unit,
            actor=ACTOR,
            act=Act.LOG_CONTINUED,
            detail={
                "epoch": last.epoch + 1,
                "size": head.size,
                "root": head.root.hex(),
                "published_size": last.head.size,
                "published_root": last.head.root.hex(),
            },
        )
        return Published(epoch=last.epoch + 1, head=head)

    def continued(self, made: Published | None) -> None:
        """The transaction is committed."""
        last = published(self._keyring)
        if made is not None and last is not None:
            self._keyring.set_anchor(f"{ANCHOR}/{last.epoch}", last.text())
            self._keyring.set_anchor(ANCHOR, made.text())

    # --- telling

    def _tell_all(self) -> None:
        latest, now = self.latest(), self._clock.now()
        faults = []
        for outlet in self._outlets if latest is not None else ():
            if latest is None or self._again_at.get(outlet.name, now) > now:
                continue
            try:
                self._tell(outlet, latest)
                self._again_at.pop(outlet.name, None)
            except RecvaultError as fault:
                self._again_at[outlet.name] = now + self._rules.interval
                faults.append(f"{outlet.name}: {fault}")
                if isinstance(fault, AuditFailure):
                    self._audit.note(
                        actor=ACTOR, act=Act.WITNESS_REFUSED, target=outlet.name, detail={"size": latest.size}
                    )
        if faults:
            raise Unavailable(f"a checkpoint could not be told to all: {'; '.join(faults)}")

    def _tell(self, outlet: Outlet, latest: Checkpoint) -> None:
        setting = f"log/told/{outlet.name}"
        with self._database.read() as unit:
            seen = _seen(unit.settings.get(setting), latest.origin)
        if seen == latest.size:
            return
        try:
            signatures = outlet.tell(self._addition(seen, latest))
        except KnowsAnother as other:
            if other.size > latest.size:
                raise AuditFailure(
                    f"it has seen {other.size} entries of this log, and the archive knows of {latest.size}: the database was "
                    "put back; run 'recvault audit verify' and 'recvault ledger replay'"
                ) from None
            signatures = outlet.tell(self._addition(other.size, latest))
        with self._database.begin() as unit:
            unit.settings.put(setting, {"origin": latest.origin, "size": latest.size})
            if signatures:
                self._cosigned(unit, latest, signatures)
            unit.commit()

    def _cosigned(self, unit: UnitOfWork, latest: Checkpoint, signatures: Sequence[Signature]) -> None:
        stored = unit.audit.checkpoints(1)[0]
        base = stored if stored.body() == latest.body() else latest
        signed = replace(base.with_signatures(*signatures), published_at=latest.published_at)
        epoch = int(latest.origin.rpartition("/")[2])
        for one in signatures:
            self._put(f"{object_name(epoch, latest.size)}.{one.key_hash.hex()}", latest.with_signatures(one))
        unit.audit.put_checkpoint(signed)

    def _addition(self, old: int, latest: Checkpoint) -> Addition:
        with self._database.read() as unit:
            proof = consistency(old, latest.size, Tiles(unit))
        return Addition(old=old, proof=proof, checkpoint=latest)


def _seen(told: Mapping[str, object] | None, origin: str) -> int:
    return int(str(told["size"])) if told is not None and told["origin"] == origin else 0


def _continuing(unit: UnitOfWork, last: Published | None, beyond: Checkpoint | None) -> TreeHead:
    """The head, if it continues what was published; AuditFailure."""
    head, tiles = unit.audit.head(), Tiles(unit)
    known = [] if last is None else [last.head]
    known += [] if beyond is None else [TreeHead(size=beyond.size, root=beyond.root)]
    for one in known:
        if head.size < one.size:
            raise AuditFailure(
                f"the audit log has {head.size} entries, and {one.size} were published: the database was put back or cut, and "
                "publishes nothing that contradicts it; run 'recvault ledger replay' if it was restored, else compare it with "
                "a backup"
            )
        if root_of(one.size, tiles) != one.root:
            raise AuditFailure(
                f"the first {one.size} entries of the audit log are not those that were published: history was rewritten, or "
                "the database was put back and went on; compare it with a backup, then run 'recvault ledger replay'"
            )
    return head
