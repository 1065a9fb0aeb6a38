"""Processes that die in the middle of a change, or change the keyring at the same time.

Dying is real: a forked child kills itself with SIGKILL at a chosen line of the keyring's own code, each line in turn.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pytest

from recvault.adapters import keyring as keyring_package
from recvault.adapters import root_keyfile
from recvault.adapters.keyring import FileKeyring, OtherRoot, RootKey
from recvault.adapters.keyring.sealed import open_table, read_header
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.root_pkcs11 import RootToken
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.domain.errors import KeyDestroyed, KeyNotFound, KeyringError
from recvault.domain.ports.keyring import KeyKind
from tests.servers.softhsm import SoftToken

SECRET = bytes(range(32))
OLD = "day/2026-11-22/1"
PACKAGE = Path(str(keyring_package.__file__)).parent
MODULES = ("file", "places", "ceremonies", "place", "lock")
CODE = {*(str(PACKAGE / f"{name}.py") for name in MODULES), str(root_keyfile.__file__)}


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory in memory where there is one: a killed process leaves the same behind, and fsync costs nothing."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


def keyring(base: Path, *, create: bool = False) -> FileKeyring:
    entropy = SystemEntropy()
    if create:
        RootKeyFile.create(base / "root", entropy)
    return FileKeyring(
        directory=base / "a",
        root=RootKeyFile(base / "root"),
        clock=SystemClock(),
        entropy=entropy,
        replicas={"b": base / "b"},
        create=create,
    )


def ensure(base: Path, key_id: str) -> None:
    keyring(base).ensure(key_id, KeyKind.WRAP)


def destroy(base: Path, key_id: str) -> None:
    keyring(base).destroy([key_id])


def die_at(line: int, change: Callable[[], object]) -> bool:
    """Runs ``change`` in a child that kills itself at the ``line``-th executed line; True when it came to its end."""
    child = os.fork()
    if child == 0:
        executed = 0

        def count(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal executed
            if frame.f_code.co_filename not in CODE:
                return None
            executed += event == "line"
            if executed > line:
                os.kill(os.getpid(), signal.SIGKILL)
            return count

        sys.settrace(count)
        change()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def leftovers(base: Path) -> set[str]:
    return {file.name for place in ("a", "b") for file in (base / place).iterdir()}


@pytest.mark.slow
def test_dying_at_any_line_of_ensure_loses_nothing(base: Path) -> None:
    keyring(base, create=True).ensure(OLD, KeyKind.WRAP)
    wrapped = keyring(base).wrap(OLD, SECRET, b"")
    line, ended = 0, False
    while not ended:
        key_id = f"day/2027-01-01/{line + 1}"
        ended = die_at(line, partial(ensure, base, key_id))
        after = keyring(base)
        assert after.unwrap(OLD, wrapped, b"") == SECRET
        assert leftovers(base) == {"keyring.sealed", "keyring.lock"}
        assert [status.fault for status in after.replicas()] == [None, None]
        if ended:
            assert after.info(key_id).destroyed_at is None
        line += 1
    assert line > 100


@pytest.mark.slow
def test_dying_at_any_line_of_destroy_can_be_completed(base: Path) -> None:
    keyring(base, create=True).ensure(OLD, KeyKind.WRAP)
    wrapped = keyring(base).wrap(OLD, SECRET, b"")
    line, gone, ended = 0, False, False
    while not ended:
        key_id = f"day/2026-11-23/{line + 1}"
        keyring(base).ensure(key_id, KeyKind.WRAP)
        ended = die_at(line, partial(destroy, base, key_id))
        after = keyring(base)
        assert after.unwrap(OLD, wrapped, b"") == SECRET
        try:
            after.wrap(key_id, SECRET, b"")
            assert after.info(key_id).destroyed_at is None
        except KeyDestroyed:
            gone = True
        after.destroy([key_id])
        assert after.info(key_id).destroyed_at is not None
        assert leftovers(base) == {"keyring.sealed", "keyring.lock"}
        line += 3
    assert gone


def test_a_key_half_made_is_made_whole_by_asking_again(base: Path) -> None:
    """Somewhere between the two places the child dies; the key then exists in one and must reach the other."""
    keyring(base, create=True)
    found = 0
    line, ended = 0, False
    while not ended:
        key_id = f"day/2027-01-01/{line + 1}"
        ended = die_at(line, partial(ensure, base, key_id))
        after = keyring(base)
        try:
            after.info(key_id)
            found += 1
        except KeyNotFound:
            pass
        after.ensure(key_id, KeyKind.WRAP)
        root = RootKeyFile(base / "root")
        tables = [open_table((base / place / "keyring.sealed").read_bytes(), root=root) for place in ("a", "b")]
        assert tables[0] == tables[1]
        assert tables[0].live(key_id).secret is not None
        line += 7
    assert found > 1


def change_root(base: Path, old: RootKey, new: RootKey) -> None:
    opened(base, old).change_root(new, recovery=None)


def opened(base: Path, root: RootKey, *, create: bool = False) -> FileKeyring:
    return FileKeyring(
        directory=base / "a",
        root=root,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        replicas={"b": base / "b", "c": base / "c"},
        create=create,
    )


def opens(base: Path, root: RootKey) -> bool:
    try:
        return opened(base, root).info(OLD).destroyed_at is None
    except OtherRoot:
        return False


def roots_in(base: Path) -> list[str]:
    return [read_header((base / place / "keyring.sealed").read_bytes()).root for place in "abc"]


@pytest.mark.slow
def test_dying_at_any_line_of_a_change_of_the_root_key_leaves_one_that_opens(base: Path) -> None:
    """Exactly one of the two opens the archive; who opens it brings the other places up, and nothing is lost."""
    entropy = SystemEntropy()
    roots: list[RootKey] = [RootKeyFile.create(base / "root-0", entropy)]
    ring = opened(base, roots[0], create=True)
    ring.ensure(OLD, KeyKind.WRAP)
    ring.confirm_backup()
    wrapped = ring.wrap(OLD, SECRET, b"")
    line, ended, changed, halves = 0, False, 0, 0
    while not ended:
        old, new = roots[-1], RootKeyFile.create(base / f"root-{line + 1}", entropy)
        ended = die_at(line, partial(change_root, base, old, new))
        halves += len(set(roots_in(base))) > 1
        before, after = opens(base, old), opens(base, new)
        assert before is not after
        roots.append(new if after else old)
        ring = opened(base, roots[-1])
        assert ring.unwrap(OLD, wrapped, b"") == SECRET
        assert [status.fault for status in ring.replicas()] == [None] * 3
        assert roots_in(base) == [roots[-1].id] * 3
        assert ring.backup_confirmed() is not after, "the new kit waits for its confirmation"
        assert {file.name for place in "abc" for file in (base / place).iterdir()} == {"keyring.sealed", "keyring.lock"}
        if after:
            changed += 1
            assert ring.last_root_change is not None and ring.last_root_change.before == old.id
            ring.confirm_backup()
        line += 5
    assert changed > 5 and halves > 5


def test_dying_on_the_way_into_a_token_leaves_one_that_opens(base: Path, soft_token: SoftToken) -> None:
    entropy = SystemEntropy()
    file = RootKeyFile.create(base / "root", entropy)
    token = RootToken.create(soft_token.settings(), entropy)
    ring = opened(base, file, create=True)
    ring.ensure(OLD, KeyKind.WRAP)
    wrapped = ring.wrap(OLD, SECRET, b"")
    line, ways = 0, set()
    for old, new in ((file, token), (token, file)):
        changed = False
        while not changed:
            die_at(line, partial(change_root, base, old, new))
            changed = opens(base, new)
            assert opens(base, old) is not changed
            ring = opened(base, new if changed else old)
            assert ring.unwrap(OLD, wrapped, b"") == SECRET and len(set(roots_in(base))) == 1
            line += 40
        ways.add(new.id)
    assert len(ways) == 2


def add_place(base: Path) -> None:
    two_and_c(base).add_place("c")


def drop_place(base: Path) -> None:
    two_and_c(base).drop_place("c")


def two_and_c(base: Path) -> FileKeyring:
    return opened(base, RootKeyFile(base / "root"))


def test_dying_on_a_places_way_in_and_out_forgets_none_that_holds_keys(base: Path) -> None:
    """Wherever it dies, a place with keys is on the register or was never counted on; asking again completes it."""
    keyring(base, create=True).ensure(OLD, KeyKind.WRAP)
    wrapped = keyring(base).wrap(OLD, SECRET, b"")
    line, halves, ended = 0, 0, False
    while not ended:
        died_in = not die_at(line, partial(add_place, base))
        ring = two_and_c(base)
        live = {entry.place for entry in ring.register() if entry.stay is not None and entry.stay.live}
        holds = (base / "c" / "keyring.sealed").exists()
        assert holds or "c" not in live, "on the register only once it holds the keys"
        halves += holds and "c" not in live
        if "c" not in live:
            ring.add_place("c")
        died_out = not die_at(line, partial(drop_place, base))
        ring = two_and_c(base)
        live = {entry.place for entry in ring.register() if entry.stay is not None and entry.stay.live}
        holds = (base / "c" / "keyring.sealed").exists()
        assert "c" in live or not holds, "off the register only once it is wiped"
        halves += "c" in live and not holds
        if "c" in live:
            ring.drop_place("c")
        assert two_and_c(base).unwrap(OLD, wrapped, b"") == SECRET
        assert not (base / "c" / "keyring.sealed").exists()
        ended = not died_in and not died_out
        line += 17
    assert halves > 3


def test_a_root_change_finds_a_place_away_before_or_after(base: Path) -> None:
    """Away before: nothing is changed. Away in the middle: the change counts, and that place follows when it is back."""
    entropy = SystemEntropy()
    old, new = (RootKeyFile.create(base / name, entropy) for name in ("old", "new"))
    ring = FileKeyring(
        directory=base / "a", root=old, clock=SystemClock(), entropy=entropy, replicas={"b": base / "b"}, create=True
    )
    ring.ensure(OLD, KeyKind.WRAP)
    (base / "b").rename(base / "away")
    with pytest.raises(KeyringError, match="take the new root key"):
        ring.change_root(new, recovery=None)
    assert ring.root_id == old.id and ring.info(OLD).id == OLD
    (base / "away").rename(base / "b")
    assert ring.replicas()[1].fault is None
    (base / "b").chmod(0o755)  # open to others: refused when it is written
    with pytest.raises(KeyringError, match="chmod 700"):
        ring.change_root(new, recovery=None)
    assert ring.root_id == new.id
    (base / "b").chmod(0o700)
    after = FileKeyring(
        directory=base / "a", root=new, clock=SystemClock(), entropy=entropy, replicas={"b": base / "b"}
    )
    assert [status.fault for status in after.replicas()] == [None, None]
    assert read_header((base / "b" / "keyring.sealed").read_bytes()).root == new.id


def test_a_process_on_the_old_root_key_stops_and_changes_nothing(base: Path) -> None:
    running = keyring(base, create=True)
    running.ensure(OLD, KeyKind.WRAP)
    wrapped = running.wrap(OLD, SECRET, b"")
    new = RootKeyFile.create(base / "new", SystemEntropy())
    keyring(base).change_root(new, recovery=None)
    before = {place: (base / place / "keyring.sealed").read_bytes() for place in ("a", "b")}
    for _ in range(3):  # not only the first time: what it remembers must not be served either
        for use in (
            lambda: running.unwrap(OLD, wrapped, b""),
            lambda: running.ensure("day/2026-12-01/1", KeyKind.WRAP),
            lambda: running.destroy([OLD]),
            lambda: running.set_anchor("ledger", "x"),
            running.replicas,
        ):
            with pytest.raises(OtherRoot, match="was the root key changed"):
                use()
    assert before == {place: (base / place / "keyring.sealed").read_bytes() for place in ("a", "b")}


WRITER = """
import sys
from pathlib import Path
from recvault.adapters.keyring import FileKeyring
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.domain.ports.keyring import KeyKind

base, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
keyring = FileKeyring(directory=base / "a", root=RootKeyFile(base / "root"), clock=SystemClock(),
                      entropy=SystemEntropy(), replicas={"b": base / "b"})
for number in range(count):
    key_id = f"{name}/{number}"
    keyring.ensure(key_id, KeyKind.WRAP)
    print(key_id, keyring.wrap(key_id, bytes(32), b"").hex(), flush=True)
"""


def writer(base: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(base), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def confirmed(output: str) -> dict[str, bytes]:
    """What a writer said it had made; a line cut by its death does not count."""
    lines = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return {key_id: bytes.fromhex(wrapped) for key_id, wrapped in lines}


def test_processes_adding_keys_at_once_lose_none(base: Path) -> None:
    watching = keyring(base, create=True)
    writers = [writer(base, name, 20) for name in ("one", "two", "three")]
    made: dict[str, bytes] = {}
    for process in writers:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        made |= confirmed(output)
    assert len(made) == 60
    for reader in (watching, keyring(base)):
        assert [key.id for key in reader.list()] == sorted(made)
        for key_id, wrapped in made.items():
            assert reader.unwrap(key_id, wrapped, b"") == bytes(32)


def test_kill_minus_nine_at_random_moments_loses_no_confirmed_key(base: Path) -> None:
    keyring(base, create=True)
    chance = random.Random(20261122)
    made: dict[str, bytes] = {}
    for turn in range(6):
        process = writer(base, f"turn-{turn}", 10_000)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        process.kill()
        made |= confirmed(first + process.stdout.read())
        process.wait(timeout=10)
        process.stdout.close()
        after = keyring(base)
        for key_id, wrapped in made.items():
            assert after.unwrap(key_id, wrapped, b"") == bytes(32)
        assert leftovers(base) == {"keyring.sealed", "keyring.lock"}
    assert len(made) > 6
