"""Signing in: two steps, single use of codes, factors changed after a proof, links that take them away, the own password."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import (
    Conflict,
    InvalidInput,
    NotAuthenticated,
    SecondFactorRequired,
    StepUpRequired,
    TooManyAttempts,
)
from recvault.domain.factors import RECOVERY_CODES, Change
from recvault.domain.sessions import Method
from recvault.services.sign_in import Step
from tests.support.entrance import HERE, PASSWORD, Door, open_door


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    opened = open_door()
    yield opened
    opened.world.archive.resources.close()


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
            except (NotAuthenticated, TooManyAttempts):
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
