"""The sections and keys of the configuration, their types, limits and defaults.

Every limit carries its unit in its name. Sections are frozen and refuse unknown keys. What each key is for stands
beside it in ``config/recvault.toml``, which a test compares with this module.
"""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, Strict, model_validator

from recvault.config import fields
from recvault.config.log_checkpoints import LogCheckpoints
from recvault.config.mail import Mail
from recvault.config.oidc import Oidc
from recvault.config.section import (
    Bucket,
    Country,
    DatabaseUrl,
    Endpoint,
    Here,
    InData,
    MailAddress,
    Network,
    Pattern,
    Port,
    PublicUrl,
    ReasonCode,
    SecretFile,
    Section,
    Text,
    TimeOfDay,
    Zone,
)

MIB = 1024 * 1024
MULTIPART_PARTS = 10_000  # the most parts of one multipart upload that S3 takes


class Controller(Section):
    """Who answers for the archive; stands in certificates and records."""

    name: Text = ""
    business_id: Text = ""
    address: Text = ""
    contact: Text = ""


class Server(Section):
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: Port = 8470
    public_url: PublicUrl = ""
    trusted_proxies: Annotated[tuple[Network, ...], Strict(False)] = ()
    metrics_networks: Annotated[tuple[Network, ...], Strict(False)] = ("127.0.0.0/8", "::1/128")
    web_enabled: bool = True


class Data(Section):
    """Local data."""

    directory: Here = Path("recvault-data")


