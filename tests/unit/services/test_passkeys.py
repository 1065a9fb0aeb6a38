"""Passkeys with a software authenticator: enrolled, used to sign in and to prove, and every lie refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import (
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    SecondFactorRequired,
    StepUpRequired,
)
from recvault.domain.notices import AlarmCode
from recvault.domain.passkeys import PER_PERSON, PasskeyRefused, Use
from recvault.domain.sessions import Method
from recvault.domain.waiting import PER_NETWORK
from recvault.services import alarms
from tests.support.archives import World
from tests.support.authenticator import Authenticator, decode, encode
from tests.support.passkeys import enrolled, passkey_world, person, session_of, signed

HERE = "a-browser"


@pytest.fixture(scope="module")
def shared() -> World:
    return passkey_world(ACCESS__SECOND_FACTOR="required")


def sign_in(world: World, device: Authenticator, *, binding: str = HERE) -> str:
    options = world.archive.passkeys.begin_sign_in(HERE)
    return world.archive.passkeys.sign_in(device.get(options), binding=binding, label="Firefox").secret


def test_enrolled_it_opens_a_session_without_name_or_password(shared: World) -> None:
    who = person(shared, "avain", Role.VERIFIER)
    device = enrolled(shared, who)
    (kept,) = shared.archive.passkeys.of(who.id)
    assert (kept.label, kept.transports, kept.sign_count, kept.last_used_at) == ("key", ("usb",), 0, None)
    secret = sign_in(shared, device)
    found = shared.archive.sessions.whose(secret)  # complete: a passkey is both factors
    assert (found.user.id, found.session.methods) == (who.id, frozenset({Method.PASSKEY}))
    (kept,) = shared.archive.passkeys.of(who.id)
    assert (kept.sign_count, kept.last_used_at) == (device.count, shared.clock.now())


def test_whoever_asks_without_end_displaces_only_their_own_questions(shared: World) -> None:
    device = enrolled(shared, person(shared, "kaukainen", Role.VERIFIER))
    ours = shared.archive.passkeys.begin_sign_in(HERE, address="198.51.100.7")
    theirs = []
    for number in range(PER_NETWORK + 1):
        shared.clock.advance(timedelta(seconds=1))
        theirs.append(shared.archive.passkeys.begin_sign_in("b", address=f"192.0.2.{number}"))
    answer = device.get(ours)
    assert shared.archive.passkeys.sign_in(answer, binding=HERE, label="").secret
    for options, good in ((theirs[0], False), (theirs[1], True)):
        with nullcontext() if good else pytest.raises(PasskeyRefused, match="never asked for"):
            shared.archive.passkeys.sign_in(device.get(options), binding="b", label="")


def test_options_tell_nothing_of_who_exists_and_name_nobody(shared: World) -> None:
    one, other = (shared.archive.passkeys.begin_sign_in(HERE) for _ in range(2))
    assert one["challenge"] != other["challenge"] and len(decode(str(one["challenge"]))) == 32
    assert one["allowCredentials"] == [] and one["userVerification"] == "required" and one["rpId"] == "localhost"
    who = person(shared, "nimetön", Role.VERIFIER)
    options = shared.archive.passkeys.begin_registration(signed(shared, who))
    assert decode(options["user"]["id"]).decode() == who.id  # type: ignore[index]
    chosen = options["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")  # type: ignore[index]


def wrong(**changes: object) -> Callable[[Authenticator], None]:
    def change(device: Authenticator) -> None:
        for name, value in changes.items():
            setattr(device, name, value)

    return change


LIES = {
    "origin": wrong(origin="https://archive.example"),
    "origin-like": wrong(origin="http://localhost.attacker.example:8470"),
    "party": wrong(party="attacker.example"),
    "verification": wrong(verified=False),
    "presence": wrong(present=False),
    "frame": wrong(cross_origin=True),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_an_authenticator_must_not_say_is_refused(shared: World, lie: str) -> None:
    who = person(shared, f"lie-{lie}", Role.VERIFIER)
    device = enrolled(shared, who)
    (kept,) = shared.archive.passkeys.of(who.id)
    LIES[lie](device)
    with pytest.raises(PasskeyRefused) as refused:
        sign_in(shared, device)
    assert refused.value.reason == lie.partition("-")[0]
    with shared.archive.database.read() as unit:
        (entry,) = unit.audit.about(kept.id, 5)
    assert (entry.act, entry.actor) == (Act.PASSKEY_REFUSED, who.id)
    assert entry.detail == {"use": "sign-in", "reason": refused.value.reason}


@pytest.mark.parametrize("lie", LIES)
def test_the_same_when_it_is_enrolled(shared: World, lie: str) -> None:
    who = person(shared, f"enrol-{lie}", Role.VERIFIER)
    device = Authenticator()
    LIES[lie](device)
    with pytest.raises(PasskeyRefused):
        enrolled(shared, who, device)
    assert shared.archive.passkeys.of(who.id) == []


def test_a_challenge_is_answered_once_in_time_and_in_its_session(shared: World) -> None:
    passkeys = shared.archive.passkeys
    device = enrolled(shared, person(shared, "kerran", Role.VERIFIER))
    answer = device.get(passkeys.begin_sign_in(HERE))
    passkeys.sign_in(answer, binding=HERE, label="")
    for _ in range(2):
        with pytest.raises(PasskeyRefused, match="used already") as refused:
            passkeys.sign_in(answer, binding=HERE, label="")
        assert refused.value.reason == "challenge"
    with pytest.raises(PasskeyRefused, match="another session"):
        sign_in(shared, device, binding="another browser")
    late = device.get(passkeys.begin_sign_in(HERE))
    shared.later(minutes=5)
    with pytest.raises(PasskeyRefused, match="too late"):
        passkeys.sign_in(late, binding=HERE, label="")
    with pytest.raises(PasskeyRefused, match="never asked"):
        passkeys.sign_in(device.sign(b"x" * 32), binding=HERE, label="")


def test_a_wrong_answer_uses_the_challenge_up(shared: World) -> None:
    device = enrolled(shared, person(shared, "loppuun", Role.VERIFIER))
    options = shared.archive.passkeys.begin_sign_in(HERE)
    stranger = replace(Authenticator(), credential=device.credential)  # the same name, another key
    with pytest.raises(PasskeyRefused) as refused:
        shared.archive.passkeys.sign_in(stranger.get(options), binding=HERE, label="")
    assert refused.value.reason == "signature"
    with pytest.raises(PasskeyRefused, match="used already"):
        shared.archive.passkeys.sign_in(device.get(options), binding=HERE, label="")


def test_an_answer_for_one_use_is_none_for_another(shared: World) -> None:
    who = person(shared, "käyttö", Role.VERIFIER)
    device = enrolled(shared, who)
    secret = session_of(shared, who)
    found = shared.archive.sessions.half_open(secret)
    answer = device.get(shared.archive.passkeys.begin_proof(found))
    with pytest.raises(PasskeyRefused, match="another session or act"):
        shared.archive.passkeys.sign_in(answer, binding=found.session.id, label="")


def test_a_counter_that_goes_back_is_an_alarm_and_refused_from_then_on() -> None:
    world = passkey_world()
    who = person(world, "kopio", Role.VERIFIER)
    device = enrolled(world, who)
    for _ in range(3):
        sign_in(world, device)
    device.count = 1
    with pytest.raises(PasskeyRefused, match="counted backwards"):
        sign_in(world, device)
    device.count = 50
    with pytest.raises(PasskeyRefused, match="counted backwards"):
        sign_in(world, device)
    (kept,) = world.archive.passkeys.of(who.id)
    assert kept.suspect_at == world.clock.now() and kept.sign_count == 3
    with world.archive.database.read() as unit:
        seen = alarms.of_rows(unit, world.clock.now(), suspended=False, backups=False)
    assert seen[AlarmCode.PASSKEY_SUSPECT] == 1
    world.archive.passkeys.remove(signed(world, who), kept.id)
    with world.archive.database.read() as unit:
        assert AlarmCode.PASSKEY_SUSPECT not in alarms.of_rows(unit, world.clock.now(), suspended=False, backups=False)


def test_one_that_does_not_count_is_as_good(shared: World) -> None:
    device = enrolled(shared, person(shared, "laskematon", Role.VERIFIER), Authenticator(counts=False))
    for _ in range(2):
        assert sign_in(shared, device)


def test_unknown_removed_and_closed_ones_open_nothing(shared: World) -> None:
    with pytest.raises(PasskeyRefused, match="not registered"):
        sign_in(shared, Authenticator())
    who = person(shared, "poistettu", Role.VERIFIER)
    device = enrolled(shared, who)
    (kept,) = shared.archive.passkeys.of(who.id)
    with pytest.raises(Conflict, match="only one"):
        shared.archive.passkeys.remove(signed(shared, who), kept.id)
    enrolled(shared, who)
    shared.archive.passkeys.remove(signed(shared, who), kept.id)
    with pytest.raises(PasskeyRefused, match="not registered"):
        sign_in(shared, device)
    with pytest.raises(NotFound):
        shared.archive.passkeys.remove(signed(shared, who), kept.id)
    closed = enrolled(shared, person(shared, "suljettu", Role.VERIFIER))
    shared.archive.accounts.disable("suljettu", by="system:test")
    with pytest.raises(NotAuthenticated, match="closed"):
        sign_in(shared, closed)


def test_it_is_the_second_factor_and_the_proof_of_an_open_session(shared: World) -> None:
    who = person(shared, "todiste", Role.VERIFIER)
    device = enrolled(shared, who)
    secret = session_of(shared, who, (Method.PASSWORD,))
    half = shared.archive.sessions.half_open(secret)
    assert shared.archive.sessions.lacks_factor(half)
    newer = shared.archive.passkeys.prove(half, secret, device.get(shared.archive.passkeys.begin_proof(half)))
    whole = shared.archive.sessions.whose(newer)
    assert whole.session.methods == frozenset({Method.PASSWORD, Method.PASSKEY}) and newer != secret
    shared.later(minutes=6)
    with pytest.raises(StepUpRequired):
        shared.archive.sessions.require_proof(whole.session)
    newest = shared.archive.passkeys.prove(whole, newer, device.get(shared.archive.passkeys.begin_proof(whole)))
    shared.archive.sessions.require_proof(shared.archive.sessions.whose(newest).session)


def test_another_persons_passkey_proves_nothing(shared: World) -> None:
    mine, theirs = person(shared, "oma", Role.VERIFIER), person(shared, "vieras", Role.VERIFIER)
    enrolled(shared, mine)
    device = enrolled(shared, theirs)
    secret = session_of(shared, mine)
    found = shared.archive.sessions.half_open(secret)
    options = shared.archive.passkeys.begin_proof(found)
    with pytest.raises(PasskeyRefused) as refused:
        shared.archive.passkeys.prove(found, secret, device.get(options))
    assert refused.value.reason == "person"
    device.handle = mine.id.encode()  # one that lies about whose it is
    options = shared.archive.passkeys.begin_sign_in(HERE)
    with pytest.raises(PasskeyRefused) as refused:
        shared.archive.passkeys.sign_in(device.get(options), binding=HERE, label="")
    assert refused.value.reason == "person"


def test_a_password_alone_adds_a_first_factor_and_no_second(shared: World) -> None:
    who = person(shared, "ensimmäinen", Role.VERIFIER)
    passkeys = shared.archive.passkeys
    half = shared.archive.sessions.half_open(session_of(shared, who, (Method.PASSWORD,)))
    passkeys.register(half, Authenticator().create(passkeys.begin_registration(half)), label="first")
    with pytest.raises(SecondFactorRequired):
        passkeys.begin_registration(half)


def test_adding_and_removing_takes_a_recent_proof(shared: World) -> None:
    who = person(shared, "tuore", Role.VERIFIER)
    enrolled(shared, who)
    found = signed(shared, who)
    options = shared.archive.passkeys.begin_registration(found)
    (kept,) = shared.archive.passkeys.of(who.id)
    shared.later(minutes=5)
    for act in (
        lambda: shared.archive.passkeys.begin_registration(found),
        lambda: shared.archive.passkeys.register(found, Authenticator().create(options), label="x"),
        lambda: shared.archive.passkeys.remove(found, kept.id),
    ):
        with pytest.raises(StepUpRequired):
            act()
    assert [one.id for one in shared.archive.passkeys.of(who.id)] == [kept.id]


def test_names_limits_and_doubles(shared: World) -> None:
    who, other = person(shared, "raja", Role.VERIFIER), person(shared, "toinen", Role.VERIFIER)
    device = enrolled(shared, who)
    passkeys = shared.archive.passkeys
    (kept,) = passkeys.of(who.id)
    passkeys.rename(signed(shared, who), kept.id, "  puhelin ")
    assert passkeys.of(who.id)[0].label == "puhelin"
    for label in ("", "x" * 61, "a\nb"):
        with pytest.raises(InvalidInput):
            passkeys.rename(signed(shared, who), kept.id, label)
    with pytest.raises(NotFound):
        passkeys.rename(signed(shared, other), kept.id, "mine")
    with pytest.raises(NotFound):
        passkeys.remove(signed(shared, other), kept.id)
    found = signed(shared, other)
    with pytest.raises(Conflict):
        passkeys.register(found, device.create(passkeys.begin_registration(found)), label="the same device")
    with shared.archive.database.begin() as unit:
        for number in range(PER_PERSON - 1):
            unit.passkeys.add(replace(kept, id=f"{kept.id}-{number}", credential_id=b"%d" % number))
        unit.commit()
    with pytest.raises(Conflict, match="at most"):
        passkeys.begin_registration(signed(shared, who))
    with pytest.raises(Conflict, match="no passkey"):
        passkeys.begin_proof(signed(shared, other))


def test_answers_that_cannot_be_read_are_told_as_such(shared: World) -> None:
    device = enrolled(shared, person(shared, "sekava", Role.VERIFIER))
    passkeys = shared.archive.passkeys
    good = device.get(passkeys.begin_sign_in(HERE))
    response = good["response"]
    for broken in (
        {},
        {"response": None},
        {**good, "response": {}},
        {**good, "response": response | {"clientDataJSON": "!!!"}},
        {**good, "response": response | {"clientDataJSON": encode(b"[]")}},
        {**good, "response": response | {"clientDataJSON": encode(b'{"type": 1}')}},
        {
            **good,
            "response": response | {"clientDataJSON": encode(b'{"type":"webauthn.get","challenge":1,"origin":2}')},
        },
        {**good, "response": response | {"clientDataJSON": "A" * 20_000}},
    ):
        with pytest.raises((InvalidInput, PasskeyRefused)):
            passkeys.sign_in(broken, binding=HERE, label="")
    for name in ("authenticatorData", "signature"):
        answer = device.get(passkeys.begin_sign_in(HERE))
        for value in ("", "AAAA", 7):
            with pytest.raises((InvalidInput, PasskeyRefused)):
                passkeys.sign_in({**answer, "response": answer["response"] | {name: value}}, binding=HERE, label="")


def test_forgotten_challenges_go(shared: World) -> None:
    asked = [shared.archive.passkeys.begin_sign_in(HERE) for _ in range(3)]
    shared.later(minutes=5)
    shared.archive.passkeys.begin_sign_in(HERE)
    with shared.archive.database.begin() as unit:
        assert [unit.passkeys.take(decode(str(one["challenge"]))) for one in asked] == [None] * 3
    assert Use.SIGN_IN.value == "sign-in"
