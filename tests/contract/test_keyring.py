"""The contract of ``domain.ports.keyring.Keyring``, on the keyring in memory and on the one on disk."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import sampled_from
from typing_extensions import override

from recvault.adapters.keyring import FileKeyring
from recvault.adapters.keyring.sealed import open_table
from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.root_pkcs11 import RootToken
from recvault.adapters.system import START, CountingEntropy, FixedClock, SystemEntropy
from recvault.domain.errors import InvalidInput, KeyDestroyed, KeyNotFound, KeyringError, Tampered
from recvault.domain.ports.keyring import KeyInfo, KeyKind, Keyring, Loss, OfflineCopy
from recvault.sealing.edge import edge_wrap
from tests.servers.softhsm import SoftToken

DAY = "day/2026-11-22/1"
SECRET = bytes(range(32))


def file_keyring(base: Path, clock: FixedClock, *, create: bool) -> FileKeyring:
    """A keyring in two places under ``base``."""
    entropy = SystemEntropy()
    key_file = base / "etc" / "root"
    return FileKeyring(
        directory=base / "a",
        root=RootKeyFile.create(key_file, entropy) if create else RootKeyFile(key_file),
        clock=clock,
        entropy=entropy,
        replicas={"b": base / "b"},
        create=create,
    )


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(params=["memory", "file", "token"])
def keyring(request: pytest.FixtureRequest, clock: FixedClock, tmp_path: Path) -> Keyring:
    if request.param == "memory":
        return MemoryKeyring(clock=clock, entropy=CountingEntropy())
    if request.param == "token":
        token: SoftToken = request.getfixturevalue("soft_token")
        entropy = SystemEntropy()
        root = RootToken.create(token.settings(), entropy)
        return FileKeyring(
            directory=tmp_path / "a",
            root=root,
            clock=clock,
            entropy=entropy,
            replicas={"b": tmp_path / "b"},
            create=True,
        )
    return file_keyring(tmp_path, clock, create=True)


def test_ensure_makes_a_key_once(keyring: Keyring, clock: FixedClock) -> None:
    assert keyring.ensure(DAY, KeyKind.WRAP) is True
    wrapped = keyring.wrap(DAY, SECRET, b"aad")
    clock.advance(timedelta(hours=1))
    assert keyring.ensure(DAY, KeyKind.WRAP) is False
    assert keyring.unwrap(DAY, wrapped, b"aad") == SECRET
    assert keyring.info(DAY) == KeyInfo(id=DAY, kind=KeyKind.WRAP, created_at=START)


def test_an_id_has_one_kind(keyring: Keyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    with pytest.raises(KeyringError, match="exists as a wrap key"):
        keyring.ensure(DAY, KeyKind.SIGN)


@pytest.mark.parametrize("key_id", ["", "/day", "day 1", "day\n", "x" * 129, "päivä"])
def test_ids_are_lawful(keyring: Keyring, key_id: str) -> None:
    with pytest.raises(InvalidInput):
        keyring.ensure(key_id, KeyKind.WRAP)


def test_listing_is_by_prefix_in_order_with_the_destroyed(keyring: Keyring) -> None:
    for key_id in ("index/1", "day/2026-11-23/1", DAY, "frozen/2026-11/1"):
        keyring.ensure(key_id, KeyKind.MAC if key_id == "index/1" else KeyKind.WRAP)
    keyring.destroy([DAY])
    assert [key.id for key in keyring.list()] == [DAY, "day/2026-11-23/1", "frozen/2026-11/1", "index/1"]
    assert [(key.id, key.destroyed_at) for key in keyring.list("day/")] == [(DAY, START), ("day/2026-11-23/1", None)]
    assert keyring.list("nothing") == ()


def test_wrapping_is_bound_to_key_and_context(keyring: Keyring) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    keyring.ensure("day/2026-11-22/2", KeyKind.WRAP)
    wrapped = keyring.wrap(DAY, SECRET, b"aad")
    assert len(wrapped) == 12 + 32 + 16
    assert wrapped != keyring.wrap(DAY, SECRET, b"aad")
    for position in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[position] ^= 1
        with pytest.raises(Tampered):
            keyring.unwrap(DAY, bytes(altered), b"aad")
    for key_id, cut, aad in ((DAY, wrapped, b"other"), ("day/2026-11-22/2", wrapped, b"aad"), (DAY, b"", b"aad")):
        with pytest.raises(Tampered):
            keyring.unwrap(key_id, cut, aad)


def test_signatures_verify(keyring: Keyring) -> None:
    keyring.ensure("sign/audit/1", KeyKind.SIGN)
    public = Ed25519PublicKey.from_public_bytes(keyring.public("sign/audit/1"))
    public.verify(keyring.sign("sign/audit/1", b"leaf"), b"leaf")


def test_edge_keys_open_what_a_hook_sealed(keyring: Keyring) -> None:
    keyring.ensure("edge/2026-11", KeyKind.EDGE)
    enc = edge_wrap(keyring.public("edge/2026-11"), "edge/2026-11", SECRET)
    assert keyring.open_edge("edge/2026-11", enc) == SECRET
    with pytest.raises(Tampered):
        keyring.open_edge("edge/2026-11", enc[:-1] + bytes([enc[-1] ^ 1]))
    keyring.ensure("edge/2026-12", KeyKind.EDGE)
    with pytest.raises(Tampered):
        keyring.open_edge("edge/2026-12", enc)


def test_macs_are_hmac_under_one_key(keyring: Keyring) -> None:
    keyring.ensure("index/1", KeyKind.MAC)
    keyring.ensure("index/2", KeyKind.MAC)
    assert len(keyring.mac("index/1", b"m")) == hashlib.sha256().digest_size
    assert hmac.compare_digest(keyring.mac("index/1", b"m"), keyring.mac("index/1", b"m"))
    assert len({keyring.mac(key, message) for key in ("index/1", "index/2") for message in (b"m", b"n")}) == 4


USES: dict[KeyKind, tuple[Callable[[Keyring, str], object], ...]] = {
    KeyKind.WRAP: (lambda k, i: k.wrap(i, SECRET, b""), lambda k, i: k.unwrap(i, bytes(60), b"")),
    KeyKind.SIGN: (lambda k, i: k.sign(i, b""), lambda k, i: k.public(i)),
    KeyKind.EDGE: (lambda k, i: k.open_edge(i, bytes(80)), lambda k, i: k.public(i)),
    KeyKind.MAC: (lambda k, i: k.mac(i, b""),),
}


@pytest.mark.parametrize("kind", list(KeyKind))
def test_unknown_and_destroyed_are_told_apart(keyring: Keyring, kind: KeyKind) -> None:
    keyring.ensure("k/gone", kind)
    keyring.destroy(["k/gone"])
    for use in USES[kind]:
        with pytest.raises(KeyNotFound):
            use(keyring, "k/never")
        with pytest.raises(KeyDestroyed):
            use(keyring, "k/gone")
    with pytest.raises(KeyNotFound):
        keyring.info("k/never")
    with pytest.raises(KeyDestroyed):
        keyring.ensure("k/gone", kind)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_serves_its_kind_only(keyring: Keyring, kind: KeyKind) -> None:
    keyring.ensure("k/1", kind)
    own = USES[kind]
    shared = 1 if kind in (KeyKind.SIGN, KeyKind.EDGE) else 0  # both have a public half
    refused = 0
    for use in [use for other, uses in USES.items() if other is not kind for use in uses if use not in own]:
        try:
            use(keyring, "k/1")
        except KeyringError as fault:
            assert type(fault) is KeyringError
            refused += 1
    assert refused == 7 - len(own) - shared


def test_destroying_takes_all_or_none_and_can_be_repeated(keyring: Keyring, clock: FixedClock) -> None:
    keyring.ensure(DAY, KeyKind.WRAP)
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    wrapped = keyring.wrap(DAY, SECRET, b"")
    with pytest.raises(KeyNotFound):
        keyring.destroy([DAY, "day/never/1"])
    assert keyring.unwrap(DAY, wrapped, b"") == SECRET
    keyring.destroy([])
    keyring.destroy([DAY])
    clock.advance(timedelta(minutes=5))
    keyring.destroy([DAY, "day/2026-11-23/1"])
    assert keyring.info(DAY).destroyed_at == START
    assert keyring.info("day/2026-11-23/1").destroyed_at == START + timedelta(minutes=5)
    with pytest.raises(KeyDestroyed):
        keyring.unwrap(DAY, wrapped, b"")


def test_every_place_is_in_step(keyring: Keyring) -> None:
    before = keyring.replicas()
    keyring.ensure(DAY, KeyKind.WRAP)
    after = keyring.replicas()
    assert [status.fault for status in after] == [None] * len(after)
    assert len({status.serial for status in after}) == 1
    assert after[0].serial > before[0].serial
    assert 0 <= keyring.cache_seconds <= 60


def test_a_backups_key_is_a_key_like_others(keyring: Keyring) -> None:
    assert keyring.ensure("backup/2026-11-22/1", KeyKind.WRAP) is True
    wrapped = keyring.wrap("backup/2026-11-22/1", SECRET, b"aad")
    assert keyring.unwrap("backup/2026-11-22/1", wrapped, b"aad") == SECRET
    assert [key.id for key in keyring.list("backup/")] == ["backup/2026-11-22/1"]
    keyring.destroy(["backup/2026-11-22/1"])
    with pytest.raises(KeyDestroyed):
        keyring.unwrap("backup/2026-11-22/1", wrapped, b"aad")


def test_an_anchor_is_what_was_set_last(keyring: Keyring) -> None:
    assert keyring.anchor("ledger") is None
    for value in ("one", "two", "one"):
        keyring.set_anchor("ledger", value)
        assert keyring.anchor("ledger") == value
    keyring.set_anchor("other", "x" * 1024)
    assert (keyring.anchor("ledger"), keyring.anchor("other"), keyring.anchor("none")) == ("one", "x" * 1024, None)
    assert keyring.list() == ()


def test_setting_an_anchor_again_changes_nothing(keyring: Keyring) -> None:
    keyring.set_anchor("ledger", "one")
    before = keyring.replicas()
    keyring.set_anchor("ledger", "one")
    assert keyring.replicas() == before


@pytest.mark.parametrize(("name", "value"), [("", "v"), ("a b", "v"), ("ledger", ""), ("ledger", "x" * 1025)])
def test_anchors_are_lawful(keyring: Keyring, name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        keyring.set_anchor(name, value)


def test_an_anchor_is_in_every_place_and_survives_a_rollback_of_one(tmp_path: Path, clock: FixedClock) -> None:
    first = file_keyring(tmp_path, clock, create=True)
    first.set_anchor("ledger", "one")
    copy = (tmp_path / "b" / "keyring.sealed").read_bytes()
    first.set_anchor("ledger", "two")
    root = RootKeyFile(tmp_path / "etc" / "root")
    for place in ("a", "b"):
        sealed = (tmp_path / place / "keyring.sealed").read_bytes()
        assert open_table(sealed, root=root).note("anchor/ledger") == "two"
    (tmp_path / "a" / "keyring.sealed").write_bytes(copy)
    assert file_keyring(tmp_path, clock, create=False).anchor("ledger") == "two"
    assert first.anchor("ledger") == "two"


def test_an_anchor_set_while_a_place_is_away_reaches_it_later(tmp_path: Path, clock: FixedClock) -> None:
    keyring = file_keyring(tmp_path, clock, create=True)
    keyring.set_anchor("ledger", "one")
    (tmp_path / "b").rename(tmp_path / "away")
    keyring.set_anchor("ledger", "two")
    (tmp_path / "away").rename(tmp_path / "b")
    again = file_keyring(tmp_path, clock, create=False)
    assert again.anchor("ledger") == "two"
    assert [status.fault for status in again.replicas()] == [None, None]
    (tmp_path / "a").rename(tmp_path / "gone")
    with pytest.raises(KeyringError, match="own directory"):
        again.set_anchor("ledger", "three")


def test_the_backup_is_confirmed_by_a_person(keyring: Keyring) -> None:
    assert keyring.backup_confirmed() is False
    keyring.confirm_backup()
    keyring.confirm_backup()
    assert keyring.backup_confirmed() is True


def copied(keyring: Keyring, clock: FixedClock, directory: Path) -> OfflineCopy:
    """Takes an offline copy, where there are files; else notes one."""
    if isinstance(keyring, FileKeyring):
        return keyring.take_copy(directory)
    assert isinstance(keyring, MemoryKeyring)
    copy = OfflineCopy(id="2026-11-22-1", made_at=clock.now(), expires_at=clock.now() + timedelta(days=14))
    keyring.note_copy(copy)
    return copy


def test_copies_that_may_hold_a_key_are_those_of_its_life(keyring: Keyring, clock: FixedClock, tmp_path: Path) -> None:
    assert keyring.offline_copies() == ()
    keyring.ensure(DAY, KeyKind.WRAP)
    clock.advance(timedelta(hours=1))
    copy = copied(keyring, clock, tmp_path / "stick")
    assert keyring.offline_copies() == (copy,)
    assert copy.expires_at - copy.made_at == timedelta(days=14)
    clock.advance(timedelta(hours=1))
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    keyring.destroy([DAY])
    assert copy.may_hold(keyring.info(DAY))
    assert not copy.may_hold(keyring.info("day/2026-11-23/1")), "made after the copy"
    keyring.ensure("day/2026-11-24/1", KeyKind.WRAP)
    keyring.destroy(["day/2026-11-24/1"])
    clock.advance(timedelta(hours=1))
    assert not replace(copy, made_at=clock.now()).may_hold(keyring.info("day/2026-11-24/1")), "dead before the copy"
    assert not replace(copy, ended_at=clock.now()).may_hold(keyring.info(DAY)), "destroyed, as a person said"


def test_lost_places_may_hold_what_lived_until_then(keyring: Keyring, clock: FixedClock, tmp_path: Path) -> None:
    assert keyring.lost_places() == ()
    keyring.ensure(DAY, KeyKind.WRAP)
    clock.advance(timedelta(hours=1))
    if isinstance(keyring, FileKeyring):
        (tmp_path / "b").rename(tmp_path / "gone")
        keyring.replicas()
        keyring.lose_place("b", Loss.STOLEN)
    else:
        assert isinstance(keyring, MemoryKeyring)
        keyring.note_loss("b", Loss.STOLEN)
    clock.advance(timedelta(hours=1))
    keyring.ensure("day/2026-11-23/1", KeyKind.WRAP)
    keyring.destroy([DAY])
    (lost,) = keyring.lost_places()
    assert (lost.place, lost.added_at, lost.lost_at) == ("b", START, START + timedelta(hours=1))
    assert (lost.loss, lost.found_at) == (Loss.STOLEN, None)
    assert lost.may_hold(keyring.info(DAY))
    assert not lost.may_hold(keyring.info("day/2026-11-23/1"))
    assert not replace(lost, found_at=clock.now()).may_hold(keyring.info(DAY))


class KeyringLife(RuleBasedStateMachine):
    """Keys made, destroyed and looked at through two openings of one keyring, against a plain model."""

    ids = sampled_from(["day/1/1", "day/1/2", "day/2/1"])

    @initialize()
    def begin(self) -> None:
        self.directory = TemporaryDirectory()
        self.clock = FixedClock()
        self.one = file_keyring(Path(self.directory.name), self.clock, create=True)
        self.two = file_keyring(Path(self.directory.name), self.clock, create=False)
        self.first = (Path(self.directory.name) / "a" / "keyring.sealed").read_bytes()
        self.wrapped: dict[str, bytes] = {}
        self.destroyed: set[str] = set()

    @rule(key_id=ids)
    def ensure(self, key_id: str) -> None:
        if key_id in self.destroyed:
            with pytest.raises(KeyDestroyed):
                self.two.ensure(key_id, KeyKind.WRAP)
            return
        assert self.one.ensure(key_id, KeyKind.WRAP) is (key_id not in self.wrapped)
        self.wrapped.setdefault(key_id, self.two.wrap(key_id, SECRET, b""))

    @precondition(lambda self: self.wrapped)
    @rule(key_id=ids)
    def destroy(self, key_id: str) -> None:
        if key_id not in self.wrapped:
            with pytest.raises(KeyNotFound):
                self.two.destroy([key_id])
            return
        self.two.destroy([key_id])
        self.destroyed.add(key_id)

    @rule()
    def reopen(self) -> None:
        self.one.close()
        self.one = file_keyring(Path(self.directory.name), self.clock, create=False)

    @rule(place=sampled_from(["a", "b"]))
    def roll_back(self, place: str) -> None:
        """The first file of all comes back in one place, while two processes run or before the next one starts."""
        sealed = Path(self.directory.name) / place / "keyring.sealed"
        sealed.write_bytes(self.first)
        self.two = file_keyring(Path(self.directory.name), self.clock, create=False)

    @invariant()
    def both_agree_with_the_model(self) -> None:
        for keyring in (self.one, self.two):
            assert {key.id for key in keyring.list()} == set(self.wrapped)
            for key_id, wrapped in self.wrapped.items():
                if key_id in self.destroyed:
                    with pytest.raises(KeyDestroyed):
                        keyring.unwrap(key_id, wrapped, b"")
                else:
                    assert keyring.unwrap(key_id, wrapped, b"") == SECRET

    @override
    def teardown(self) -> None:
        self.directory.cleanup()


KeyringLife.TestCase.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
test_life = KeyringLife.TestCase
