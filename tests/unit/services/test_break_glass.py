"""Passwords beside an issuer: break-glass accounts only, each use an act and an alarm told of anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recvault.domain.access import Grant, Role
from recvault.domain.audit import Act, Entry
from recvault.domain.errors import NotAuthenticated, NotFound
from recvault.services.throttle import Client
from tests.support.archives import World
from tests.support.federation import federated_world, issuer_table
from tests.support.hashing import CountingHasher

PASSWORD = "pitka ja rauhallinen 7"
TABLE = """
entrusted_roles = ["trainer"]
grants = [{ group = "qa", role = "trainer" }]
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    text = '[access]\nsecond_factor = "off"\nlocal_sign_in = "break-glass"\n[server]\nhost = "127.0.0.1"\n'
    table = issuer_table(tmp_path, name="company", issuer="https://login.example", client_id="recvault", more=TABLE)
    world = federated_world(tmp_path, text + table, hasher=CountingHasher())
    with world.archive:
        for name in ("hata", "maija"):
            world.archive.accounts.add_user(
                name, display_name=name, password=PASSWORD, grants=(Grant(role=Role.ADMINISTRATOR),), by="system:test"
            )
        world.archive.local_sign_in.mark("hata", by="system:test")
        yield world


def client() -> Client:
    return Client(address="192.0.2.7", device=None, label="")


def acts(world: World, act: Act) -> list[Entry]:
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        return [one.entry for one in unit.audit.read(0, 1000) if one.entry.act is act]


def alarms(world: World) -> list[str]:
    look = world.archive.notices.watch("w")
    return [name for name in look.began if name == "break-glass-sign-in"]


def test_only_a_break_glass_account_signs_in_by_password(world: World) -> None:
    with pytest.raises(NotAuthenticated, match="name or password is wrong"):
        world.archive.sign_in.password("maija", PASSWORD, client=client())
    assert len(acts(world, Act.SIGN_IN_FAILED)) == 1
    step = world.archive.sign_in.password("hata", PASSWORD, client=client())
    assert world.archive.sessions.whose(step.secret).user.name == "hata"
    assert not acts(world, Act.SIGNED_IN)[-1].detail and len(acts(world, Act.SIGNED_IN)) == 1


def test_each_use_is_an_act_and_an_alarm_of_its_own(world: World) -> None:
    assert alarms(world) == []
    for number in (1, 2):
        world.archive.sign_in.password("hata", PASSWORD, client=client())
        assert len(acts(world, Act.BREAK_GLASS_USED)) == number
        assert alarms(world) == ["break-glass-sign-in"]
        assert alarms(world) == []
        world.later(minutes=10)
    world.later(hours=25)
    look = world.archive.notices.watch("w")
    assert "break-glass-sign-in" in look.ended


def test_a_wrong_password_is_no_use(world: World) -> None:
    with pytest.raises(NotAuthenticated):
        world.archive.sign_in.password("hata", "not this one at all", client=client())
    assert acts(world, Act.BREAK_GLASS_USED) == [] and alarms(world) == []


def test_an_account_is_one_until_it_is_none(world: World) -> None:
    local = world.archive.local_sign_in
    assert [user.name for user, _ in local.accounts()] == ["hata"]
    local.unmark("hata", by="system:test")
    with pytest.raises(NotAuthenticated):
        world.archive.sign_in.password("hata", PASSWORD, client=client())
    with pytest.raises(NotFound):
        local.unmark("hata", by="system:test")
    with pytest.raises(NotFound):
        local.mark("nobody", by="system:test")
    assert len(acts(world, Act.BREAK_GLASS_MARKED)) == 1 and len(acts(world, Act.BREAK_GLASS_UNMARKED)) == 1


def test_a_change_of_what_issuers_are_trusted_with_is_an_act(world: World) -> None:
    federation = world.archive.federation
    assert federation.note_rules() and not federation.note_rules()
    (entry,) = acts(world, Act.ISSUERS_CHANGED)
    assert entry.detail["roles"] == {"company": ["trainer"]}


def test_without_issuers_there_is_nothing_to_note(tmp_path: Path) -> None:
    with federated_world(tmp_path, "").archive as archive:
        assert not archive.federation.note_rules() and archive.federation.offers == ()
        with pytest.raises(NotFound):
            archive.federation.start("company")
