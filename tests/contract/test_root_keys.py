"""The contract of ``adapters.keyring.root.RootKey``, on a key file and on a real PKCS#11 token; then what is each one's own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pkcs11 import Attribute, AttributeSensitive, KeyType, MechanismFlag
from pkcs11 import lib as pkcs11_lib

from recvault.adapters import root_pkcs11
from recvault.adapters.keyring import RootKey
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.root_pkcs11 import RootToken
from recvault.adapters.system import SystemEntropy
from recvault.domain.errors import KeyringError, Tampered
from tests.servers.softhsm import PIN, SoftToken, new_token

FORM = "recvault/keyring/v2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """How root keys of one sort are made and found again, by a number."""

    make: Callable[[int], RootKey]
    open: Callable[[int], RootKey]


@pytest.fixture(params=["keyfile", "pkcs11"])
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    entropy = SystemEntropy()
    if request.param == "keyfile":
        return Maker(
            make=lambda number: RootKeyFile.create(tmp_path / f"root-{number}", entropy),
            open=lambda number: RootKeyFile(tmp_path / f"root-{number}"),
        )
    token: SoftToken = request.getfixturevalue("soft_token")
    return Maker(
        make=lambda number: RootToken.create(token.settings(f"root-{number}"), entropy),
        open=lambda number: RootToken(token.settings(f"root-{number}")),
    )


def test_a_handle_gives_its_key_again_and_each_is_another(maker: Maker) -> None:
    root = maker.make(1)
    handles = [root.new_key(FORM, SystemEntropy()) for _ in range(3)]
    assert len({key for _, key in handles}) == len({handle for handle, _ in handles}) == 3
    again = maker.open(1)
    for handle, key in handles:
        assert len(key) == 32 and key not in handle
        assert root.key_of(handle, FORM) == again.key_of(handle, FORM) == key


def test_ids_tell_root_keys_apart(maker: Maker) -> None:
    one, two = maker.make(1), maker.make(2)
    assert one.id != two.id and one.place != two.place
    assert maker.open(1).id == one.id and len(one.id) == 16 and int(one.id, 16) >= 0


def gives(root: RootKey, handle: bytes, form: str) -> bytes:
    """The key, or nothing where the root key can tell that the handle is not its own."""
    try:
        return root.key_of(handle, form)
    except Tampered:
        return b""


def test_another_root_key_or_form_gives_another_key_or_none(maker: Maker) -> None:
    one, two = maker.make(1), maker.make(2)
    handle, key = one.new_key(FORM, SystemEntropy())
    assert gives(two, handle, FORM) != key
    assert gives(one, handle, "recvault/keyring/v3") != key
    for position in (0, len(handle) // 2, len(handle) - 1):
        altered = bytearray(handle)
        altered[position] ^= 1
        assert gives(one, bytes(altered), FORM) != key
    assert gives(one, b"", FORM) != key
    assert one.key_of(handle, FORM) == key


def test_making_one_again_is_refused(maker: Maker) -> None:
    root = maker.make(1)
    with pytest.raises(KeyringError, match="not overwritten"):
        maker.make(1)
    assert maker.open(1).id == root.id


def test_a_destroyed_root_key_is_gone_for_good(maker: Maker) -> None:
    maker.make(1)
    other = maker.make(2)
    maker.open(1).destroy()
    with pytest.raises(KeyringError):
        maker.open(1)
    assert maker.open(2).id == other.id
    assert maker.make(1).id != other.id


def test_destroying_twice_is_harmless(maker: Maker) -> None:
    root = maker.make(1)
    root.destroy()
    root.destroy()


# --- the token's own


@pytest.fixture
def root(soft_token: SoftToken) -> RootToken:
    return RootToken.create(soft_token.settings(), SystemEntropy())


def test_the_key_does_not_leave_the_token(soft_token: SoftToken, root: RootToken) -> None:
    root_pkcs11.let_go()
    library = pkcs11_lib(str(soft_token.library))
    library.reinitialize()
    with library.get_token(token_label=soft_token.label).open(user_pin=PIN) as session:
        key = session.get_key(label="recvault-root")
        assert key[Attribute.SENSITIVE] and key[Attribute.ALWAYS_SENSITIVE] and key[Attribute.NEVER_EXTRACTABLE]
        assert not key[Attribute.EXTRACTABLE]
        with pytest.raises(AttributeSensitive):
            key[Attribute.VALUE]


def test_a_key_that_can_be_taken_out_is_refused(soft_token: SoftToken) -> None:
    root_pkcs11.let_go()
    library = pkcs11_lib(str(soft_token.library))
    library.reinitialize()
    with library.get_token(token_label=soft_token.label).open(user_pin=PIN, rw=True) as session:
        session.generate_key(
            KeyType.AES,
            256,
            label="weak",
            id=bytes(8),
            store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
        )
    with pytest.raises(KeyringError, match="not one that recvault made"):
        RootToken(soft_token.settings("weak"))


def test_a_token_that_was_away_is_found_again(soft_token: SoftToken, root: RootToken) -> None:
    handle, key = root.new_key(FORM, SystemEntropy())
    away = soft_token.base / "away"
    for _ in range(2):
        soft_token.tokens.rename(away)
        with pytest.raises(KeyringError, match="connected"):
            root.key_of(handle, FORM)
        with pytest.raises(KeyringError, match="connected"):
            RootToken(soft_token.settings())
        away.rename(soft_token.tokens)
        assert root.key_of(handle, FORM) == key


def test_what_is_missing_is_told_by_name(soft_token: SoftToken, root: RootToken) -> None:
    settings = soft_token.settings()
    with pytest.raises(KeyringError, match=r"no tokens with the label other are connected.*keyring\.token "):
        RootToken(replace(settings, token="other"))
    with pytest.raises(KeyringError, match="holds no key other; check keyring"):
        RootToken(replace(settings, key="other"))
    with pytest.raises(KeyringError, match="does not start"):
        RootToken(replace(settings, library=soft_token.base / "none.so"))
    assert RootToken(settings).id == root.id


def test_two_tokens_of_one_label_are_not_guessed_between(soft_token: SoftToken, root: RootToken) -> None:
    new_token(soft_token.base)
    root_pkcs11.let_go()
    with pytest.raises(KeyringError, match="2 tokens with the label"):
        RootToken(soft_token.settings())


def test_a_wrong_pin_is_tried_once(soft_token: SoftToken, root: RootToken) -> None:
    """The token counts its errors: after the first the second is refused without asking it."""
    root_pkcs11.let_go()
    soft_token.pin_file.write_text("000000")
    reads = []

    def wrong() -> str:
        reads.append(1)
        return "000000"

    settings = replace(soft_token.settings(), pin=wrong)
    for _ in range(3):
        with pytest.raises(KeyringError, match="refuses the PIN; it is not tried again"):
            RootToken(settings)
    assert len(reads) == 3
    module = root_pkcs11._module(soft_token.library)
    assert len(module.refused) >= 1
    soft_token.pin_file.write_text(PIN)
    assert RootToken(soft_token.settings()).id == root.id, "another PIN is tried"


def test_threads_take_turns(soft_token: SoftToken, root: RootToken) -> None:
    pairs = [root.new_key(FORM, SystemEntropy()) for _ in range(4)]
    wrong: list[bytes] = []

    def work() -> None:
        for _ in range(20):
            wrong.extend(handle for handle, key in pairs if root.key_of(handle, FORM) != key)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_has_a_login_of_its_own(soft_token: SoftToken, root: RootToken) -> None:
    handle, key = root.new_key(FORM, SystemEntropy())
    child = os.fork()
    if child == 0:
        os._exit(0 if root.key_of(handle, FORM) == key and RootToken(soft_token.settings()).id == root.id else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert root.key_of(handle, FORM) == key
