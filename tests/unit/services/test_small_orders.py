"""Sign-in beside a closing account, sweeping beside a wrong clock, edge keys without a log: what must not happen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from typing_extensions import override

from recvault.adapters.credentials import Argon2Hasher
from recvault.adapters.system import FixedClock
from recvault.bootstrap import PERMANENT_KEYS, assemble
from recvault.domain.access import Grant, Role
from recvault.domain.errors import ConfigurationError, NotAuthenticated, Unavailable
from recvault.services.throttle import Client
from tests.support.archives import configuration, make_world, memory_parts, populate

PASSWORD = "kolme sanaa peräkkäin"


class BusyHasher(Argon2Hasher):
    """Something else happens while the password is checked; every hash counts as outdated."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    @override
    def verify(self, encoded: str, password: str) -> None:
        super().verify(encoded, password)
        self.meanwhile()

    @override
    def needs_rehash(self, encoded: str) -> bool:
        return True


def test_signing_in_brings_back_neither_a_closed_account_nor_a_role_taken_away() -> None:
    hasher = BusyHasher()
    archive = make_world(hasher=hasher).archive
    accounts, client = archive.accounts, Client()
    grants = (Grant(role=Role.VERIFIER),)
    accounts.add_user("liisa", display_name="Liisa", password=PASSWORD, grants=grants, by="test")
    hasher.meanwhile = lambda: accounts.set_grants("liisa", (), by="test")
    user = archive.sign_in.password("liisa", PASSWORD, client=client).user
    assert user.grants == () and accounts.user_named("liisa").grants == ()
    hasher.meanwhile = lambda: accounts.disable("liisa", by="test")
    with pytest.raises(NotAuthenticated):
        archive.sign_in.password("liisa", PASSWORD, client=client)
    assert accounts.user_named("liisa").disabled_at is not None


def test_nothing_is_swept_while_the_clocks_disagree() -> None:
    parts = memory_parts()
    for key_id, kind in PERMANENT_KEYS.items():
        parts.keyring.ensure(key_id, kind)
    ahead = FixedClock(parts.clock.now() + timedelta(days=365))
    archive = assemble(
        configuration(),
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=ahead,
        entropy=parts.entropy,
    )
    world = populate(archive, parts.clock)
    orphan = world.store("call-1").id[:-4] + "ffff"
    parts.store.put(f"{orphan}/original.1", [b"of an upload that is about to commit"])
    ahead.advance(timedelta(days=2))
    with pytest.raises(Unavailable):
        archive.sweeper.run()
    assert list(parts.store.list_versions(f"{orphan}/"))


def test_no_log_no_end_of_an_edge_key() -> None:
    world = make_world()
    key = world.archive.edge_keys.current()
    world.later(days=90)
    world.archive.database.close()  # what is in memory only is gone with it
    with pytest.raises(ConfigurationError):
        world.archive.edge_keys.retire()
    assert world.archive.keyring.info(key.id).destroyed_at is None
