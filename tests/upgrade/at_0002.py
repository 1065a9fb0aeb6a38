"""The data directory of a program whose schema stood at revision 0002: one call that lives, one that is overdue.

Made by the packaged migrations up to that revision, and by SQL that names every column it had then; keys and objects by
the formats of docs/FORMAT.md, which do not change. A later revision gets a recipe of its own; this one stays as it is.
``python -m tests.upgrade.at_0002 DIR`` makes one to look at.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from alembic import command

from recvault.adapters.database import connect
from recvault.adapters.database.migration import alembic_config
from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.keyring import FileKeyring
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.domain.ids import uuid7
from recvault.domain.ports.keyring import KeyKind
from recvault.intake.policy_file import parse_policy
from recvault.sealing.fields import seal_fields
from recvault.sealing.manifest import Manifest, seal_manifest
from recvault.sealing.wrapping import wrap_aad
from recvault.services.streams import Streams

REVISION = "0002"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
REAL = Path(__file__).parents[1] / "samples" / "real"
ZERO = datetime(1970, 1, 1, tzinfo=UTC)

POLICY = """\
version = "earlier-1"
[ceiling]
keep = "P24M"
why = "the outermost limit"
[do_not_keep]
tag = "do-not-keep"
keep = "P1D"
why = "asked for"
[[rule]]
name = "call"
match = { channels = ["call"] }
purpose = "verification"
keep = "P30D"
from = "contact"
priority = 1
why = "as it was then"
[[rule]]
name = "email"
match = { channels = ["email"] }
purpose = "verification"
keep = "P30D"
from = "contact"
priority = 2
why = "as it was then"
[[rule]]
name = "sms"
match = { channels = ["sms"] }
purpose = "verification"
keep = "P30D"
from = "contact"
priority = 3
why = "as it was then"
[[rule]]
name = "chat"
match = { channels = ["chat"] }
purpose = "verification"
keep = "P30D"
from = "contact"
priority = 4
why = "as it was then"
[[rule]]
name = "anything-else"
purpose = "verification"
keep = "P1M"
from = "contact"
priority = 0
why = "as it was then"
[records.call_details]
purpose = "completeness"
keep = "P3M"
from = "made"
why = "as it was then"
[records.access_log]
purpose = "security"
keep = "P2Y"
from = "made"
why = "as it was then"
[records.request_register]
purpose = "accountability"
keep = "P3Y"
from = "closed"
why = "as it was then"
[records.customer]
purpose = "customer_register"
keep = "P6M"
from = "relationship_end"
why = "as it was then"
[records.quarantine_alarm]
after = "P7D"
why = "as it was then"
[records.hold_review]
after = "P6M"
why = "as it was then"
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A stored call."""

    id: str
    ref: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What the directory holds, and the tokens people and machines already have."""

    home: Path
    live: Call
    overdue: Call
    source_token: str
    verifier_token: str

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "recvault-data" / "recvault.db"


def make(home: Path) -> Earlier:
    """Makes the directory in ``home``, which is empty."""
    (home / "config").mkdir()
    (home / "config" / "retention.toml").write_text(POLICY, "utf-8")
    for words in (("init",), ("keys", "confirm-backup")):
        # root key, keyring, folder of objects; the database of this program is thrown away below
        subprocess.run(
            [sys.executable, "-m", "recvault", *words], cwd=home, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL
        )
    maker = _Maker(home)
    try:
        return maker.make()
    finally:
        maker.close()


