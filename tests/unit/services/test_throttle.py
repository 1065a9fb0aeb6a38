"""How often somebody may try to sign in: one answer for unknown names, and limits that keep nobody out of their own account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from recvault.domain.attempts import Counted
from recvault.domain.audit import Act
from recvault.domain.errors import NotAuthenticated, TooManyAttempts
from recvault.domain.notices import AlarmCode
from recvault.services import alarms
from recvault.services import throttle as throttling
from recvault.services.throttle import Client, Throttle
from tests.support.entrance import PASSWORD, Door, open_door


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    opened = open_door()
    yield opened
    opened.world.archive.resources.close()


def test_unknown_closed_and_wrong_are_one_answer_and_one_hash(door: Door) -> None:
    door.person("tuttu")
    door.person("lahtenyt")
    door.world.archive.accounts.disable("lahtenyt", by="system:test")
    told = set()
    for name, password in (("tuttu", "väärä salasana 1"), ("ei-ketaan", PASSWORD), ("lahtenyt", PASSWORD)):
        before = door.hasher.checks
        with pytest.raises(NotAuthenticated) as refused:
            door.password(name, password, Client(address="198.51.100.77"))
        told.add((str(refused.value), door.hasher.checks - before))
    assert told == {("name or password is wrong", 1)}


def test_unknown_names_wait_as_known_ones_do(door: Door) -> None:
    door.person("odottaja")
    waits = []
    for name, address in (("odottaja", "203.0.113.5"), ("olematon", "203.0.114.5")):
        client = Client(address=address)
        for _ in range(6):
            with pytest.raises(NotAuthenticated):
                door.password(name, "väärä salasana 1", client)
        checks = door.hasher.checks
        with pytest.raises(TooManyAttempts) as late:
            door.password(name, PASSWORD, client)
        assert door.hasher.checks == checks  # who must wait costs no hashing
        waits.append((late.value.seconds, str(late.value)))
    assert waits[0] == waits[1]
    door.world.later(seconds=waits[0][0])
    assert door.password("odottaja", PASSWORD, Client(address="203.0.113.5")).user.name == "odottaja"


def test_failed_and_refused_tries_stand_in_the_log_without_what_was_typed(door: Door) -> None:
    user_id = door.person("kirjattu")
    client = Client(address="203.0.113.66")
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            door.password("kirjattu", "hunter2 hunter2", client)
    for _ in range(5):
        with pytest.raises(TooManyAttempts):
            door.password("kirjattu", "hunter2 hunter2", client)
    failed, refused = door.log(user_id, Act.SIGN_IN_FAILED), door.log(user_id, Act.SIGN_IN_REFUSED)
    assert len(failed) == 6 and len(refused) == 1  # one entry a period: a flood does not fill the log
    assert refused[0].detail == {"counted": ["pair"], "secret": "password", "wait_seconds": 2}
    for entry in (*failed, *refused):
        assert not any(word in repr(entry) for word in ("hunter2", "203.0", "kirjattu"))


def test_codes_are_counted_too(door: Door) -> None:
    secret, _, complete = door.ready("arvaaja")
    thief = Client(address="203.0.113.99")
    step = door.password("arvaaja", client=thief)
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            door.factor(step, "000000", thief)
    with pytest.raises(TooManyAttempts):
        door.factor(step, door.code(secret), thief)
    assert len(door.log(step.user.id, Act.FACTOR_FAILED)) == 6
    known = Client(address="203.0.113.99", device=complete.device)
    assert door.factor(door.password("arvaaja", client=known), door.code(secret), known).complete


def test_ten_thousand_wrong_passwords_from_everywhere_keep_nobody_out(door: Door) -> None:
    """An attacker with many addresses: slowed to a trickle, and the person comes in from where they came before."""
    secret, _, complete = door.ready("kohde")
    archive = door.world.archive
    limited = Throttle(
        database=archive.database, keyring=archive.keyring, audit=archive.audit, clock=archive.clock,
        entropy=archive.entropy, most_rows=500,
    )  # fmt: skip
    archive.sign_in._throttle, usual = limited, archive.sign_in._throttle
    before = door.hasher.checks
    most = 0
    for number in range(10_000):
        client = Client(address=f"10.{number >> 8 & 255}.{number & 255}.9", device="forged")
        with pytest.raises((NotAuthenticated, TooManyAttempts)):
            door.password("kohde", f"arvaus numero {number}", client)
        if number % 1000 == 999:
            door.world.later(seconds=20)
            most = max(most, _rows(door))
    looked = door.hasher.checks - before
    assert 100 <= looked <= 110  # of ten thousand
    assert most <= 500 + 3 * 1000
    with pytest.raises(TooManyAttempts):  # a stranger waits, whoever it is
        door.password("kohde", PASSWORD, Client(address="192.0.2.200"))
    known = Client(address="192.0.2.200", device=complete.device)
    assert door.factor(door.password("kohde", client=known), door.code(secret), known).complete
    with archive.database.read() as unit:
        seen = alarms.of_rows(unit, door.world.clock.now(), suspended=False, backups=False)
        later = alarms.of_rows(unit, door.world.clock.now() + timedelta(hours=2), suspended=False, backups=False)
    assert seen[AlarmCode.SIGN_IN_FAILURES] == 1 and AlarmCode.SIGN_IN_FAILURES not in later
    archive.sign_in._throttle = usual


def test_a_spray_over_names_from_one_network_is_slowed(door: Door) -> None:
    checks = door.hasher.checks
    for number in range(300):
        with pytest.raises((NotAuthenticated, TooManyAttempts)):
            door.password(f"nimi-{number}", "Kesä2026!Kesä2026!", Client(address=f"203.0.115.{number % 250}"))
    assert door.hasher.checks - checks == 51


def test_a_device_is_known_for_its_account_and_for_a_time(door: Door) -> None:
    _, _, mine = door.ready("laite-a")
    _, _, other = door.ready("laite-b")
    stranger = Client(address="203.0.116.1")
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            door.password("laite-a", "väärä salasana 1", stranger)
    for device in (None, "", "x", other.device, (mine.device or "")[:-4] + "AAAA"):
        with pytest.raises(TooManyAttempts):
            door.password("laite-a", client=Client(address=stranger.address, device=device))
    assert door.password("laite-a", client=Client(address=stranger.address, device=mine.device)).held.totp
    for _ in range(11):  # a stolen one is counted by itself
        with pytest.raises(NotAuthenticated):
            door.password("laite-a", "väärä salasana 1", Client(address="203.0.117.1", device=mine.device))
    with pytest.raises(TooManyAttempts):
        door.password("laite-a", client=Client(address="203.0.117.1", device=mine.device))
    door.world.later(days=200)
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            door.password("laite-a", "väärä salasana 1", Client(address="203.0.118.1", device=mine.device))
    with pytest.raises(TooManyAttempts):
        door.password("laite-a", client=Client(address="203.0.118.1", device=mine.device))


def test_counters_die_after_a_day(door: Door) -> None:
    with pytest.raises(NotAuthenticated):
        door.password("haihtuva", "väärä salasana 1", Client(address="203.0.119.1"))
    assert _rows(door)
    door.world.later(days=1, minutes=5)
    door.person("seuraava")
    door.password("seuraava", client=Client(address="203.0.120.1"))
    assert _rows(door) <= 3


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::5", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        (None, "here"),
        ("testclient", "here"),
    ],
)
def test_networks(address: str | None, network: str) -> None:
    assert throttling.network_of(address) == network


def _rows(door: Door) -> int:
    with door.world.archive.database.read() as unit:
        return unit.attempts.crowded(tuple(Counted), failures=0, since=door.world.clock.now() - timedelta(days=400))
