"""What the contract tests of the database share: the three databases, and rows to put in them.

Every test gets an empty, migrated database. On PostgreSQL the module's database is emptied in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recvault.adapters.database import SqlDatabase, connect
from recvault.adapters.database.tables import audit_head, ledger_head, metadata
from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain import ledger
from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.accounts import PeriodKey, SignedPolicy, Source, User
from recvault.domain.communication import (
    Attention,
    Channel,
    Communication,
    Direction,
    PartyKind,
    PurposeRecord,
    State,
    StreamRecord,
)
from recvault.domain.customer import Agent, ContactPoint, Customer, Membership
from recvault.domain.destruction import Destruction, DueItem, Stage, Trigger
from recvault.domain.holds import Hold
from recvault.domain.ids import uuid7
from recvault.domain.log_tree import EMPTY_ROOT
from recvault.domain.sessions import Kind, Method, Session
from tests.support.schema import give_schema

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
KINDS = [
    "memory",
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.postgresql),
]
ON_DISK = KINDS[1:]


KEYRING = MemoryKeyring(clock=FixedClock(), entropy=SystemEntropy())
"""Of every database here."""


def open_database(url: str, *, pool_size: int = 6, statement_timeout_seconds: float = 10) -> SqlDatabase:
    """With the timeouts that the tests wait for, and a keyring for the log."""
    database = connect(
        url, pool_size=pool_size, connect_timeout_seconds=5, statement_timeout_seconds=statement_timeout_seconds
    )
    database.seal_log(KEYRING, SystemEntropy())
    return database


def address(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of the kind."""
    if kind == "memory":
        return "sqlite://"
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/archive.db"
    url = str(request.getfixturevalue("pg_url"))
    empty(url)
    return url