class _Maker:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._now = datetime.now(UTC)
        file = home / "recvault-data" / "recvault.db"
        for path in file.parent.glob("recvault.db*"):
            path.unlink()
        database = connect(f"sqlite:///{file}", pool_size=1, connect_timeout_seconds=5, statement_timeout_seconds=30)
        with database.schema_work() as connection:
            command.upgrade(alembic_config(connection), REVISION)
        database.close()
        self._rows = sqlite3.connect(file)
        self._store = FolderObjectStore(home / "recvault-data" / "objects")
        self._keyring = FileKeyring(
            directory=home / "recvault-keyring",
            root=RootKeyFile(home / "recvault-root.key", outside=[]),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            place="local",
            cache_seconds=1,
        )
        # The program of that time authenticated no facts, and its keyring did not remember that all were.
        with self._keyring._changing() as table:
            self._keyring._write(table.with_notes({"anchor/facts": ""}))

    def close(self) -> None:
        self._rows.close()
        self._store.close()

    def make(self) -> Earlier:
        """Everything, in the order of the references."""
        source_token, verifier_token = "rvs_" + "s" * 43, "rvt_" + "v" * 43
        policy = parse_policy(POLICY.encode())
        paula, vera, source = (uuid7(self._now, os.urandom(10)) for _ in range(3))
        run = self._rows.execute
        for user, name, role in ((paula, "paula", "privacy_handler"), (vera, "vera", "verifier")):
            run(
                "INSERT INTO users (id, name, display_name, password_hash, created_at, language, agent_id, disabled_at)"
                " VALUES (?, ?, ?, NULL, ?, 'fi', NULL, NULL)",
                (user, name, name.title(), self._at(self._now)),
            )
            run(
                "INSERT INTO role_grants (user_id, position, role, scope_kind, valid_from, valid_until)"
                " VALUES (?, 0, ?, 'all', NULL, NULL)",
                (user, role),
            )
        run(
            "INSERT INTO tokens (hash, user_id, kind, created_at, expires_at, last_used_at, revoked_at)"
            " VALUES (?, ?, 'api', ?, ?, ?, NULL)",
            (
                hashlib.sha256(verifier_token.encode()).digest(),
                vera,
                self._at(self._now),
                self._at(self._now + timedelta(days=30)),
                self._at(self._now),
            ),
        )
        run(
            "INSERT INTO sources (id, name, token_hash, notice_ref, balancing_ref, created_at, revoked_at)"
            " VALUES (?, 'pbx', ?, 'notice-1', 'test-1', ?, NULL)",
            (source, hashlib.sha256(source_token.encode()).digest(), self._at(self._now)),
        )
        run(
            "INSERT INTO policies (version, text, digest, activated_at, signed_by, signed_at) VALUES (?, ?, ?, ?, ?, ?)",
            (policy.version, POLICY, policy.digest, self._at(self._now), paula, self._at(self._now)),
        )
        live = self._call(source, "live-1", REAL / "asterisk-1-mixed.wav", self._now - timedelta(days=2))
        overdue = self._call(
            source, "overdue-1", REAL / "asterisk-2-mixed.WAV", datetime(2025, 1, 10, 8, 5, tzinfo=UTC)
        )
        self._rows.commit()
        return Earlier(
            home=self._home, live=live, overdue=overdue, source_token=source_token, verifier_token=verifier_token
        )

    def _call(self, source: str, ref: str, file: Path, started: datetime) -> Call:
        """A call of six seconds; by the policy it is kept for thirty days from its end."""
        content, data_key = file.read_bytes(), os.urandom(32)
        ended = started + timedelta(seconds=6)
        stored = max(ended, self._now - timedelta(days=1))
        call = Call(id=uuid7(stored, os.urandom(10)), ref=ref, content=content)
        destroy_at = self._at(_thirty_days_after(ended))
        key_id = f"day/{_thirty_days_after(ended):%Y-%m-%d}/1"
        self._keyring.ensure(key_id, KeyKind.WRAP)
        stream, seal = Streams(store=self._store).write(call.id, "original", 1, data_key, [content])
        manifest = Manifest(communication=call.id, streams=(stream,), plaintext_sha256=seal.plaintext_sha256)
        run = self._rows.execute
        run(
            "INSERT INTO period_keys (key_id, period, generation, created_at, closing_at, destroyed_at)"
            " VALUES (?, ?, 1, ?, NULL, NULL)",
            (key_id, key_id.split("/")[1], self._at(stored)),
        )
        run(
            "INSERT INTO communications (id, source_id, source_ref_hash, conflict_of, channel, direction, started_at,"
            " ended_at, stored_at, customer_id, customer_kind, contact_point_id, agent_id, team, queue, case_ref,"
            " answered, media_type, notice_ref, balancing_ref, length, policy_version, destroy_at, state, key_id,"
            " wrapped_key, sealed_fields, sealed_manifest, place_declared, place_observed, do_not_keep_at,"
            " case_closed_at, relationship_ended_at, stopped_reason, claimed_by, lease_until, fence)"
            " VALUES (?, ?, ?, NULL, 'call', 'inbound', ?, ?, ?, NULL, NULL, NULL, NULL, NULL, 'laskutus', NULL, 1,"
            " 'audio/x-wav', 'notice-1', 'test-1', ?, 'earlier-1', ?, 'stored', ?, ?, ?, ?, 'local', 'folder', NULL,"
            " NULL, NULL, NULL, NULL, NULL, 0)",
            (
                call.id,
                source,
                self._keyring.mac("index/1", f"{source}\0{ref}".encode()),
                self._at(started),
                self._at(ended),
                self._at(stored),
                len(content),
                destroy_at,
                key_id,
                self._keyring.wrap(key_id, data_key, wrap_aad(communication=call.id, key_id=key_id)),
                seal_fields(data_key, call.id, {"source_ref": ref, "filename": file.name}, os.urandom(12)),
                seal_manifest(data_key, manifest, os.urandom(12)),
            ),
        )
        run(
            "INSERT INTO communication_purposes"
            " (communication_id, purpose, position, needed_until, rule, cap_until, ended_at)"
            " VALUES (?, 'verification', 0, ?, 'call', ?, NULL)",
            (call.id, destroy_at, destroy_at),
        )
        run(
            "INSERT INTO communication_streams (communication_id, name, generation, position, object_name, version_id,"
            " plaintext_length, ciphertext_length, ciphertext_sha256) VALUES (?, 'original', 1, 0, ?, NULL, ?, ?, ?)",
            (call.id, stream.object_name, stream.plaintext_length, stream.ciphertext_length, stream.ciphertext_sha256),
        )
        run("INSERT INTO communication_wrapped_by (communication_id, key_id) VALUES (?, ?)", (call.id, key_id))
        return call

    @staticmethod
    def _at(moment: datetime) -> int:
        """A moment as SQLite keeps it: microseconds since 1970."""
        return (moment - ZERO) // timedelta(microseconds=1)


def _thirty_days_after(moment: datetime) -> datetime:
    """Thirty days by the calendar of Helsinki, the archive's zone."""
    return (moment.astimezone(ZoneInfo("Europe/Helsinki")) + timedelta(days=30)).astimezone(UTC)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
