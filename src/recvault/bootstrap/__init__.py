"""The one place that sees both sides: builds the archive's parts from the configuration, and starts it safely.

Starting fails closed: a schema that is newer, a ledger the database contradicts, a place that is not allowed or a missing
key stop the program with the mend. A ledger that is merely ahead (a crash between ledger and commit) is followed first; a
database that was put back waits for 'recvault ledger replay'.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.adapters.root_keyfile import make_directory
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.bootstrap.archive import Archive
from recvault.bootstrap.assembling import HASH_THREADS, assemble
from recvault.bootstrap.keys import open_keyring, open_root_key, write_first_kit
from recvault.bootstrap.log import flat
from recvault.bootstrap.parts import (
    migrate_schema,
    open_database,
    open_store,
    sealed_backups,
)
from recvault.bootstrap.sign_in import KEYS as SIGN_IN_KEYS
from recvault.config import Config
from recvault.domain.errors import KeyringError, ResidencyViolation
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind
from recvault.domain.ports.system import Clock, Entropy
from recvault.services import certificates as certificate_service
from recvault.services import checkpoints as checkpoint_service
from recvault.services import ledger as ledger_service
from recvault.services.backup_files import SealedBackups
from recvault.services.fact_digests import FACTS_KEY
from recvault.services.ingest import INDEX_KEY

__all__ = [
    "HASH_THREADS",
    "PERMANENT_KEYS",
    "Archive",
    "assemble",
    "backups_without_database",
    "build",
    "database_of",
    "initialise",
    "start",
]

PERMANENT_KEYS = {
    INDEX_KEY: KeyKind.MAC,
    **SIGN_IN_KEYS,
    FACTS_KEY: KeyKind.MAC,
    certificate_service.SIGNING_KEY: KeyKind.SIGN,
    ledger_service.SIGNING_KEY: KeyKind.SIGN,
    checkpoint_service.SIGNING_KEY: KeyKind.SIGN,
}
"""Keys that live as long as the archive."""


def initialise(config: Config, *, recovery_kit: Path | None = None) -> Path:
    """Makes a new archive: root key, keyring with its permanent keys, schema, policy. Returns the recovery kit's path.

    Repeating it is harmless: what exists stays as it is.
    """
    make_directory(config.data.directory)
    make_directory(config.ledger.second_directory)
    if config.store.kind == "folder":
        FolderObjectStore(config.store.path, create=True).close()
    store = open_store(config)
    ReplicatedLedger(store, config.ledger.second_directory, create=True)
    store.close()
    kit = recovery_kit or config.keyring.root_key_file.with_name("recvault-recovery-kit.txt")
    root = open_root_key(config, create=True)
    keyring = open_keyring(config, SystemClock(), SystemEntropy(), root, create=True)
    for key_id, kind in PERMANENT_KEYS.items():
        keyring.ensure(key_id, kind)
    if not kit.exists() and not keyring.backup_confirmed():
        write_first_kit(config, kit, keyring, root)
    migrate_schema(config)
    with build(config) as archive:
        archive.retention.activate(config.retention.policy_file.read_text(encoding="utf-8"))
        archive.fact_backfill.settle()
        archive.edge_keys.current()
    return kit


def build(config: Config, *, clock: Clock | None = None, entropy: Entropy | None = None) -> Archive:
    """The archive on the parts that the configuration names."""
    clock = clock or SystemClock()
    entropy = entropy or SystemEntropy()
    with ExitStack() as opened:
        database = open_database(config)
        opened.callback(database.close)
        store = open_store(config)
        opened.callback(store.close)
        archive = assemble(
            config,
            database=database,
            store=store,
            keyring=open_keyring(config, clock, entropy, open_root_key(config)),
            ledger_store=ReplicatedLedger(store, config.ledger.second_directory),
            clock=clock,
            entropy=entropy,
        )
        archive.resources.push(opened.pop_all())
    return archive


def database_of(config: Config) -> Database:
    """The database that a configuration names, for who looks through a copy; close it afterwards."""
    return open_database(config)


def backups_without_database(config: Config) -> SealedBackups:
    """What seals, lists and puts back backups where the database is away, waits, or is not there yet."""
    clock, entropy = SystemClock(), SystemEntropy()
    keyring = open_keyring(config, clock, entropy, open_root_key(config))
    return sealed_backups(config, keyring=keyring, clock=clock, entropy=entropy)


def start(archive: Archive, *, demo: bool = False) -> None:
    """What must hold before anything is served: schema, keys, recovery kit stored, ledger followed, place allowed."""
    migrate_schema(archive.config)
    archive.restore.stand()  # before anything is read from a database that may have been put back
    archive.keyring_age.require_newest()
    archive.retention.adopt(archive.config.retention.policy_file.read_text(encoding="utf-8"))
    archive.checkpoints.ready()
    archive.fact_backfill.prepare()
    for key_id, kind in SIGN_IN_KEYS.items():
        archive.keyring.ensure(key_id, kind)
    for key_id in PERMANENT_KEYS:
        archive.keyring.info(key_id)
    archive.passkeys.settle()
    if not demo and not archive.keyring.backup_confirmed():
        raise KeyringError(
            "the recovery kit is not confirmed; store it away from this machine, then run 'recvault keys confirm-backup'"
        )
    archive.federation.note_rules()
    archive.overrides.settle_replayed()
    archive.purpose_endings.settle_replayed()
    if faults := archive.places.check():
        raise ResidencyViolation("the archive does not start here: " + "; ".join(faults))
    archive.system_acts.started(flat(archive.config))
