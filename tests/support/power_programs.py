"""Programs for ``tests/system/test_power_cut.py``: each acts in its working directory on real parts, and says on standard
output what it was promised, at the moment it was.

    python -m tests.support.power_programs NAME
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recvault import bootstrap
from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.keyring import FileKeyring
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.config import load
from recvault.domain.access import Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.communication import Channel, Direction, Draft, Party, PartyKind
from recvault.domain.ports.keyring import KeyKind
from recvault.interfaces.hook.enrolment import Enrolment
from recvault.interfaces.hook.spool import Spool
from recvault.interfaces.hook.submit import submit

CONTENT = bytes(range(256)) * 300
NAMES = ("01a/original.1", "01a/waveform.1", "01b/original.1")
KEYS = ("day/2026-11-22", "day/2026-11-23", "day/2026-11-24")
EDGE = bytes([9]) + bytes(31)
"""A public key of X25519 (its base point)."""
ENTRIES = (b"the first entry", b"the second entry")


def say(what: str) -> None:
    """One line, in one write."""
    os.write(1, f"{what}\n".encode())


def folder() -> None:
    """Objects put and deleted again."""
    store = FolderObjectStore(Path("objects"), create=True)
    for name in NAMES:
        store.put(name, [CONTENT[:5000], CONTENT[5000:]])
        say(f"stored {name}")
    store.put(NAMES[0], [CONTENT[::-1]])
    say(f"replaced {NAMES[0]}")
    for name in NAMES:
        versions = [version for version in store.list_versions("") if version.name == name]
        assert store.delete_versions(versions) == []
        say(f"deleted {name}")
    store.close()


def keyring(*, create: bool = True) -> FileKeyring:
    """The keyring in two places of the working directory."""
    root = Path("root.key")
    return FileKeyring(
        directory=Path("keyring").absolute(),
        root=RootKeyFile.create(root, entropy=SystemEntropy()) if create else RootKeyFile(root),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        replicas={"second": Path("replica").absolute()},
        create=create,
    )


def keys() -> None:
    """Keys made, and one destroyed."""
    ring = keyring()
    for key_id in KEYS:
        ring.ensure(key_id, KeyKind.WRAP)
        say(f"made {key_id}")
    ring.destroy([KEYS[0]])
    say(f"destroyed {KEYS[0]}")
    ring.ensure("day/2026-11-25", KeyKind.WRAP)
    say("made day/2026-11-25")


def ledger() -> None:
    """Entries in both places."""
    store = FolderObjectStore(Path("objects"), create=True)
    places = ReplicatedLedger(store, Path("second"), create=True)
    for number, entry in enumerate(ENTRIES, start=1):
        places.append(number, entry)
        say(f"entered {number}")
    store.close()


def spool() -> None:
    """Recordings sealed into a spool, one of them delivered and one refused."""
    there = Spool.create(Path("spool"))
    now = datetime.now(UTC)
    enrolment = Enrolment(
        url="http://localhost", token_file=Path("/nowhere"), ca_file=None, key_id="edge-2026-11",
        public_key=EDGE, not_after=now + timedelta(days=9), fetched_at=now,
    )  # fmt: skip
    for number in range(3):
        done = submit(Path(f"call-{number}.wav"), {"source_id": f"call-{number}"}, spool=there, enrolment=enrolment)
        say(f"spooled {number} {done.name}")
    first, second, third = there.names()
    there.postpone(third, until=now + timedelta(minutes=1))
    there.remove(first)
    say(f"delivered 0 {first}")
    there.refuse(second, {"reason": "no"})
    say(f"refused 1 {second}")


def archive() -> None:
    """A new archive with a source and a hold, and three recordings, on SQLite and a folder."""
    config = load(None, dict(os.environ))
    bootstrap.initialise(config)
    with bootstrap.build(config) as made:
        made.keyring.confirm_backup()
        bootstrap.start(made)
        source, _ = made.sources.add("pbx", by="system:test", notice_ref="n", balancing_ref="b")
        user = made.accounts.add_user(
            "pia", display_name="Pia", password=None, grants=(Grant(role=Role.PRIVACY_HANDLER),), by="system:test"
        )
        say("ready")
        review = (made.clock.now() + timedelta(days=90)).date()
        for number in range(3):
            receipt = made.ingest.accept(source, _draft(made.clock.now(), number), [CONTENT, bytes([number])])
            say(f"stored {number} {receipt.id}")
            made.holds.place(actor_of(user), reason="claim", review_on=review, communication_id=receipt.id)
            say(f"held {receipt.id}")


def _draft(now: datetime, number: int) -> Draft:
    return Draft(
        source_ref=f"call-{number}",
        channel=Channel.CALL,
        direction=Direction.INBOUND,
        started_at=now - timedelta(minutes=2),
        ended_at=now,
        remote=Party(kind=PartyKind.TEL, value="+358401234501", as_sent="040 1234501"),
        media_type="audio/wav",
    )


def careless() -> None:
    """What must not be: a file named before it was synced, promised before its name was."""
    Path("object.new").write_bytes(CONTENT)
    Path("object.new").rename("object")
    say("stored object")


PROGRAMS = {program.__name__: program for program in (careless, folder, keys, ledger, spool, archive)}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