def empty(url: str) -> None:
    """Takes everything out of a PostgreSQL database."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def migrated(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    """An empty database with the schema; closed afterwards."""
    if kind == "postgresql":
        database = open_database(str(request.getfixturevalue("pg_url")))
    else:
        database = open_database(address(kind, request, tmp_path))
    try:
        give_schema(database)
        clear(database)
        yield database
    finally:
        database.close()


def clear(database: SqlDatabase) -> None:
    """Takes all rows out; much faster on PostgreSQL than making the tables anew."""
    with database.schema_work() as connection:
        for table in reversed(metadata.sorted_tables):
            if table not in (audit_head, ledger_head):
                connection.execute(table.delete())
        connection.execute(audit_head.update().values(size=0, root=EMPTY_ROOT))
        connection.execute(ledger_head.update().values(sequence=0, digest=ledger.GENESIS))


def name(number: int, at: datetime = NOW) -> str:
    """The ``number``-th UUIDv7 of the moment; they sort by number."""
    return uuid7(at, number.to_bytes(10))


SOURCE = Source(
    id="source-1",
    name="pbx",
    token_hash=b"t" * 32,
    notice_ref="notice/2026-01",
    balancing_ref="balancing/2026-01",
    created_at=NOW,
)
SIGNED = SignedPolicy(
    version="2025-12",
    text="[former rules]",
    digest="cd" * 32,
    activated_at=NOW - DAY,
    signed_by="user-1",
    signed_at=NOW - DAY,
)
POLICY = SignedPolicy(version="2026-01", text="[rules]", digest="ab" * 32, activated_at=NOW)
KEY = PeriodKey(key_id="key-a", period="2027-11-22", generation=1, created_at=NOW)
OTHER_KEY = PeriodKey(key_id="key-b", period="2026-11", generation=1, created_at=NOW)
CUSTOMER = Customer(
    id="customer-1",
    number="10042",
    name="Äänekosken Sähkö Oy",
    business_id="2345678-4",
    kind="company",
    address="Satamakatu 1",
    domicile="Äänekoski",
    relationship_start=date(2020, 2, 29),
    marketing_ban=True,
)
OTHER_CUSTOMER = Customer(id="customer-2", number="10043", name="Åbo Båt Ab")
POINT = ContactPoint(id="point-1", kind=PartyKind.TEL, value="+358401234567", customer_id="customer-1")
LOOSE_POINT = ContactPoint(id="point-2", kind=PartyKind.MAILTO, value="matti@example.fi")
AGENT = Agent(
    id="agent-1",
    ref="a17",
    name="Öberg Liisa",
    extensions=(Membership(value="1001"), Membership(value="1002", valid_from=NOW)),
    teams=(Membership(value="laskutus", valid_until=NOW),),
)
USER = User(
    id="user-1",
    name="liisa",
    display_name="Liisa Öberg",
    password_hash="$argon2id$v=19$x",
    grants=(
        Grant(role=Role.VERIFIER),
        Grant(
            role=Role.TRAINER,
            scope=Scope(kind=ScopeKind.TEAMS, values=frozenset({"laskutus", "myynti"})),
            valid_from=NOW,
            valid_until=NOW + DAY,
        ),
    ),
    created_at=NOW,
)
SESSION = Session(
    id="session-1",
    hash=b"s" * 32,
    user_id="user-1",
    kind=Kind.SESSION,
    label="Firefox, Linux",
    methods=frozenset({Method.PASSWORD}),
    scopes=None,
    created_at=NOW,
    expires_at=NOW + DAY,
    last_used_at=NOW,
    proved_at=NOW,
)


def prepare(database: SqlDatabase) -> None:
    """Stores everything that a communication names."""
    with database.begin() as unit:
        unit.accounts.add_source(SOURCE)
        unit.policies.add(SIGNED)
        unit.policies.add(POLICY)
        unit.period_keys.add(KEY)
        unit.period_keys.add(OTHER_KEY)
        for customer in (CUSTOMER, OTHER_CUSTOMER):
            unit.register.put_customer(customer)
        for point in (POINT, LOOSE_POINT):
            unit.register.put_point(point)
        unit.register.put_agent(AGENT)
        unit.accounts.add_user(USER)
        unit.commit()


def communication(number: int, **changes: Any) -> Communication:
    """A stored call with everything filled in; later numbers start later."""
    started = NOW + timedelta(minutes=number)
    made = Communication(
        id=name(number),
        source_id=SOURCE.id,
        source_ref_hash=number.to_bytes(32),
        conflict_of=None,
        channel=Channel.CALL,
        direction=Direction.INBOUND,
        started_at=started,
        ended_at=started + timedelta(seconds=90),
        stored_at=started + timedelta(seconds=95),
        customer_id=CUSTOMER.id,
        customer_kind="company",
        contact_point_id=POINT.id,
        agent_id=AGENT.id,
        team="laskutus",
        queue="vaihde",
        case_ref="CASE-1",
        tags=frozenset({"reklamaatio", "vip"}),
        answered=True,
        media_type="audio/wav",
        notice_ref="notice/2026-01",
        balancing_ref="balancing/2026-01",
        length=3_000_000_000,
        policy_version=SIGNED.version,
        destroy_at=NOW + 365 * DAY,
        purposes=(purpose("verification", 365), purpose("training", 90)),
        attention=frozenset(),
        state=State.STORED,
        key_id=KEY.key_id,
        wrapped_key=b"wrapped\x00",
        sealed_fields=b"fields\xff",
        sealed_manifest=b"manifest",
        streams=(stream(number, "original"), stream(number, "waveform")),
        place_declared="FI, Helsinki",
        place_observed="folder",
        case_closed_at=NOW + DAY,
    )
    return replace(made, **changes)


def purpose(of: str, days: int, *, ended_at: datetime | None = None) -> PurposeRecord:
    """Needed for so many days from NOW."""
    return PurposeRecord(
        purpose=of,
        needed_until=NOW + days * DAY,
        rule=f"{of}-rule",
        cap_until=NOW + 2 * days * DAY,
        ended_at=ended_at,
    )


def stream(number: int, called: str) -> StreamRecord:
    """One stream, larger than 32 bits can count."""
    return StreamRecord(
        name=called,
        generation=1,
        object_name=f"{name(number)}/{called}",
        version_id=None,
        plaintext_length=5_000_000_000,
        ciphertext_length=5_000_100_000,
        ciphertext_sha256="cd" * 32,
    )


def add(database: SqlDatabase, *made: Communication) -> None:
    """Stores them, committed."""
    with database.begin() as unit:
        for one in made:
            unit.communications.add(one)
        unit.commit()


def hold(number: int, **changes: Any) -> Hold:
    """A hold on the customer, unless changed."""
    made = Hold(
        id=f"hold-{number}",
        communication_id=None,
        customer_id=CUSTOMER.id,
        reason="oikeudenkäynti",
        authority=None,
        placed_by="user-1",
        placed_at=NOW + timedelta(minutes=number),
        review_on=date(2027, 1, 31),
    )
    return replace(made, **changes)


def destruction(number: int, **changes: Any) -> Destruction:
    """The tombstone of the communication of the same number."""
    made = Destruction(
        communication_id=name(number),
        source_id=SOURCE.id,
        source_ref_hash=number.to_bytes(32),
        batch="batch-1",
        trigger=Trigger.RETENTION,
        stage=Stage.SHREDDED,
        facts={"length": 3_000_000_000, "rule": "sääntö", "streams": [{"name": "original"}], "held": False},
        key_ids=("key-b", "key-a"),
        shredded_at=NOW + timedelta(minutes=number),
    )
    return replace(made, **changes)


MARK = Attention.NO_NOTICE


class Aside:
    """Runs something in a thread of its own and brings back what it gave or raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._executor = ThreadPoolExecutor(1)
        self._future = self._executor.submit(work)
        self._executor.shutdown(wait=False)

    def waits(self, seconds: float = 0.4) -> bool:
        """Whether it is still at work after so long."""
        return bool(wait([self._future], timeout=seconds).not_done)

    def join(self) -> Any:
        """Its result; raises what it raised."""
        return self._future.result(timeout=20)


def item(number: int, fence: int) -> DueItem:
    """A claim as its worker remembers it."""
    return DueItem(communication_id=name(number), state=State.DESTROYING, fence=fence)
