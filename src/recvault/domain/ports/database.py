"""Port to the database: units of work and the repositories inside them.

``with database.begin() as unit:`` is one transaction; leaving without ``unit.commit()`` rolls back. On PostgreSQL writers
run READ COMMITTED and lock rows; on SQLite every write transaction starts with BEGIN IMMEDIATE, so that the locking
calls below have nothing left to do. Lock order, everywhere: guard rows (customers, then contact points, by id), then
communications by id, then period keys by id, then the ledger head.

Errors: DatabaseUnavailable when it cannot be reached or a commit's outcome is unknown; Conflict for broken uniqueness.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from recvault.domain.accounts import PeriodKey, PlaybackGrant, SignedPolicy, Source, Token, User
from recvault.domain.audit import ChainHead, Entry, SequencedEntry
from recvault.domain.communication import (
    Attention,
    Communication,
    PartyKind,
    PurposeRecord,
    SearchQuery,
    VisibleSet,
)
from recvault.domain.customer import Agent, ContactPerson, ContactPoint, Customer
from recvault.domain.destruction import Destruction, DueItem
from recvault.domain.holds import Hold
from recvault.domain.ledger import LedgerHead


class Communications(Protocol):
    """Stored communications with purposes, tags, attention marks and streams."""

    def add(self, communication: Communication) -> None:
        """Inserts the row, its purposes, tags, attention, streams and its first ``wrapped by`` record. Conflict when
        (source_id, source_ref_hash) is taken."""

    def get(self, communication_id: str) -> Communication:
        """NotFound when there is no row."""

    def find(self, communication_ids: Collection[str]) -> list[Communication]:
        """Those that exist, in id order."""

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Communication | None:
        """The communication a source named so, if stored."""

    def guards(self, communication_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """The customers and the contact points that those which exist belong to: what to lock before them."""

    def lock(self, communication_ids: Collection[str]) -> list[Communication]:
        """FOR UPDATE in id order; those that exist. Guards must be locked before."""

    def search(self, query: SearchQuery, visible: Sequence[VisibleSet], now: datetime) -> list[Communication]:
        """Newest first by (started_at, id), strictly after ``query.after``; only rows in the union of ``visible``."""

    def set_retention(
        self, communication_id: str, *, destroy_at: datetime, purposes: Sequence[PurposeRecord], policy_version: str
    ) -> None:
        """Replaces the ends."""

    def set_do_not_keep(self, communication_id: str, at: datetime | None) -> None:
        """Sets or clears the moment of the do-not-keep mark."""

    def set_relationship_ended(self, communication_ids: Collection[str], at: datetime | None) -> None:
        """Notes the end of the customer's relationship on its communications (a fact of retention)."""

    def rewrap(self, communication_id: str, *, key_id: str, wrapped_key: bytes) -> None:
        """Puts the data key under another period key and remembers that key in ``wrapped by``."""

    def wrapped_by(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Every key id that ever wrapped its data key, in id order, by communication; unknown ones are absent."""

    def ids_under_key(self, key_id: str, limit: int, *, after: str = "") -> list[str]:
        """Up to ``limit`` communications whose data key is now wrapped under the key, in id order, ids greater than
        ``after``."""

    def add_attention(self, communication_id: str, marks: Iterable[Attention]) -> None:
        """Adds marks; those already there stay."""

    def clear_attention(self, communication_id: str) -> None:
        """A person has looked at it."""

    def ids_of_customer(self, customer_id: str) -> list[str]:
        """Every stored communication of the customer, in id order."""

    def conflicts_with(self, communication_id: str) -> list[Communication]:
        """What came with other content under the same source's id, stored and kept aside, in id order."""

    def conflicts_of_source(self, source_id: str) -> int:
        """How many conflicting uploads of this source are kept aside."""

    def claim_due(self, *, now: datetime, limit: int, worker: str, lease_until: datetime) -> list[DueItem]:
        """Claims rows that are due (``destroy_at`` <= now under a signed policy version, nothing freezes them, no live
        lease, not stopped), and rows left ``destroying``, in id order, skipping what another worker locks. Raises each
        row's fence by one."""

    def release_claims(self, communication_ids: Collection[str], worker: str) -> None:
        """Gives claims back before their lease ends."""

    def stop(self, communication_id: str, reason: str) -> None:
        """Takes the item out of automatic destruction until a person looks at it (reason is a stable code)."""

    def shred(self, items: Collection[DueItem], *, worker: str) -> None:
        """Removes wrapped key, sealed parts, every id and class that could point to a person, purposes, tags; state
        becomes ``destroying``. Conflict when a claim is no longer the worker's: then nothing of the unit can be kept."""

    def remove(self, items: Collection[DueItem], *, worker: str) -> None:
        """Deletes the shredded rows and their streams. Conflict as for ``shred``."""

    def count_due(self, now: datetime) -> int:
        """How many rows are due and free to be destroyed."""

    def count_overdue(self, before: datetime) -> int:
        """How many rows should have been destroyed before the moment and nothing freezes them."""

    def count_attention(self) -> int:
        """How many rows wait for a person."""

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        """Which of the ids have a row (for the sweeper)."""


class Register(Protocol):
    """Customers, contact persons and points, agents; and the guard rows."""

    def lock_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """FOR UPDATE on customers, then contact points, each in id order."""

    def share_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """FOR SHARE, same order: an ingest holds off a hold or purge of the same customer until it commits."""

    def put_customer(self, customer: Customer) -> None:
        """Inserts or replaces by id."""

    def customer(self, customer_id: str) -> Customer:
        """NotFound when unknown."""

    def customers(self, customer_ids: Collection[str]) -> dict[str, Customer]:
        """Those that exist, by id."""

    def customer_by_number(self, number: str) -> Customer | None:
        """By the company's own customer number."""

    def customers_by_business_id(self, business_id: str) -> list[Customer]:
        """By Y-tunnus."""

    def search_customers(self, text: str, limit: int) -> list[Customer]:
        """By number, Y-tunnus, or a part of the name (any case), in name order."""

    def delete_customer(self, customer_id: str) -> None:
        """Removes the customer with persons and points; Conflict while a communication names it."""

    def put_person(self, person: ContactPerson) -> None:
        """Inserts or replaces by id."""

    def persons(self, customer_id: str) -> list[ContactPerson]:
        """In name order."""

    def put_point(self, point: ContactPoint) -> None:
        """Inserts or replaces by id."""

    def points(self, customer_id: str) -> list[ContactPoint]:
        """In (kind, value) order."""

    def points_by_value(self, kind: PartyKind, value: str) -> list[ContactPoint]:
        """Every holder of the normalised value, whatever the time."""

    def get_points(self, ids: Collection[str]) -> dict[str, ContactPoint]:
        """Those that exist, by id."""

    def drop_unused_points(self, ids: Collection[str]) -> int:
        """Deletes those of the points that belong to no customer and that no communication names."""

    def put_agent(self, agent: Agent) -> None:
        """Inserts or replaces by id with extensions and teams."""

    def agent(self, agent_id: str) -> Agent:
        """NotFound when unknown."""

    def agents(self) -> list[Agent]:
        """In name order."""

    def agent_by_ref(self, ref: str) -> Agent | None:
        """By the id that other systems use."""

    def agents_by_extension(self, extension: str) -> list[Agent]:
        """Every agent who ever had the extension."""


class Holds(Protocol):
    """Holds and what they cover."""

    def add(self, hold: Hold) -> None:
        """Inserts; Conflict when the id exists."""

    def get(self, hold_id: str) -> Hold:
        """NotFound when unknown."""

    def release(self, hold_id: str, *, by: str, at: datetime) -> None:
        """Marks as released."""

    def active(self) -> list[Hold]:
        """All that are not released, oldest first."""

    def covering(self, communication_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Active hold ids by communication, directly or through its customer; ids without a hold are absent."""

    def count_covered(self, hold_id: str) -> int:
        """How many stored communications the hold covers now."""


class PeriodKeys(Protocol):
    """Rows that stand for day keys and frozen-month keys; the keys themselves are in the keyring."""

    def open_for(self, period: str) -> PeriodKey | None:
        """The newest generation of the period that is neither closing nor destroyed."""

    def last_generation(self, period: str) -> int:
        """0 when the period never had a key."""

    def add(self, key: PeriodKey) -> None:
        """Conflict when the (period, generation) exists."""

    def get(self, key_id: str) -> PeriodKey:
        """NotFound when unknown."""

    def share(self, key_id: str) -> PeriodKey:
        """FOR SHARE until commit: the key cannot close under a writer. NotFound when unknown."""

    def lock(self, key_id: str) -> PeriodKey:
        """FOR UPDATE. NotFound when unknown."""

    def mark_closing(self, key_id: str, at: datetime) -> None:
        """No new wraps from here on."""

    def mark_destroyed(self, key_id: str, at: datetime) -> None:
        """The keyring has confirmed that it is gone."""

    def closable(self, *, day_before: str, month_before: str) -> list[PeriodKey]:
        """Keys not yet destroyed whose period lies before the given day (``2026-11-22``) or month (``2026-11``)."""

    def in_closing(self) -> list[PeriodKey]:
        """Keys that are closing and not yet destroyed, by id."""


class Destructions(Protocol):
    """Tombstones and certificates."""

    def add(self, *destructions: Destruction) -> None:
        """Inserts at stage ``shredded``."""

    def get(self, communication_id: str) -> Destruction:
        """NotFound when it was not destroyed."""

    def find(self, communication_ids: Collection[str]) -> dict[str, Destruction]:
        """Those that exist, by id."""

    def by_source_ref(self, source_id: str, source_ref_hash: bytes) -> Destruction | None:
        """The tombstone of what a source named so."""

    def set_inaccessible(self, certificates: Mapping[str, str], *, at: datetime) -> None:
        """Stage ``inaccessible`` with the signed certificate of each, by communication."""

    def set_complete(self, communication_id: str, *, at: datetime, certificate: str) -> None:
        """Stage ``complete`` with its signed certificate."""

    def completable(self, limit: int) -> list[Destruction]:
        """Inaccessible ones none of whose keys is still undestroyed in ``period keys``, oldest first."""

    def to_recheck(self, *, since: datetime, before: datetime, limit: int) -> list[Destruction]:
        """Inaccessible since ``since`` and last looked for before ``before``: absence is read again for 30 days."""

    def note_rechecked(self, communication_ids: Collection[str], at: datetime) -> None:
        """They were looked for again and not found."""

    def recent(self, limit: int, *, after: tuple[datetime, str] | None = None) -> list[Destruction]:
        """Newest first by (shredded_at, id), strictly after the given position."""


class AuditLog(Protocol):
    """Entries and the chain over them."""

    def append(self, entries: Iterable[tuple[Entry, bytes]]) -> None:
        """Writes entries, each with its leaf hash and without a number, in this transaction."""

    def unsequenced(self, limit: int) -> list[tuple[Entry, bytes]]:
        """Committed entries without a number, by (at, id)."""

    def head(self) -> ChainHead:
        """The chain's end."""

    def sequence(self, previous: ChainHead, items: Sequence[SequencedEntry], head: ChainHead) -> None:
        """Numbers the entries and moves the head by compare-and-set; Conflict when another sequencer was first."""

    def read(self, first: int, limit: int) -> list[SequencedEntry]:
        """Sequenced entries from index ``first`` on, with the leaf hash committed beside each."""

    def about(self, target: str, limit: int) -> list[Entry]:
        """Entries about one target, newest first."""


class Accounts(Protocol):
    """Sources, people, tokens, playback grants, releases to trainees."""

    def add_source(self, source: Source) -> None:
        """Conflict when the name is taken."""

    def source_by_token(self, token_hash: bytes) -> Source | None:
        """Revoked ones too."""

    def share_source(self, source_id: str) -> Source:
        """FOR SHARE until commit: a revocation waits for, or comes before, the commit of an upload."""

    def source_by_name(self, name: str) -> Source | None:
        """By name."""

    def sources(self) -> list[Source]:
        """In name order."""

    def revoke_source(self, source_id: str, at: datetime) -> None:
        """From here on its token is refused."""

    def add_user(self, user: User) -> None:
        """Conflict when the name is taken."""

    def put_user(self, user: User) -> None:
        """Replaces by id, with grants."""

    def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Only where it is still ``old``; everything else about the person stays as it is."""

    def user(self, user_id: str) -> User:
        """NotFound when unknown."""

    def user_by_name(self, name: str) -> User | None:
        """By sign-in name."""

    def users(self) -> list[User]:
        """In name order."""

    def add_token(self, token: Token) -> None:
        """Stores a token or session."""

    def token(self, token_hash: bytes) -> Token | None:
        """Expired and revoked ones too."""

    def touch_token(self, token_hash: bytes, at: datetime) -> None:
        """Notes the last use."""

    def revoke_token(self, token_hash: bytes, at: datetime) -> None:
        """Signs out."""

    def add_playback(self, grant: PlaybackGrant) -> None:
        """Stores a playback grant."""

    def playback(self, grant_hash: bytes) -> PlaybackGrant | None:
        """Expired ones too."""

    def drop_playback(self, *, expired_before: datetime, communication_ids: Collection[str] = ()) -> None:
        """Deletes old grants, and those of the communications."""

    def release_to(self, communication_id: str, user_id: str, until: datetime) -> None:
        """Releases a communication to a trainee until a moment."""

    def released_to(self, communication_id: str, user_id: str, now: datetime) -> bool:
        """Whether a release stands."""


class Policies(Protocol):
    """Retention policies, kept whole by version."""

    def add(self, policy: SignedPolicy) -> None:
        """Conflict when the version exists with other text."""

    def active(self) -> SignedPolicy | None:
        """The one activated last."""

    def get(self, version: str) -> SignedPolicy:
        """NotFound when unknown."""

    def sign(self, version: str, *, by: str, at: datetime) -> None:
        """A named person signs it; destruction runs only under a signed policy."""


class Settings(Protocol):
    """Small named facts about the archive itself (JSON values), and the ledger head."""

    def get(self, name: str) -> Mapping[str, object] | None:
        """None when unset."""

    def put(self, name: str, value: Mapping[str, object]) -> None:
        """Inserts or replaces."""

    def ledger_head(self) -> LedgerHead:
        """How far this database has followed the ledger."""

    def lock_ledger_head(self) -> LedgerHead:
        """The same, FOR UPDATE until commit: one writer of the ledger at a time."""

    def set_ledger_head(self, head: LedgerHead) -> None:
        """Moves on."""


class UnitOfWork(Protocol):
    """One transaction and its repositories."""

    @property
    def communications(self) -> Communications: ...
    @property
    def register(self) -> Register: ...
    @property
    def holds(self) -> Holds: ...
    @property
    def period_keys(self) -> PeriodKeys: ...
    @property
    def destructions(self) -> Destructions: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def settings(self) -> Settings: ...

    def commit(self) -> None:
        """Makes it durable; DatabaseUnavailable when the outcome is unknown (look it up, never undo)."""


class Database(Protocol):
    """Where rows live."""

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that may write."""

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that only reads (one snapshot)."""

    def now(self) -> datetime:
        """The database's clock, UTC (on SQLite the machine's)."""

    def check(self) -> None:
        """Cheap reachability; DatabaseUnavailable."""

    def close(self) -> None:
        """Gives connections back."""