class Database(Section):
    """Where rows live; a relative SQLite file lies in ``data.directory``."""

    url: DatabaseUrl = "sqlite:///recvault.db"
    pool_size: int = Field(default=10, ge=1, le=200)
    connect_timeout_seconds: int = Field(default=5, ge=1, le=60)
    statement_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    password_file: SecretFile | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether the rows live in one SQLite file."""
        return self.url.startswith("sqlite:")


class Store(Section):
    """Where ciphertext lives: a folder, or a bucket of an S3 store that belongs to this archive alone."""

    kind: Literal["folder", "s3"] = "folder"
    place: str = "local"
    path: InData = Path("objects")
    endpoint: Endpoint = ""
    region: str = ""
    bucket: Bucket = ""
    access_key_file: SecretFile | None = None
    secret_key_file: SecretFile | None = None
    path_style: bool = True
    tls: bool = True
    ca_file: Here | None = None
    part_size_mib: int = Field(default=8, ge=5, le=512)
    concurrency: int = Field(default=8, ge=1, le=64)
    connect_timeout_seconds: int = Field(default=5, ge=1, le=60)
    read_timeout_seconds: int = Field(default=10, ge=1, le=600)
    retries: int = Field(default=3, ge=0, le=20)

    @property
    def part_size_bytes(self) -> int:
        """Length of one part of a multipart upload, bytes."""
        return self.part_size_mib * MIB

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "folder":
            return self
        needed = ("endpoint", "region", "bucket", "access_key_file", "secret_key_file")
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"of kind s3 also needs {', '.join(missing)}")
        if not self.tls and not fields.is_loopback(fields.host_of(self.endpoint)):
            raise ValueError("must use tls = true: only a store on loopback may go without")
        return self


class Place(Section):
    """A declared place: ISO 3166-1 country and the site within it."""

    country: Country
    site: Text


class Residency(Section):
    """Where content, keys and copies may be."""

    allowed_countries: Annotated[tuple[Country, ...], Strict(False), Field(min_length=1)] = ("FI",)
    allowed_endpoints: Annotated[tuple[Endpoint, ...], Strict(False)] = ()
    check_interval_minutes: int = Field(default=15, ge=1, le=1440)


class Replica(Section):
    """A live copy of the keyring."""

    directory: Here
    place: str


class Keyring(Section):
    """The keys. Outside ``data.directory``: a backup of the data must not bring destroyed keys back."""

    directory: Here = Path("recvault-keyring")
    place: str = "local"
    root: Literal["keyfile", "pkcs11"] = "keyfile"
    root_key_file: SecretFile = Path("recvault-root.key")
    token_library: Here | None = None
    token: Text = ""
    token_key: Annotated[str, Field(min_length=1, max_length=64)] = "recvault-root"
    token_pin_file: SecretFile | None = None
    replicas: Annotated[tuple[Replica, ...], Strict(False)] = ()
    cache_seconds: int = Field(default=60, ge=0, le=60)
    superseded_wait_hours: int = Field(default=168, ge=1, le=168)

    @model_validator(mode="after")
    def _token_named(self) -> Self:
        lacking = [key for key in ("token_library", "token", "token_pin_file") if not getattr(self, key)]
        if self.root == "pkcs11" and lacking:
            raise ValueError(
                f"root pkcs11 needs {' and '.join(lacking)} as well; set what names the token and its PIN's file"
            )
        return self


class Ledger(Section):
    """The second place of the ledger, beside the object store."""

    second_directory: Here = Path("recvault-ledger")
    place: str = "local"


class Ingest(Section):
    """Limits of what arrives."""

    buffer_mib: int = Field(default=8, ge=1, le=256)
    metadata_max_kib: int = Field(default=64, ge=1, le=1024)
    content_max_gib: int = Field(default=16, ge=1, le=1024)
    conflict_quota_per_source: int = Field(default=100, ge=0, le=100_000)
    future_tolerance_minutes: int = Field(default=10, ge=0, le=1440)
    queue_chunks: int = Field(default=16, ge=1, le=1024)

    @property
    def buffer_bytes(self) -> int:
        """Memory for one upload, bytes."""
        return self.buffer_mib * MIB

    @property
    def metadata_max_bytes(self) -> int:
        """Longest metadata part, bytes."""
        return self.metadata_max_kib * 1024

    @property
    def content_max_bytes(self) -> int:
        """Longest content part, bytes."""
        return self.content_max_gib * 1024 * MIB


class Sources(Section):
    """What holds for a source that does not say otherwise."""

    notice_ref: Text = "unset"
    balancing_test_ref: Text = "unset"


class Telephony(Section):
    """How numbers without a country are read."""

    region: Country = "FI"


class Access(Section):
    """How people get to content."""

    grant_minutes: int = Field(default=15, ge=1, le=240)
    case_reference: Literal["optional", "required", "pattern"] = "optional"
    case_pattern: Pattern = ""
    reasons: Annotated[tuple[ReasonCode, ...], Strict(False), Field(min_length=1)] = (
        "complaint",
        "order-check",
        "agreement-check",
        "billing",
        "claim",
    )
    request_pattern: Pattern = ""
    mask_customer_for_trainers: bool = True
    opens_per_hour: int = Field(default=60, ge=1, le=100_000)
    searches_per_hour: int = Field(default=600, ge=1, le=100_000)
    unusual_opens: int = Field(default=20, ge=1, le=100_000)
    unusual_times: int = Field(default=3, ge=1, le=100)
    unusual_customers: int = Field(default=40, ge=1, le=100_000)
    session_idle_minutes: int = Field(default=30, ge=1, le=720)
    session_absolute_hours: int = Field(default=10, ge=1, le=24)
    api_token_max_days: int = Field(default=90, ge=1, le=366)
    second_factor: Literal["required", "off"] = "required"
    local_sign_in: Literal["allowed", "break-glass"] = "allowed"
    breach_list: Here | None = None

    @model_validator(mode="after")
    def _pattern_given(self) -> Self:
        if (self.case_reference == "pattern") != bool(self.case_pattern):
            raise ValueError('takes case_pattern exactly when case_reference = "pattern"')
        return self

    def case_matches(self, reference: str) -> bool:
        """Whether ``reference`` has the configured form; without a pattern every reference has."""
        return not self.case_pattern or re.fullmatch(self.case_pattern, reference) is not None


class Approvals(Section):
    """How second decisions are taken."""

    mode: Literal["two_person", "small"] = "two_person"
    proof: Literal["passkey", "account"] = "passkey"
    expire_after_days: int = Field(default=14, ge=1, le=365)
    approvers_to: Annotated[tuple[MailAddress, ...], Strict(False)] = ()
    controller_to: Annotated[tuple[MailAddress, ...], Strict(False)] = ()


class Retention(Section):
    """Where the retention policy stands and in which zone its days begin."""

    policy_file: Here = Path("config/retention.toml")
    time_zone: Zone = "Europe/Helsinki"

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself."""
        return ZoneInfo(self.time_zone)


class Purge(Section):
    """The scheduled destruction."""

    nightly_at: TimeOfDay = time(2, 30)
    batch_size: int = Field(default=1000, ge=1, le=10_000)
    lease_seconds: int = Field(default=300, ge=30, le=3600)
    clock_skew_seconds: int = Field(default=120, ge=1, le=600)
    overdue_alarm_hours: int = Field(default=24, ge=1, le=168)
    guard_percent: int = Field(default=10, ge=0, le=1000)
    guard_items: int = Field(default=20, ge=0, le=1_000_000)
    absence_recheck_days: int = Field(default=30, ge=1, le=365)
    sweep_age_hours: int = Field(default=24, ge=1, le=720)
    commit_deadline_hours: int = Field(default=12, ge=1, le=360)

    @model_validator(mode="after")
    def _sweeper_waits(self) -> Self:
        if self.sweep_age_hours < 2 * self.commit_deadline_hours:
            raise ValueError(
                "needs sweep_age_hours at least twice commit_deadline_hours, so that nothing about to be named is swept"
            )
        return self


