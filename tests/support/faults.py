"""Faults on purpose: ports whose k-th call loses power, loses its answer, does not answer, or lies.

A :class:`Plan` counts the calls that change something (of object store, database commits, keyring, ledger) and strikes at one
of them, before or after it took effect. A power cut is not an ``Exception``: no handler of the program sees it, and every
later call of the dead process fails as well. Left to the tests: what must hold afterwards (``tests.support.aftermath``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, cast

from recvault.adapters.database import SqlDatabase
from recvault.bootstrap import Archive, assemble
from recvault.domain.errors import DatabaseUnavailable, StoreUnavailable
from recvault.domain.incarnation import Witness
from recvault.domain.ports.database import Judge, UnitOfWork
from recvault.domain.ports.keyring import KeyInfo, KeyKind, Keyring, LostPlace, OfflineCopy, ReplicaStatus
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.objects import (
    DeleteFailure,
    ObjectStore,
    ObjectVersion,
    ObservedPlace,
    OpenUpload,
    StoredObject,
)
from recvault.domain.ports.system import Entropy
from tests.support.archives import Parts

T = TypeVar("T")


class PowerCut(BaseException):
    """The machine went off."""


class When(StrEnum):
    """Whether the struck call took effect."""

    BEFORE = "before"
    AFTER = "after"


@dataclass
class Plan:
    """Strikes at the ``at``-th counted call (1 is the first; 0: never). ``raises`` makes what is raised; a PowerCut stays.
    ``only`` names the kinds of call that count: ``put``, ``commit`` and so on; empty: those that change something."""

    at: int = 0
    when: When = When.BEFORE
    raises: Callable[[], BaseException] = PowerCut
    only: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)
    struck: str | None = None
    _dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, name: str, call: Callable[[], T], *, changes: bool = True) -> T:
        """The call's result, unless it is the one."""
        with self._lock:
            if self._dead:
                raise PowerCut
            counted = name in self.only if self.only else changes
            if counted:
                self.calls.append(name)
            strikes = counted and len(self.calls) == self.at
        if not strikes:
            return call()
        self.struck = name
        if self.when is When.AFTER:
            call()
        fault = self.raises()
        self._dead = isinstance(fault, PowerCut)
        raise fault


EVERY_STORE_CALL = frozenset(
    {"put", "put_small", "get", "get_range", "list_versions", "list_uploads", "abort_uploads", "delete_versions"}
    | {"observe", "store_now"}
)


