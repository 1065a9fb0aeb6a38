"""Fixtures of the whole suite: real servers, started at first use and shared by all workers of the run.

A missing server program skips its tests, and fails them where ``CI`` is set.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from recvault.adapters import root_pkcs11
from recvault.interfaces.cli import COLLECT_EVERY
from tests.servers import run
from tests.servers.ceph import Ceph
from tests.servers.ceph import ceph as the_ceph
from tests.servers.oidc_provider import Provider, provider
from tests.servers.postgresql import fresh_database, server
from tests.servers.softhsm import SoftToken, new_token

_ORDER = ("soak", "upgrade", "documents", "system", "contract", "unit")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        run.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole journeys first: a long one that begins last is waited for by all other workers."""
    root = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        return _ORDER.index(item.path.relative_to(root).parts[0])

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What was loaded and collected stays: looking for garbage among it costs a tenth of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        run.end()


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except run.MissingServer as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def ceph() -> Ceph:
    """A real Ceph S3: endpoints, keys, and fresh buckets."""
    with _or_skip():
        return the_ceph()


@pytest.fixture(scope="session")
def oidc_provider() -> Provider:
    """Two real issuers of OpenID Connect."""
    with _or_skip():
        return provider()


@pytest.fixture
def soft_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    """A token of its own in software."""
    with _or_skip():
        token = new_token(tmp_path / "token")
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
    root_pkcs11.let_go()
    yield token
    root_pkcs11.let_go()


@pytest.fixture
def bucket(ceph: Ceph) -> str:
    """A fresh bucket without versions."""
    return ceph.make_bucket()


@pytest.fixture
def versioned_bucket(ceph: Ceph) -> str:
    """A fresh bucket with versions."""
    return ceph.make_bucket(versioned=True)


@pytest.fixture(scope="session")
def postgresql() -> dict[str, str]:
    """A real PostgreSQL: ``port``, ``password``, ``directory`` of its socket."""
    with _or_skip():
        return server()


@pytest.fixture(scope="module")
def pg_url(postgresql: dict[str, str]) -> Iterator[str]:
    """A fresh PostgreSQL database for the module, as an address for SQLAlchemy."""
    with fresh_database() as address:
        yield address


@pytest.fixture
def new_pg_url(postgresql: dict[str, str]) -> Iterator[Callable[[], str]]:
    """Makes as many further databases as a test asks for."""
    with ExitStack() as databases:
        yield lambda: databases.enter_context(fresh_database())
