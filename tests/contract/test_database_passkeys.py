"""What the database promises about passkeys, challenges and assertions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.decisions import Assertion
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.passkeys import Challenge, Passkey, Signed, Use
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, USER, name

KEY = Passkey(
    id=name(1),
    user_id=USER.id,
    credential_id=b"\x00credential",
    public_key=b"cose",
    sign_count=0,
    transports=("internal", "usb"),
    backed_up=True,
    label="puhelin ä",
    created_at=NOW,
)
ASKED = Challenge(challenge=b"c" * 32, use=Use.PROVE, binding="session", user_id=USER.id, expires_at=NOW + DAY)
SIGNED = Signed(
    credential_id=KEY.credential_id, challenge=b"c" * 32, authenticator_data=b"a", client_data=b"{}", signature=b"s"
)
ASSERTION = Assertion(proposal_id=name(7), user_id=USER.id, nonce=b"n", public_key=b"cose", signed=SIGNED, at=NOW)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def test_a_passkey_goes_in_is_used_renamed_suspected_and_removed(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.passkeys.add(KEY)
        unit.commit()
    with database.begin() as unit:
        assert unit.passkeys.of_user(USER.id) == [KEY] == [unit.passkeys.find(KEY.credential_id, lock=True)]
        assert unit.passkeys.find(b"other") is None and unit.passkeys.suspects() == 0
        unit.passkeys.used(KEY.id, sign_count=2**32 - 1, at=NOW + DAY)
        unit.passkeys.suspect(KEY.id, NOW + DAY)
        unit.passkeys.suspect(KEY.id, NOW + 2 * DAY)
        unit.passkeys.rename(USER.id, KEY.id, "b")
        unit.commit()
    with database.begin() as unit:
        (found,) = unit.passkeys.of_user(USER.id)
        assert (
            found == replace(KEY, sign_count=2**32 - 1, last_used_at=NOW + DAY, suspect_at=NOW + DAY, label="b")
            and unit.passkeys.suspects() == 1
        )
        for other in (("user-x", KEY.id), (USER.id, name(9))):
            with pytest.raises(NotFound):
                unit.passkeys.rename(*other, "c")
            with pytest.raises(NotFound):
                unit.passkeys.remove(*other)
        assert unit.passkeys.remove(USER.id, KEY.id) == found and unit.passkeys.of_user(USER.id) == []


def test_a_credential_is_registered_once(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.passkeys.add(KEY)
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.passkeys.add(replace(KEY, id=name(2)))


def test_challenges_are_kept_taken_and_forgotten(database: SqlDatabase) -> None:
    late = replace(ASKED, challenge=b"l" * 32, expires_at=NOW)
    act = replace(ASKED, challenge=b"a" * 32, use=Use.APPROVE, about=name(7), nonce=b"\x00n")
    with database.begin() as unit:
        unit.passkeys.ask(late, now=NOW - DAY)
        unit.passkeys.ask(act, now=NOW - DAY)
        unit.passkeys.ask(ASKED, now=NOW)
        assert unit.passkeys.take(late.challenge) is None
        assert unit.passkeys.take(act.challenge) == act and unit.passkeys.take(act.challenge) is None
        unit.commit()


@pytest.mark.parametrize("database", kit.ON_DISK, indirect=True)
def test_of_many_who_answer_one_gets_the_challenge(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.passkeys.ask(ASKED, now=NOW)
        unit.commit()
    gate = threading.Barrier(4)

    def take(_: int) -> bool:
        gate.wait(10)
        with database.begin() as unit:
            taken = unit.passkeys.take(ASKED.challenge)
            unit.commit()
        return taken is not None

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(4))) == [False, False, False, True]


def test_assertions_stay_when_the_passkey_goes(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.passkeys.add(KEY)
        unit.passkeys.keep_assertion(ASSERTION)
        unit.passkeys.remove(USER.id, KEY.id)
        unit.commit()
    with database.read() as unit:
        assert unit.passkeys.assertions(name(7)) == [ASSERTION] and unit.passkeys.assertions(name(8)) == []
        assert unit.passkeys.assertion(name(7), SIGNED.challenge) == ASSERTION
        assert unit.passkeys.assertion(name(8), SIGNED.challenge) is None
    with database.begin() as unit, pytest.raises(Conflict):
        unit.passkeys.keep_assertion(ASSERTION)


def test_proposals_end_when_their_time_is_over(database: SqlDatabase) -> None:
    values = {"kind": ProposalKind.RELEASE_HOLD, "body": {}, "reason": "r", "proposed_by": "u", "proposed_at": NOW}
    open_, over, endless = (
        Proposal(id=name(number), subject=str(number), expires_at=until, **values)  # type: ignore[arg-type]
        for number, until in ((1, NOW + DAY), (2, NOW), (3, None))
    )
    with database.begin() as unit:
        for one in (open_, over, endless):
            unit.proposals.add(one)
        assert unit.proposals.expired(NOW) == [over.id]
        ended = replace(
            over, state=ProposalState.EXPIRED, decided_by="system:approvals", decided_at=NOW, assertion=b"\x01"
        )
        unit.proposals.settle(ended)
        assert unit.proposals.get(over.id) == ended and unit.proposals.expired(NOW) == []
        assert unit.proposals.ended_by_itself(since=NOW) == 0
        unit.proposals.settle(
            replace(open_, state=ProposalState.REFUSED, decided_by="system:approvals", decided_at=NOW)
        )
        assert unit.proposals.ended_by_itself(since=NOW) == 1 and unit.proposals.ended_by_itself(since=NOW + DAY) == 0