class FaultyStore:
    """An object store under a plan. While ``lies``, deletions are answered with success and nothing goes."""

    def __init__(self, inner: ObjectStore, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan
        self.lies = False

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        return self._plan.around("put", lambda: self._inner.put(name, chunks))

    def put_small(self, name: str, data: bytes) -> StoredObject:
        return self._plan.around("put_small", lambda: self._inner.put_small(name, data))

    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        return self._plan.around("get", lambda: self._inner.get(name, version_id), changes=False)

    def get_range(self, name: str, version_id: str | None, offset: int, length: int) -> bytes:
        return self._plan.around(
            "get_range", lambda: self._inner.get_range(name, version_id, offset, length), changes=False
        )

    def list_versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._plan.around("list_versions", lambda: self._inner.list_versions(prefix, after=after), changes=False)

    def list_versions_of(self, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
        return self._plan.around("list_versions", lambda: self._inner.list_versions_of(prefixes), changes=False)

    def list_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        return self._plan.around("list_uploads", lambda: self._inner.list_uploads(prefix), changes=False)

    def abort_uploads(self, prefix: str) -> int:
        return self._plan.around("abort_uploads", lambda: self._inner.abort_uploads(prefix), changes=False)

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        if self.lies:
            return []
        return self._plan.around("delete_versions", lambda: self._inner.delete_versions(items))

    def observe(self) -> ObservedPlace:
        return self._plan.around("observe", self._inner.observe, changes=False)

    def now(self) -> datetime:
        return self._plan.around("store_now", self._inner.now, changes=False)

    def check(self) -> None:
        self._inner.check()


class FaultyKeyring:
    """A keyring under a plan: making and destroying keys counts."""

    def __init__(self, inner: Keyring, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    @property
    def cache_seconds(self) -> int:
        return self._inner.cache_seconds

    def ensure(self, key_id: str, kind: KeyKind) -> bool:
        return self._plan.around("ensure", lambda: self._inner.ensure(key_id, kind))

    def destroy(self, key_ids: Collection[str]) -> None:
        self._plan.around("destroy", lambda: self._inner.destroy(key_ids))

    def info(self, key_id: str) -> KeyInfo:
        return self._inner.info(key_id)

    def list(self, prefix: str = "") -> tuple[KeyInfo, ...]:
        return self._inner.list(prefix)

    def wrap(self, key_id: str, secret: bytes, aad: bytes) -> bytes:
        return self._inner.wrap(key_id, secret, aad)

    def unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes:
        return self._inner.unwrap(key_id, wrapped, aad)

    def rewrap_many(
        self, old_id: str, new_id: str, items: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Sequence[bytes | None]:
        return self._inner.rewrap_many(old_id, new_id, items)

    def sign(self, key_id: str, message: bytes) -> bytes:
        return self._inner.sign(key_id, message)

    def public(self, key_id: str) -> bytes:
        return self._inner.public(key_id)

    def open_edge(self, key_id: str, enc: bytes) -> bytes:
        return self._inner.open_edge(key_id, enc)

    def mac(self, key_id: str, message: bytes) -> bytes:
        return self._inner.mac(key_id, message)

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        return self._inner.replicas()

    def offline_copies(self) -> tuple[OfflineCopy, ...]:
        return self._inner.offline_copies()

    def lost_places(self) -> tuple[LostPlace, ...]:
        return self._inner.lost_places()

    def set_anchor(self, name: str, value: str) -> None:
        self._plan.around("set_anchor", lambda: self._inner.set_anchor(name, value))

    def anchor(self, name: str) -> str | None:
        return self._inner.anchor(name)

    def confirm_backup(self) -> None:
        self._inner.confirm_backup()

    def backup_confirmed(self) -> bool:
        return self._inner.backup_confirmed()


class FaultyLedger:
    """The ledger's storage under a plan."""

    def __init__(self, inner: LedgerStore, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    def append(self, sequence: int, envelope: bytes) -> None:
        self._plan.around("append", lambda: self._inner.append(sequence, envelope))

    def read(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        return self._inner.read(first)

    def last(self) -> int:
        return self._inner.last()

    def heal(self, first: int = 1) -> int:
        return self._inner.heal(first)


class _Unit:
    """A unit of work whose commit is under a plan."""

    def __init__(self, inner: UnitOfWork, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self) -> None:
        self._plan.around("commit", self._inner.commit)


class FaultyDatabase:
    """A database under a plan: commits count."""

    def __init__(self, inner: SqlDatabase, plan: Plan) -> None:
        self._inner = inner
        self._plan = plan

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self._inner.begin() as unit:
            yield cast(UnitOfWork, _Unit(unit, self._plan))

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        with self._inner.read() as unit:
            yield unit

    def guard(self, judge: Judge) -> None:
        self._inner.guard(judge)

    def seal_log(self, keyring: Keyring, entropy: Entropy) -> None:
        self._inner.seal_log(keyring, entropy)

    def unjudged(self) -> AbstractContextManager[None]:
        return self._inner.unjudged()

    def witness(self) -> Witness:
        return self._inner.witness()

    @contextmanager
    def look(self) -> Iterator[UnitOfWork]:
        with self._inner.look() as unit:
            yield unit

    def now(self) -> datetime:
        return self._inner.now()

    def check(self) -> None:
        self._inner.check()

    def close(self) -> None:
        self._inner.close()


def process_on(parts: Parts, plan: Plan | None = None) -> Archive:
    """A process of its own on what is durable in ``parts``, under a plan."""
    return faulty_process(parts, plan or Plan())[0]


def faulty_process(parts: Parts, plan: Plan) -> tuple[Archive, FaultyStore]:
    """The same, and its store."""
    store = FaultyStore(parts.store, plan)
    archive = assemble(
        parts.config,
        database=FaultyDatabase(parts.database, plan),
        store=store,
        keyring=FaultyKeyring(parts.keyring, plan),
        ledger_store=FaultyLedger(parts.ledger, plan),
        clock=parts.clock,
        entropy=parts.entropy,
    )
    return archive, store


def database_silent() -> BaseException:
    """What the database's adapter raises when a commit is not confirmed."""
    return DatabaseUnavailable("the database did not confirm the commit")


def store_silent() -> BaseException:
    """What a store's adapter raises for a fault that may pass."""
    return StoreUnavailable("the store does not answer")
