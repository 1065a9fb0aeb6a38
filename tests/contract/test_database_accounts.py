"""Sources, people, playback grants, releases; policies; settings and the ledger head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.accounts import PlaybackGrant, SourceCertificate
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.ledger import LedgerHead
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, POLICY, SOURCE, USER, communication, name


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def test_sources(database: SqlDatabase) -> None:
    other = replace(SOURCE, id="source-0", name="Mail", token_hash=b"m" * 32, notice_ref=None)
    with database.begin() as unit:
        accounts = unit.accounts
        accounts.add_source(other)
        assert accounts.sources() == [other, SOURCE]
        assert accounts.source_by_token(b"t" * 32) == SOURCE
        assert accounts.source_by_token(b"x" * 32) is None
        assert accounts.source_by_name("Mail") == other
        assert accounts.source_by_name("mail") is None
        accounts.revoke_source("source-1", NOW)
        accounts.revoke_source("source-1", NOW + DAY)
        assert accounts.share_source("source-1") == replace(SOURCE, revoked_at=NOW)
        assert accounts.source_by_token(b"t" * 32) == replace(SOURCE, revoked_at=NOW)
        certificate = SourceCertificate(fingerprint=bytes(32), added_at=NOW, not_after=NOW + DAY)
        later = SourceCertificate(fingerprint=b"f" * 32, added_at=NOW + DAY)
        for one in (later, certificate):
            accounts.add_certificate("source-1", one)
        assert accounts.source_by_token(b"t" * 32) == accounts.source_by_name(SOURCE.name) == accounts.sources()[1]
        assert accounts.sources()[1].certificates == (certificate, later) and accounts.sources()[0] == other
        assert accounts.remove_certificate("source-1", bytes(32)) and not accounts.remove_certificate("no", bytes(32))
        for act in (accounts.share_source, lambda source: accounts.revoke_source(source, NOW)):
            with pytest.raises(NotFound, match="source"):
                act("no")
        with pytest.raises(Conflict):
            accounts.add_source(replace(other, id="source-9", token_hash=b"9" * 32))
    with database.begin() as unit, pytest.raises(Conflict):
        unit.accounts.add_source(other)
        unit.accounts.add_certificate(other.id, certificate)
        unit.accounts.add_certificate(other.id, certificate)


def test_people_and_their_grants(database: SqlDatabase) -> None:
    other = replace(USER, id="user-2", name="Aino", grants=(), language="en", agent_id="agent-1")
    with database.begin() as unit:
        accounts = unit.accounts
        accounts.add_user(other)
        assert accounts.users() == [other, USER]
        assert accounts.user("user-1") == USER
        assert accounts.user_by_name("Aino") == other
        assert accounts.user_by_name("aino") is None
        changed = replace(USER, grants=USER.grants[1:], disabled_at=NOW, password_hash=None)
        accounts.put_user(changed)
        accounts.put_user(replace(other, grants=USER.grants))
        assert accounts.user("user-1") == changed
        assert accounts.user("user-2").grants == USER.grants
        with pytest.raises(NotFound, match="user"):
            accounts.user("no")
        with pytest.raises(NotFound, match="user"):
            accounts.put_user(replace(USER, id="no", name="no"))
        with pytest.raises(Conflict):
            accounts.add_user(replace(USER, id="user-3"))


def playback(number: int, of: int = 1) -> PlaybackGrant:
    return PlaybackGrant(
        hash=bytes([number]) * 32,
        communication_id=name(of),
        actor_id="user-1",
        purpose="verification",
        opened_entry="entry-1",
        expires_at=NOW + timedelta(minutes=number),
    )


def test_playback_grants(database: SqlDatabase) -> None:
    kit.add(database, communication(1), communication(2))
    grants = [playback(1), playback(2), playback(3, of=2)]
    with database.begin() as unit:
        accounts = unit.accounts
        for grant in grants:
            accounts.add_playback(grant)
        accounts.drop_playback(expired_before=NOW + timedelta(minutes=2))
        assert [accounts.playback(grant.hash) for grant in grants] == [None, grants[1], grants[2]]
        accounts.drop_playback(expired_before=NOW, communication_ids=[name(2)])
        assert [accounts.playback(grant.hash) for grant in grants] == [None, grants[1], None]


def test_releases_to_trainees(database: SqlDatabase) -> None:
    kit.add(database, communication(1))
    with database.begin() as unit:
        accounts = unit.accounts
        accounts.release_to(name(1), "user-1", NOW)
        assert not accounts.released_to(name(1), "user-1", NOW)
        accounts.release_to(name(1), "user-1", NOW + DAY)
        assert accounts.released_to(name(1), "user-1", NOW)
        assert not accounts.released_to(name(1), "user-2", NOW)


def test_policies_are_kept_whole(database: SqlDatabase) -> None:
    newer = replace(POLICY, version="2026-02", text="[others]", activated_at=NOW + DAY)
    with database.begin() as unit:
        policies = unit.policies
        policies.add(newer)
        assert policies.active() == newer
        assert policies.get("2026-01") == POLICY
        policies.sign("2026-01", by="user-1", at=NOW)
        signed = replace(POLICY, signed_by="user-1", signed_at=NOW)
        assert policies.get("2026-01") == signed
        policies.add(replace(newer, activated_at=NOW + 5 * DAY))
        assert policies.active() == newer
        policies.add(replace(POLICY, activated_at=NOW + 2 * DAY))
        assert policies.active() == replace(signed, activated_at=NOW + 2 * DAY)
        with pytest.raises(Conflict, match="signed already"):
            policies.sign("2026-01", by="user-2", at=NOW)
        with pytest.raises(Conflict, match="another text"):
            policies.add(replace(POLICY, text="[changed]"))
        for act in (policies.get, lambda version: policies.sign(version, by="x", at=NOW)):
            with pytest.raises(NotFound, match="policy"):
                act("no")


def test_settings_and_the_ledger_head(database: SqlDatabase) -> None:
    with database.begin() as unit:
        settings = unit.settings
        assert settings.get("archive") is None
        settings.put("archive", {"name": "Arkisto", "since": None})
        settings.put("archive", {"name": "Äänitteet", "sizes": [1, 2]})
        assert settings.get("archive") == {"name": "Äänitteet", "sizes": [1, 2]}
        assert settings.ledger_head() == LedgerHead()
        settings.set_ledger_head(LedgerHead(sequence=3, digest="ef" * 32))
        assert settings.lock_ledger_head() == LedgerHead(sequence=3, digest="ef" * 32)