class Backup(Section):
    """Sealed backups of the database; without a directory none are made here."""

    directory: Here | None = None
    place: str = "local"
    keep_days: int = Field(default=30, ge=1, le=365)
    sample: int = Field(default=25, ge=1, le=10_000)


class Log(Section):
    """How the processes speak."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """The whole configuration. Built by :func:`recvault.config.load`, which resolves its paths."""

    controller: Controller = Controller()
    server: Server = Server()
    database: Database = Field(default_factory=Database)
    data: Data = Field(default_factory=Data)
    store: Store = Field(default_factory=Store)
    places: dict[str, Place] = Field(default_factory=lambda: {"local": Place(country="FI", site="this machine")})
    residency: Residency = Residency()
    keyring: Keyring = Field(default_factory=Keyring)
    ledger: Ledger = Field(default_factory=Ledger)
    ingest: Ingest = Ingest()
    sources: Sources = Sources()
    telephony: Telephony = Telephony()
    access: Access = Access()
    approvals: Approvals = Approvals()
    retention: Retention = Field(default_factory=Retention)
    purge: Purge = Purge()
    backup: Backup = Field(default_factory=Backup)
    log_checkpoints: LogCheckpoints = Field(default_factory=LogCheckpoints)
    mail: Mail = Field(default_factory=Mail)
    oidc: Annotated[tuple[Oidc, ...], Strict(False)] = ()
    log: Log = Log()

    @model_validator(mode="after")
    def _places_known(self) -> Self:
        named = {"store.place": self.store.place, "keyring.place": self.keyring.place}
        named["ledger.place"] = self.ledger.place
        if self.backup.directory is not None:
            named["backup.place"] = self.backup.place
        for number, replica in enumerate(self.keyring.replicas):
            named[f"keyring.replicas[{number}].place"] = replica.place
        for key, place in named.items():
            if place not in self.places:
                known = ", ".join(sorted(self.places)) or "none"
                raise ValueError(f"{key} names no declared place; add [places.NAME] for it (declared: {known})")
        return self

    @model_validator(mode="after")
    def _issuers_apart(self) -> Self:
        for key in ("name", "issuer"):
            values = [getattr(issuer, key) for issuer in self.oidc]
            if len(set(values)) < len(values):
                raise ValueError(f"oidc has two issuers of the same {key}; give each its own")
        if self.access.local_sign_in == "break-glass" and not self.oidc:
            raise ValueError('access.local_sign_in = "break-glass" needs an issuer to sign in at; add [[oidc]]')
        return self

    @model_validator(mode="after")
    def _root_key_apart(self) -> Self:
        root = self.keyring.root_key_file
        apart = {"data.directory": self.data.directory, "keyring.directory": self.keyring.directory}
        if self.store.kind == "folder":
            apart["store.path"] = self.store.path
        apart |= {f"keyring.replicas[{n}].directory": r.directory for n, r in enumerate(self.keyring.replicas)}
        for key, directory in apart.items():
            if root.resolve().is_relative_to(directory.resolve()):
                raise ValueError(
                    f"keyring.root_key_file lies inside {key}: a copy of that would hold the key as well; "
                    "move the key out"
                )
        return self

    @model_validator(mode="after")
    def _factor_off_only_here(self) -> Self:
        server = self.server
        outside = [server.host, fields.host_of(server.public_url.partition("://")[2])] if server.web_enabled else []
        if self.access.second_factor == "off" and not all(fields.is_loopback(host) for host in outside if host):
            raise ValueError(
                'access.second_factor = "off" is for a desk that only this machine reaches; take it out, or set '
                "server.web_enabled = false"
            )
        return self

    @model_validator(mode="after")
    def _content_fits(self) -> Self:
        most = self.store.part_size_bytes * MULTIPART_PARTS
        if self.store.kind == "s3" and self.ingest.content_max_bytes > most:
            raise ValueError(
                f"ingest.content_max_gib is more than {MULTIPART_PARTS} parts of store.part_size_mib hold; "
                "raise the part size"
            )
        return self
