"""An archive on in-memory parts with a clock that is told when to move, and people of every role."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recvault.adapters.database import SqlDatabase, connect
from recvault.adapters.database.session import Session
from recvault.adapters.keyring import FileKeyring
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.adapters.memory_ledger import MemoryLedger
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import FixedClock
from recvault.bootstrap import PERMANENT_KEYS, Archive, assemble
from recvault.config import Config, load
from recvault.domain.access import Actor, Grant, Role, Scope
from recvault.domain.accounts import Source, actor_of
from recvault.domain.communication import Channel, Direction, Draft, Party, PartyKind, Receipt
from recvault.domain.holds import Hold
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Entropy
from recvault.domain.register_records import ContactPointRecord, CustomerRecord
from tests.support.ordering import OrderedEntropy
from tests.support.schema import give_schema

POLICY = (Path(__file__).parents[2] / "config" / "retention.toml").read_text(encoding="utf-8")

NUMBER = "+358401234501"


class SteadyDatabase(SqlDatabase):
    """A database whose clock is the test's, so that the three clocks agree."""

    clock: FixedClock

    def now(self) -> datetime:
        return self.clock.now()

    def clock_of(self, session: Session) -> datetime:
        return self.clock.now()


@dataclass
class World:
    """An archive and what a test needs to move it."""

    archive: Archive
    clock: FixedClock
    source: Source
    token: str
    actors: dict[Role, Actor]
    policy_version: str

    def store(self, ref: str, content: bytes = b"RIFF....WAVE a call", **changes: object) -> Receipt:
        """Stores a call that ended now, from the customer's number."""
        return self.archive.ingest.accept(self.source, self.draft(ref, **changes), [content])

    def draft(self, ref: str, **changes: object) -> Draft:
        """A call of five minutes that has just ended."""
        now = self.clock.now()
        values: dict[str, object] = {
            "source_ref": ref,
            "channel": Channel.CALL,
            "direction": Direction.INBOUND,
            "started_at": now - timedelta(minutes=5),
            "ended_at": now,
            "remote": Party(kind=PartyKind.TEL, value=NUMBER, as_sent="040 1234501", name="Matti Virtanen"),
            "media_type": "audio/wav",
            "filename": "20261122-+358401234501.wav",
        } | changes
        return Draft(**values)  # type: ignore[arg-type]

    def actor(self, role: Role) -> Actor:
        """The person with this role."""
        return self.actors[role]

    def release(self, hold: Hold) -> None:
        """Releases a hold: one proposes, another approves."""
        proposal = self.archive.holds.propose_release(
            self.archive.approvals, self.actor(Role.PRIVACY_HANDLER), hold.id, reason="not needed any more"
        )
        self.archive.approvals.approve(self.actor(Role.APPROVER), proposal.id)

    def later(self, **span: float) -> None:
        """Moves the clock."""
        self.clock.advance(timedelta(**span))


def make_world(
    *,
    signed: bool = True,
    parts: Parts | None = None,
    keep_database: bool = False,
    hasher: PasswordHasher | None = None,
) -> World:
    """A fresh archive with the shipped policy (signed), one source, one customer, and a person for each role. Its database
    is closed with it, unless it is to be kept."""
    parts = parts or memory_parts()
    for key_id, kind in PERMANENT_KEYS.items():
        parts.keyring.ensure(key_id, kind)
    archive = assemble(
        parts.config,
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
        hasher=hasher,
    )
    if not keep_database:
        archive.resources.callback(parts.database.close)
    return populate(archive, parts.clock, signed=signed)


@dataclass
class Parts:
    """What an archive stands on; the clock is everybody's."""

    clock: FixedClock
    entropy: Entropy
    database: SqlDatabase
    store: ObjectStore
    keyring: Keyring
    ledger: LedgerStore
    config: Config


def memory_parts() -> Parts:
    """Everything in memory."""
    clock, entropy = FixedClock(), OrderedEntropy()
    return Parts(
        clock=clock,
        entropy=entropy,
        database=steady_database("sqlite://", clock),
        store=MemoryObjectStore(clock=clock.now),
        keyring=MemoryKeyring(clock=clock, entropy=entropy, cache_seconds=60),
        ledger=MemoryLedger(),
        config=configuration(),
    )


def real_parts(directory: Path, *, database_url: str, store: ObjectStore, config: Config) -> Parts:
    """A real database and object store, the keyring and the ledger's second place in files."""
    clock, entropy = FixedClock(), OrderedEntropy()
    root = RootKeyFile.create(directory / "root" / "root.key", entropy=entropy)
    return Parts(
        clock=clock,
        entropy=entropy,
        database=steady_database(database_url, clock),
        store=store,
        keyring=FileKeyring(directory=directory / "keyring", root=root, clock=clock, entropy=entropy, create=True),
        ledger=ReplicatedLedger(store, directory / "ledger", create=True),
        config=config,
    )


def steady_database(url: str, clock: FixedClock) -> SqlDatabase:
    """A migrated database that tells the test's time."""
    database = connect(url, pool_size=12, connect_timeout_seconds=5, statement_timeout_seconds=30)
    database.__class__ = SteadyDatabase
    database.clock = clock  # type: ignore[attr-defined]
    give_schema(database)
    return database


def populate(archive: Archive, clock: FixedClock, *, signed: bool = True) -> World:
    """Policy, source, people and a customer."""
    policy = archive.retention.activate(POLICY)
    source, token = archive.sources.add("pbx", by="system:test", notice_ref="2026-01", balancing_ref="2026-01")
    actors: dict[Role, Actor] = {
        role: actor_of(
            archive.accounts.add_user(
                role.value, display_name=role.value, password=None, grants=(Grant(role=role),), by="system:test"
            )
        )
        for role in Role
        if role is not Role.SOURCE
    }
    if signed:
        archive.retention.sign(actors[Role.PRIVACY_HANDLER], policy.version)
    archive.customers.put_customer(
        actors[Role.ADMINISTRATOR],
        CustomerRecord(
            name="Virtanen Oy",
            number="1001",
            contact_points=(ContactPointRecord(kind=PartyKind.TEL, value=NUMBER),),
            told=frozenset({"name", "number", "contact_points"}),
        ),
    )
    return World(
        archive=archive,
        clock=clock,
        source=source,
        token=token,
        actors=actors,
        policy_version=policy.version,
    )


def scoped(actor: Actor, role: Role, scope: Scope) -> Actor:
    """The same person with one scoped role instead."""
    return Actor(id=actor.id, grants=(Grant(role=role, scope=scope),), agent_id=actor.agent_id)


def configuration(**changes: str) -> Config:
    """The built-in defaults, with overrides as the environment gives them. Neither deciding nor signing in
    takes a second factor unless a test says so."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT__")}
    changes = {"APPROVALS__PROOF": "account", "ACCESS__SECOND_FACTOR": "off", **changes}
    return load(None, environ | {f"RECVAULT__{name}": value for name, value in changes.items()})


def wav(samples: bytes, *, rate: int = 8000) -> bytes:
    """A WAV file of 8-bit mono PCM."""
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8) + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", len(body) + len(samples)) + body + samples


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until the condition holds; fails after a while."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.02)
