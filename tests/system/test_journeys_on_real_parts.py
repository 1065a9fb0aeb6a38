"""The journeys of ``tests/unit/services`` once more, on PostgreSQL with Ceph RGW and on SQLite with a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.s3 import S3ObjectStore
from recvault.domain.ports.objects import ObjectStore
from tests.servers.ceph import Ceph
from tests.support.archives import World, configuration, make_world, real_parts
from tests.unit.services.test_journeys import *  # noqa: F403 - the same journeys, told of other parts


class SteadyS3(S3ObjectStore):
    """An S3 store that tells the test's time."""

    tell: Callable[[], datetime]

    def now(self) -> datetime:
        return self.tell()


class SteadyFolder(FolderObjectStore):
    """A folder that tells the test's time."""

    tell: Callable[[], datetime]

    def now(self) -> datetime:
        return self.tell()


@pytest.fixture(params=["sqlite and folder", "postgresql and ceph", "postgresql and ceph with versions"])  # type: ignore[no-redef]
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    store: ObjectStore
    if request.param == "sqlite and folder":
        config = configuration()
        store = SteadyFolder(tmp_path / "objects", create=True)
        url = f"sqlite:///{tmp_path}/recvault.db"
    else:
        ceph: Ceph = request.getfixturevalue("ceph")
        bucket = ceph.make_bucket(versioned="versions" in request.param)
        settings = ceph.settings(bucket)
        store = SteadyS3(settings)
        config = configuration(
            STORE__KIND="s3",
            STORE__ENDPOINT=settings.endpoint,
            STORE__REGION=settings.region or "fi-hel1",
            STORE__BUCKET=bucket,
            STORE__ACCESS_KEY_FILE=str(tmp_path / "unused"),
            STORE__SECRET_KEY_FILE=str(tmp_path / "unused"),
            STORE__TLS="false",
            RESIDENCY__ALLOWED_ENDPOINTS=settings.endpoint,
        )
        url = request.getfixturevalue("new_pg_url")()
    parts = real_parts(tmp_path, database_url=url, store=store, config=config)
    store.tell = parts.clock.now
    made = make_world(parts=parts)
    with made.archive:
        yield made
    store.close()
