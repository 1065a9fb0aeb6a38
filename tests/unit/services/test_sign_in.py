"""Signing in: two steps, single use of codes, one answer for unknown names, and limits that keep nobody out of their own
account."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pyotp
import pytest

from recvault.domain.access import Grant, Role
from recvault.domain.attempts import Counted
from recvault.domain.audit import Act, Entry
from recvault.domain.errors import (
    Conflict,
    InvalidInput,
    NotAuthenticated,
    SecondFactorRequired,
    StepUpRequired,
    TooManyAttempts,
)
from recvault.domain.factors import RECOVERY_CODES, Change
from recvault.domain.notices import AlarmCode
from recvault.domain.sessions import Method
from recvault.services import alarms
from recvault.services import throttle as throttling
from recvault.services.sign_in import Step
from recvault.services.throttle import Client, Throttle
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.hashing import CountingHasher

PASSWORD = "pitka ja rauhallinen 7"
HERE = Client(address="192.0.2.10", label="Firefox, Linux")


@dataclass
class Door:
    """An archive that asks for second factors, and a hasher that counts."""

    world: World
    hasher: CountingHasher

    def person(self, name: str, role: Role = Role.VERIFIER) -> str:
        user = self.world.archive.accounts.add_user(
            name, display_name=name.title(), password=PASSWORD, grants=(Grant(role=role),), by="system:test"
        )
        return user.id

    def password(self, name: str, password: str = PASSWORD, client: Client = HERE) -> Step:
        return self.world.archive.sign_in.password(name, password, client=client)

    def factor(self, step: Step, code: str, client: Client = HERE) -> Step:
        return self.world.archive.sign_in.factor(step.secret, code, client=client)

    def enrol(self, step: Step) -> tuple[str, tuple[str, ...], Step]:
        """An app for who has none: its secret, the recovery codes, and the complete session."""
        factors, sessions = self.world.archive.factors, self.world.archive.sessions
        who = sessions.half_open(step.secret)
        secret = factors.begin_totp(who).letters
        codes, complete = self.world.archive.sign_in.enrol(step.secret, self.code(secret))
        return secret, codes, complete

    def code(self, secret: str, *, off_seconds: int = 0) -> str:
        """What an app shows whose clock is ahead by so much."""
        return pyotp.TOTP(secret).at(self.world.clock.now() + timedelta(seconds=off_seconds))

    def ready(self, name: str) -> tuple[str, tuple[str, ...], Step]:
        self.person(name)
        found = self.enrol(self.password(name))
        self.world.later(minutes=2)
        return found

    def log(self, user_id: str, act: Act) -> list[Entry]:
        with self.world.archive.database.read() as unit:
            return [entry for entry in unit.audit.about(user_id, 200) if entry.act is act]


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    parts = memory_parts()
    parts.config = configuration(ACCESS__SECOND_FACTOR="required", CONTROLLER__NAME="Esimerkki Oy")
    hasher = CountingHasher()
    yield Door(make_world(parts=parts, hasher=hasher), hasher)


def test_a_password_alone_opens_nothing_for_who_opens_content(door: Door) -> None:
    door.person("maija")
    step = door.password("maija")
    assert not step.complete and step.device is None and not step.held.any
    with pytest.raises(SecondFactorRequired):
        door.world.archive.sessions.whose(step.secret)
    secret, codes, complete = door.enrol(step)
    assert len(codes) == len(set(codes)) == RECOVERY_CODES and complete.complete and complete.device
    assert door.world.archive.sessions.whose(complete.secret).session.methods == {Method.PASSWORD, Method.TOTP}
    with pytest.raises(NotAuthenticated):  # the secret changed with the proof
        door.world.archive.sessions.half_open(step.secret)
    door.world.later(seconds=60)
    again = door.factor(door.password("maija"), door.code(secret))
    assert again.complete and again.held.totp and again.held.recovery == RECOVERY_CODES


def test_who_needs_no_factor_is_not_asked_for_one(door: Door) -> None:
    door.person("tuuli", Role.AUDITOR)
    step = door.password("tuuli")
    assert step.complete is not door.world.archive.sessions.lacks_factor(
        door.world.archive.sessions.half_open(step.secret)
    )


@pytest.mark.parametrize(("off_seconds", "taken"), [(-25, True), (0, True), (25, True), (90, False), (-90, False)])
def test_an_app_whose_clock_is_off(door: Door, off_seconds: int, taken: bool) -> None:
    name = f"off{off_seconds}"
    secret, _, _ = door.ready(name)
    step = door.password(name)
    code = door.code(secret, off_seconds=off_seconds)
    if taken:
        assert door.factor(step, code).complete
    else:
        with pytest.raises(NotAuthenticated):
            door.factor(step, code)


def test_a_code_is_taken_once_and_none_older_after_it(door: Door) -> None:
    secret, _, _ = door.ready("kerran")
    code, older = door.code(secret), door.code(secret, off_seconds=-30)
    assert door.factor(door.password("kerran"), code).complete
    for replayed in (code, older):
        with pytest.raises(NotAuthenticated, match="used"):
            door.factor(door.password("kerran"), replayed)
    assert door.factor(door.password("kerran"), door.code(secret, off_seconds=30)).complete


def test_of_two_who_come_at_once_with_one_code_one_gets_in(door: Door) -> None:
    secret, codes, _ = door.ready("yhdessa")
    for code in (door.code(secret), codes[0]):
        steps = [door.password("yhdessa") for _ in range(4)]
        came: list[bool] = []
        barrier = threading.Barrier(4)

        def come(step: Step, code: str = code, came: list[bool] = came, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                came.append(door.factor(step, code).complete)
            except NotAuthenticated:
                came.append(False)

        threads = [threading.Thread(target=come, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(came) == [False, False, False, True]


def test_a_recovery_code_is_used_once_however_it_is_typed(door: Door) -> None:
    _, codes, _ = door.ready("varalla")
    typed = codes[3].upper().replace("-", " ")
    step = door.factor(door.password("varalla"), typed)
    assert step.complete and step.held.recovery == RECOVERY_CODES - 1
    for wrong in (codes[3], "abcd-efgh-jkmn-pqrs", "xx", "ä" * 16):
        with pytest.raises(NotAuthenticated):
            door.factor(door.password("varalla"), wrong)
    notices = [one.change for one in door.world.archive.factors.notices(step.user.id)]
    assert notices[0] is Change.RECOVERY_USED


def test_recovery_codes_are_renewed_and_the_earlier_ones_void(door: Door) -> None:
    secret, old, _ = door.ready("uudet")
    step = door.factor(door.password("uudet"), door.code(secret))
    new = door.world.archive.factors.renew_recovery(door.world.archive.sessions.whose(step.secret))
    with pytest.raises(NotAuthenticated):
        door.factor(door.password("uudet"), old[0])
    assert door.factor(door.password("uudet"), new[0]).complete


def test_factors_are_changed_only_after_a_recent_proof_by_a_factor(door: Door) -> None:
    secret, _, complete = door.ready("varovainen")
    factors, sessions = door.world.archive.factors, door.world.archive.sessions
    half = sessions.half_open(door.password("varovainen").secret)
    with pytest.raises(SecondFactorRequired):  # who knows the password alone adds no app of their own
        factors.begin_totp(half)
    door.world.later(minutes=6)
    with pytest.raises(StepUpRequired):
        factors.begin_totp(sessions.whose(complete.secret))
    proved = door.factor(complete, door.code(secret))
    with pytest.raises(Conflict, match="another"):  # the roles need one, and this is the last
        factors.remove_totp(sessions.whose(proved.secret))
    fresh = factors.begin_totp(sessions.whose(proved.secret))
    with pytest.raises(NotAuthenticated):
        factors.confirm_totp(sessions.whose(proved.secret), "000000")
    assert factors.confirm_totp(sessions.whose(proved.secret), door.code(fresh.letters)) == ()
    door.world.later(minutes=1)
    with pytest.raises(NotAuthenticated):  # the app of before counts no more
        door.factor(door.password("varovainen"), door.code(secret))
    assert door.factor(door.password("varovainen"), door.code(fresh.letters)).complete


def test_an_enrolment_that_waits_too_long_is_void(door: Door) -> None:
    door.person("hidas")
    sessions = door.world.archive.sessions
    who = sessions.half_open(door.password("hidas").secret)
    secret = door.world.archive.factors.begin_totp(who).letters
    door.world.later(minutes=20)
    who = sessions.half_open(door.password("hidas").secret)
    with pytest.raises(Conflict, match="begin again"):
        door.world.archive.factors.confirm_totp(who, door.code(secret))


def test_the_secret_of_an_app_stands_nowhere_in_the_open(door: Door) -> None:
    secret, codes, step = door.ready("salainen")
    with door.world.archive.database.read() as unit:
        app = unit.factors.totp(step.user.id, active=True)
    assert app is not None and secret not in repr(app) and len(app.sealed) > 32
    assert all(codes[0] not in repr(entry) for entry in door.log(step.user.id, Act.FACTOR_ADDED))


def test_a_link_of_an_administrator_takes_factors_away_and_the_person_is_told(door: Door) -> None:
    _, codes, complete = door.ready("kadotettu")
    invitations = door.world.archive.invitations
    issued = invitations.invite("kadotettu", by="system:operator", resets_factors=True)
    assert issued.link is not None
    new = "aivan toinen salasana 9"
    assert door.world.archive.factors.held(complete.user.id).any  # until the link is used
    invitations.redeem(issued.link.partition("#")[2], new)
    step = door.password("kadotettu", new)
    assert not step.complete and not step.held.any and step.held.recovery == 0
    with pytest.raises(NotAuthenticated):
        door.factor(step, codes[0])
    told = [(one.change, one.own) for one in door.world.archive.factors.notices(step.user.id)]
    assert (Change.RESET_LINK_MADE, False) in told and (Change.FACTORS_RESET, False) in told
    assert door.log(step.user.id, Act.FACTORS_RESET) and door.log(step.user.id, Act.INVITED)[0].detail


def test_a_password_link_leaves_factors_as_they_are(door: Door) -> None:
    secret, _, _ = door.ready("unohtaja")
    issued = door.world.archive.invitations.invite("unohtaja", by="system:operator")
    assert issued.link is not None
    door.world.archive.invitations.redeem(issued.link.partition("#")[2], "aivan toinen salasana 9")
    step = door.password("unohtaja", "aivan toinen salasana 9")
    assert not step.complete and step.held.totp
    assert door.factor(step, door.code(secret)).complete


# --- passwords


def test_the_own_password_is_changed_by_who_knows_it_and_other_sessions_end(door: Door) -> None:
    secret, _, complete = door.ready("vaihtaja")
    sign_in, sessions = door.world.archive.sign_in, door.world.archive.sessions
    other = door.factor(door.password("vaihtaja"), door.code(secret))
    new = "se uusi on myos pitka"
    with pytest.raises(NotAuthenticated):
        sign_in.change_password(complete.secret, "vaara salasana 12", new, client=HERE)
    for bad, why in (
        ("lyhyt", "12 to"),
        (PASSWORD, "is the old one"),
        ("vaihtaja2026!", "name"),
        ("1234567890" * 2, "first"),
    ):
        with pytest.raises(InvalidInput, match=why):
            sign_in.change_password(complete.secret, PASSWORD, bad, client=HERE)
    sign_in.change_password(complete.secret, PASSWORD, new, client=HERE)
    sessions.whose(complete.secret)
    with pytest.raises(NotAuthenticated):
        sessions.whose(other.secret)
    with pytest.raises(NotAuthenticated):
        door.password("vaihtaja")
    assert door.password("vaihtaja", new).held.totp


def test_moved_parameters_make_a_new_hash_at_the_next_sign_in(door: Door) -> None:
    door.person("vanha")
    door.hasher.version = 2
    door.password("vanha")
    assert (door.world.archive.accounts.user_named("vanha").password_hash or "").startswith("2$")
    door.hasher.version = 1


# --- trying


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
