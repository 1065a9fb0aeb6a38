"""Archives on real parts whose clocks are the test's: SQLite with a folder, PostgreSQL with Ceph RGW."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.keyring import FileKeyring
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.s3 import S3ObjectStore
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.bootstrap import Archive
from recvault.config import Config
from tests.servers.ceph import Ceph
from tests.support.archives import Parts, World, configuration, real_parts, steady_database
from tests.support.faults import Plan, process_on


class SteadyS3(S3ObjectStore):
    """An S3 store that tells the test's time."""

    tell: Callable[[], datetime]

    @override
    def now(self) -> datetime:
        return self.tell()


class SteadyFolder(FolderObjectStore):
    """A folder that tells the test's time."""

    tell: Callable[[], datetime]

    @override
    def now(self) -> datetime:
        return self.tell()


@contextmanager
def sqlite_and_folder(directory: Path, **settings: str) -> Iterator[Parts]:
    """Parts in files under ``directory``."""
    store = SteadyFolder(directory / "objects", create=True)
    url = f"sqlite:///{directory}/recvault.db"
    parts = real_parts(directory, database_url=url, store=store, config=configuration(**settings))
    store.tell = parts.clock.now
    yield parts
    parts.database.close()
    store.close()


@contextmanager
def postgresql_and_ceph(
    directory: Path, ceph: Ceph, url: str, *, versioned: bool = True, **settings: str
) -> Iterator[Parts]:
    """Parts on the run's servers, the keyring in files under ``directory``."""
    bucket = ceph.make_bucket(versioned=versioned)
    store = SteadyS3(ceph.settings(bucket))
    parts = real_parts(directory, database_url=url, store=store, config=ceph_configuration(ceph, bucket, **settings))
    store.tell = parts.clock.now
    yield parts
    parts.database.close()
    store.close()


def ceph_configuration(ceph: Ceph, bucket: str, **settings: str) -> Config:
    """What an archive in the bucket is told."""
    endpoint = ceph.settings(bucket).endpoint
    return configuration(
        STORE__KIND="s3",
        STORE__ENDPOINT=endpoint,
        STORE__REGION=ceph.region or "fi-hel1",
        STORE__BUCKET=bucket,
        STORE__ACCESS_KEY_FILE="/dev/null",
        STORE__SECRET_KEY_FILE="/dev/null",
        STORE__TLS="false",
        RESIDENCY__ALLOWED_ENDPOINTS=endpoint,
        **settings,
    )


@contextmanager
def another_process(world: World, parts: Parts, plan: Plan | None = None) -> Iterator[World]:
    """The same world seen from a process of its own, under a plan."""
    archive: Archive = process_on(parts, plan)
    with archive:
        yield replace(world, archive=archive)


def reopen(directory: Path, *, url: str, store: SteadyFolder | SteadyS3, moment: datetime, config: Config) -> Parts:
    """What another process makes of the same files and servers, at a moment of its own."""
    clock, entropy = FixedClock(moment), SystemEntropy()
    root = RootKeyFile(directory / "root" / "root.key")
    store.tell = clock.now
    return Parts(
        clock=clock,
        entropy=entropy,
        database=steady_database(url, clock),
        store=store,
        keyring=FileKeyring(directory=directory / "keyring", root=root, clock=clock, entropy=entropy),
        ledger=ReplicatedLedger(store, directory / "ledger"),
        config=config,
    )
