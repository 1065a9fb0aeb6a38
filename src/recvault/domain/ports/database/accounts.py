"""Ports to accounts, policies and settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from recvault.domain.accounts import PlaybackGrant, SignedPolicy, Source, SourceCertificate, User
from recvault.domain.ledger import LedgerHead
from recvault.domain.sessions import Kind, Session


class Accounts(Protocol):
    """Sources, people, playback grants, releases to trainees."""

    def add_source(self, source: Source) -> None:
        """Without its certificates. Conflict when the name is taken."""

    def source_by_token(self, token_hash: bytes) -> Source | None:
        """Revoked ones too."""

    def share_source(self, source_id: str) -> Source:
        """FOR SHARE until commit, without its certificates: a revocation waits for, or comes before, the commit of an
        upload."""

    def source_by_name(self, name: str) -> Source | None:
        """By name."""

    def sources(self) -> list[Source]:
        """In name order."""

    def revoke_source(self, source_id: str, at: datetime) -> None:
        """From here on its token is refused."""

    def add_certificate(self, source_id: str, certificate: SourceCertificate) -> None:
        """Conflict when the source has it already."""

    def remove_certificate(self, source_id: str, fingerprint: bytes) -> bool:
        """False when the source does not have it."""

    def add_user(self, user: User) -> None:
        """Conflict when the name is taken."""

    def put_user(self, user: User) -> None:
        """Replaces by id, with the roles given here; those of an issuer stay, unless the account is closed by this."""

    def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        """Only where it is still ``old``, else False; everything else about the person stays as it is."""

    def user(self, user_id: str) -> User:
        """NotFound when unknown."""

    def lock_user(self, user_id: str) -> User:
        """FOR UPDATE until commit: who changes roles comes one after the other. NotFound when unknown."""

    def user_by_name(self, name: str) -> User | None:
        """By sign-in name."""

    def users(self) -> list[User]:
        """In name order."""

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


class Sessions(Protocol):
    """Sessions and API tokens."""

    def add(self, session: Session) -> None:
        """Conflict when the person is not stored."""

    def find(self, secret_hash: bytes) -> Session | None:
        """Expired and revoked ones too."""

    def of_user(self, user_id: str) -> list[Session]:
        """All of a person that are not revoked, the newest first."""

    def touch(self, secret_hash: bytes, at: datetime) -> None:
        """Notes the last use; never back in time."""

    def rotate(self, secret_hash: bytes, session: Session) -> bool:
        """Puts hash, methods and moment of proof of ``session`` in place of the hash, as one step; False when it is unknown
        or revoked by then."""

    def revoke(self, session_id: str, at: datetime) -> bool:
        """From here on it is refused; False when it is unknown or was revoked before."""

    def revoke_all(self, user_id: str, at: datetime, *, kinds: frozenset[Kind], except_id: str | None = None) -> int:
        """Revokes those of a person; how many they were."""

    def forget(self, user_id: str, *, ended_before: datetime) -> None:
        """Deletes those of a person that were revoked, or expired, before a moment."""


class Policies(Protocol):
    """Retention policies, kept whole by version."""

    def add(self, policy: SignedPolicy) -> None:
        """Conflict when the version exists with other text."""

    def active(self) -> SignedPolicy | None:
        """The one activated last."""

    def active_version(self) -> str | None:
        """Its version alone: cheap enough to ask at every commit."""

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
