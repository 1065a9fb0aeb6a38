"""Rows that came back with a restored database, and what a connection tells of its database, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.communication import Awaiting, SearchQuery, VisibleSet
from recvault.domain.destruction import DueItem
from recvault.domain.errors import DatabaseBehind
from recvault.domain.incarnation import INCARNATION, RESTORED, Outlook, Witness
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, communication, name


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def marked(database: SqlDatabase) -> dict[Awaiting, list[str]]:
    with database.read() as unit:
        return {why: unit.restoration.marked(why, 10) for why in Awaiting}


def test_an_intent_marks_by_whether_it_was_due_and_an_outcome_overrules_it(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW), communication(2, destroy_at=NOW + DAY), communication(3))
    with database.begin() as unit:
        assert unit.restoration.mark_intended([name(2), name(1), name(9)], NOW) == [name(1), name(2)]
        assert unit.restoration.mark_intended([name(1)], NOW) == [], "marked already"
        unit.commit()
    assert marked(database) == {
        Awaiting.INTENDED: [name(1)],
        Awaiting.UNSETTLED: [name(2)],
        Awaiting.DESTROYED: [],
    }
    with database.begin() as unit:
        assert unit.restoration.mark_destroyed([name(1), name(3)]) == [name(1), name(3)]
        assert unit.restoration.unmark([name(1), name(2), name(3)]) == [name(2)], "what was destroyed stays so"
        unit.commit()
    assert marked(database)[Awaiting.DESTROYED] == [name(1), name(3)]
    with database.read() as unit:
        assert unit.restoration.marked(Awaiting.DESTROYED, 1, after=name(1)) == [name(3)]
        found = unit.communications.search(SearchQuery(), [VisibleSet()], NOW)
        assert [row.id for row in found] == [name(2)], "nobody finds what is marked"
        assert unit.communications.get(name(1)).awaiting_purge == Awaiting.DESTROYED


def test_only_what_was_destroyed_is_claimed_again_and_shredded(database: SqlDatabase) -> None:
    kit.add(database, communication(1, destroy_at=NOW + DAY), communication(2, destroy_at=NOW))
    lease = NOW + timedelta(minutes=1)
    with database.begin() as unit:
        unit.restoration.mark_destroyed([name(1)])
        unit.restoration.mark_intended([name(2)], NOW)
        claimed = unit.restoration.claim([name(1), name(2)], worker="replay", lease_until=lease)
        assert claimed == [DueItem(communication_id=name(1), state="stored", fence=1)]
        unit.communications.shred(claimed, worker="replay")
        assert unit.restoration.mark_destroyed([name(1)]) == [], "it is on its way"
        assert unit.restoration.claim([name(1)], worker="replay", lease_until=lease) == []
        unit.commit()


def test_a_forgotten_reference_is_free_again(database: SqlDatabase) -> None:
    lost = communication(1)
    kit.add(database, lost)
    assert lost.source_ref_hash is not None
    with database.begin() as unit:
        unit.restoration.forget_source_ref(lost.id)
        assert unit.communications.by_source_ref(lost.source_id, lost.source_ref_hash) is None
        unit.commit()


class Judge:
    """Remembers what it was asked, and refuses while told to."""

    def __init__(self) -> None:
        self.asked: list[Witness] = []
        self.refuses = True

    def outlook(self) -> Outlook:
        return Outlook(last=0, seen=0)

    def judge(self, witness: Witness, outlook: Outlook) -> None:
        self.asked.append(witness)
        if self.refuses:
            raise DatabaseBehind("behind; replay the ledger")


def test_a_connection_is_judged_until_it_is_let_in_and_never_again(database: SqlDatabase) -> None:
    judge = Judge()
    database.guard(judge)
    for act in (database.begin, database.read):
        with pytest.raises(DatabaseBehind), act():
            pytest.fail("it was let in")
    with pytest.raises(DatabaseBehind):
        database.check()
    assert len(judge.asked) == 3
    with database.unjudged(), database.begin() as unit:
        unit.settings.put(INCARNATION, {"serving": "another", "sweeping": None})
        unit.settings.put(RESTORED, {"backup": "b"})
        unit.commit()
    judge.refuses = False
    for _ in range(3):
        with database.read():
            pass
    assert len(judge.asked) == 4
    told = judge.asked[-1]
    assert told.is_another and told.put_back and not told.may_be_swept
    assert told.identity == database.witness().identity != "another"
