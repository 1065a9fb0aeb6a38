"""The form of tokens: findable, whole or refused."""

from __future__ import annotations

import re

import pytest

from recvault.domain.errors import NotAuthenticated
from recvault.domain.tokens import PATTERN, Prefix, compose, require_form


@pytest.mark.parametrize("prefix", Prefix)
@pytest.mark.parametrize("random", [b"\x00" * 32, b"\xff" * 32, bytes(range(32))])
def test_every_token_is_found_by_the_pattern_and_has_its_form(prefix: Prefix, random: bytes) -> None:
    token = compose(prefix, random)
    assert len(token) == 53 and token.startswith(prefix)
    assert re.findall(PATTERN, f'key = "{token}"; other') == [token]
    require_form(token)


def test_the_form_stays() -> None:
    """Scanners are told the form: it is part of the interface."""
    assert compose(Prefix.API, bytes(range(32))) == "rvt_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf3FN4Ds"


def test_a_cut_or_mistyped_token_is_refused_before_anybody_looks_it_up() -> None:
    token = compose(Prefix.API, bytes(range(32)))
    swapped = token[:10] + token[11] + token[10] + token[12:]
    for wrong in (token[:-1], token + "a", swapped, "rvx" + token[3:], token.replace("_", "-"), "", "rvt_", "é" * 53):
        with pytest.raises(NotAuthenticated, match="copy it again"):
            require_form(wrong)


def test_tokens_of_before_keep_their_form() -> None:
    require_form("rvt_" + "A-_z" * 10 + "abc")


def test_a_secret_takes_all_its_bits() -> None:
    with pytest.raises(ValueError, match="32"):
        compose(Prefix.API, b"\x00" * 31)
