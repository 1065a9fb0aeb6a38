"""Passwords."""

from __future__ import annotations

import threading

import argon2
import pytest

from recvault.adapters.credentials import LEAST_MEMORY_KIB, PASSWORD_LIMIT, Argon2Hasher
from recvault.domain.errors import ConfigurationError, InvalidInput, NotAuthenticated


@pytest.fixture(scope="module")
def hasher() -> Argon2Hasher:
    """The least allowed, to be quick."""
    return Argon2Hasher(memory_kib=LEAST_MEMORY_KIB, passes=2, lanes=1)


def test_the_right_password_returns_and_the_wrong_one_raises(hasher: Argon2Hasher) -> None:
    encoded = hasher.hash("salasana, pitkä 🎧")
    hasher.verify(encoded, "salasana, pitkä 🎧")
    for wrong in ("", "salasana, pitka 🎧", "salasana, pitkä 🎧 ", "\ud800", "x" * (PASSWORD_LIMIT + 1)):
        with pytest.raises(NotAuthenticated):
            hasher.verify(encoded, wrong)


@pytest.mark.parametrize("stored", ["", "!", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=1$x$y"])
def test_a_stored_hash_that_cannot_be_read_lets_nobody_in(hasher: Argon2Hasher, stored: str) -> None:
    with pytest.raises(NotAuthenticated):
        hasher.verify(stored, "anything")
    assert hasher.needs_rehash(stored) is True


def test_composed_and_decomposed_letters_are_one_password(hasher: Argon2Hasher) -> None:
    hasher.verify(hasher.hash("p\u00e4iv\u00e4"), "pa\u0308iva\u0308")


def test_salts_differ(hasher: Argon2Hasher) -> None:
    assert hasher.hash("same") != hasher.hash("same")


@pytest.mark.parametrize("password", ["x" * (PASSWORD_LIMIT + 1), "\ud800"])
def test_what_cannot_be_a_password_is_refused(hasher: Argon2Hasher, password: str) -> None:
    with pytest.raises(InvalidInput):
        hasher.hash(password)


def test_the_shipped_parameters_are_the_second_option_of_rfc_9106() -> None:
    parameters = argon2.extract_parameters(Argon2Hasher().hash("x"))
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (65536, 3, 4)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)


def test_moved_parameters_ask_for_a_new_hash(hasher: Argon2Hasher) -> None:
    encoded = hasher.hash("x")
    assert hasher.needs_rehash(encoded) is False
    assert Argon2Hasher().needs_rehash(encoded) is True
    Argon2Hasher().verify(encoded, "x")


@pytest.mark.parametrize(
    "fewer", [{"memory_kib": LEAST_MEMORY_KIB - 1}, {"passes": 1}, {"lanes": 0}, {"concurrency": 0}]
)
def test_weaker_parameters_are_refused(fewer: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Argon2Hasher(**fewer)


def test_the_dummy_is_made_once_and_costs_what_a_real_one_costs(hasher: Argon2Hasher) -> None:
    dummy = hasher.dummy()
    assert hasher.dummy() == dummy
    assert argon2.extract_parameters(dummy) == argon2.extract_parameters(hasher.hash("x"))
    with pytest.raises(NotAuthenticated):
        hasher.verify(dummy, "")


def test_many_at_once_all_get_their_turn() -> None:
    hasher = Argon2Hasher(memory_kib=LEAST_MEMORY_KIB, passes=2, lanes=1, concurrency=2)
    encoded = hasher.hash("x")
    passed: list[bool] = []

    def sign_in() -> None:
        hasher.verify(encoded, "x")
        passed.append(True)

    threads = [threading.Thread(target=sign_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 8
