"""Opens each part as the configuration names it, and turns its keys into the limits that services know."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recvault import __version__
from recvault.adapters.backup_folder import BackupFolder
from recvault.adapters.database import SqlDatabase, connect, migrate
from recvault.adapters.database.sqlite_file import SqliteFile
from recvault.adapters.folder import FolderObjectStore
from recvault.config import Config, read_secret
from recvault.domain.approvals import Mode
from recvault.domain.brakes import GuardLimits
from recvault.domain.decisions import Proof
from recvault.domain.errors import ConfigurationError
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.residency import DeclaredPlace, ResidencyPolicy
from recvault.services.approval_rules import ApprovalRules
from recvault.services.backup_files import SealedBackups
from recvault.services.grounds import AccessRules
from recvault.services.ingest import IngestLimits
from recvault.services.purge import PurgeLimits

if TYPE_CHECKING:
    from recvault.adapters.s3 import S3ObjectStore


def declared_place(config: Config) -> DeclaredPlace:
    """What the configuration says of the object store's place."""
    place = config.places[config.store.place]
    s3 = config.store.kind == "s3"
    return DeclaredPlace(
        name=config.store.place,
        country=place.country,
        site=place.site,
        endpoint=config.store.endpoint if s3 else "",
        region=config.store.region if s3 else None,
    )


def other_places(config: Config) -> list[DeclaredPlace]:
    names = {config.keyring.place, config.ledger.place, *(replica.place for replica in config.keyring.replicas)}
    if config.backup.directory is not None:
        names.add(config.backup.place)
    places = {name: config.places[name] for name in sorted(names - {config.store.place})}
    return [DeclaredPlace(name=name, country=place.country, site=place.site) for name, place in places.items()]


def residency_policy(config: Config) -> ResidencyPolicy:
    """Where objects may be."""
    return ResidencyPolicy(
        allowed_countries=config.residency.allowed_countries,
        allowed_endpoints=config.residency.allowed_endpoints,
    )


def sealed_backups(config: Config, *, keyring: Keyring, clock: Clock, entropy: Entropy) -> SealedBackups:
    """Backups as files; opens no database."""
    file = SqliteFile(Path(config.database.url.removeprefix("sqlite:///"))) if config.database.is_sqlite else None
    directory = config.backup.directory
    return SealedBackups(
        file=file,
        place=None if directory is None else BackupFolder(directory),
        keyring=keyring,
        clock=clock,
        entropy=entropy,
        program=__version__,
    )


def migrate_schema(config: Config) -> None:
    database = open_database(config)
    try:
        migrate(database)
    finally:
        database.close()


def open_database(config: Config) -> SqlDatabase:
    section = config.database
    return connect(
        section.url,
        pool_size=section.pool_size,
        connect_timeout_seconds=section.connect_timeout_seconds,
        statement_timeout_seconds=section.statement_timeout_seconds,
        password=read_secret(section.password_file) if section.password_file else None,
    )


def open_store(config: Config) -> FolderObjectStore | S3ObjectStore:
    section = config.store
    if section.kind == "folder":
        return FolderObjectStore(section.path)
    if section.access_key_file is None or section.secret_key_file is None:
        raise ConfigurationError("store.access_key_file and store.secret_key_file must be set for an S3 store")
    # Not above: the client takes a sixth of the time in which a command starts, and one machine needs none.
    from recvault.adapters.s3 import S3ObjectStore, S3Settings

    return S3ObjectStore(
        S3Settings(
            endpoint=section.endpoint,
            bucket=section.bucket,
            access_key=read_secret(section.access_key_file),
            secret_key=read_secret(section.secret_key_file),
            region=section.region or None,
            secure=section.tls,
            ca_file=section.ca_file,
            style="path" if section.path_style else "virtual",
            part_bytes=section.part_size_bytes,
            parallel_parts=min(3, section.concurrency),
            concurrency=section.concurrency,
            connect_timeout_seconds=section.connect_timeout_seconds,
            read_timeout_seconds=section.read_timeout_seconds,
            retries=section.retries,
        )
    )


def ingest_limits(config: Config) -> IngestLimits:
    return IngestLimits(
        conflict_quota=config.ingest.conflict_quota_per_source,
        commit_deadline=timedelta(hours=config.purge.commit_deadline_hours),
    )


def access_rules(config: Config) -> AccessRules:
    access = config.access
    return AccessRules(
        grant_life=timedelta(minutes=access.grant_minutes),
        case_required=access.case_reference != "optional",
        case_pattern=access.case_pattern or None,
        request_pattern=access.request_pattern or None,
        reasons=frozenset(access.reasons),
        mask_for_trainers=access.mask_customer_for_trainers,
    )


def approval_rules(config: Config) -> ApprovalRules:
    section = config.approvals
    return ApprovalRules(
        mode=Mode(section.mode),
        expire_after=timedelta(days=section.expire_after_days),
        proof=Proof(section.proof),
    )


def guard_limits(config: Config) -> GuardLimits:
    return GuardLimits(percent=config.purge.guard_percent, items=config.purge.guard_items)


def purge_limits(config: Config) -> PurgeLimits:
    purge = config.purge
    return PurgeLimits(
        batch=purge.batch_size,
        lease=timedelta(seconds=purge.lease_seconds),
        clock_skew=timedelta(seconds=purge.clock_skew_seconds),
        recheck_for=timedelta(days=purge.absence_recheck_days),
    )
