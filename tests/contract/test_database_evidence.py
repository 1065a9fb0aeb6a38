"""Holds, period keys, destructions, and the audit log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act, Entry, SequencedEntry, TreeHead, leaf_data
from recvault.domain.destruction import BatchCertificate, Destruction, Stage
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.log_tree import EMPTY_ROOT, edge, grow, leaf_hashes
from recvault.domain.ports.database.log import Ended
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, KEY, NOW, OTHER_KEY, communication, destruction, hold, name


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


# -- holds ---------------------------------------------------------------------------------------------------------


def test_holds_come_back_and_stay_after_release(database: SqlDatabase) -> None:
    with database.begin() as unit:
        for number in (2, 1):
            unit.holds.add(hold(number, authority="Helsingin käräjäoikeus"))
        assert [one.id for one in unit.holds.active()] == ["hold-1", "hold-2"]
        unit.holds.release("hold-1", by="user-2", at=NOW + DAY)
        assert [one.id for one in unit.holds.active()] == ["hold-2"]
        released = hold(1, authority="Helsingin käräjäoikeus", released_at=NOW + DAY, released_by="user-2")
        assert unit.holds.get("hold-1") == released
        with pytest.raises(Conflict, match="first release"):
            unit.holds.release("hold-1", by="user-3", at=NOW)
        for act in (unit.holds.get, lambda hold_id: unit.holds.release(hold_id, by="x", at=NOW)):
            with pytest.raises(NotFound, match="hold"):
                act("no")
        with pytest.raises(Conflict):
            unit.holds.add(hold(1))


def test_what_a_hold_covers(database: SqlDatabase) -> None:
    kit.add(
        database,
        communication(1),
        communication(2, customer_id="customer-2"),
        communication(3, customer_id=None),
    )
    with database.begin() as unit:
        unit.holds.add(hold(1))
        unit.holds.add(hold(2, customer_id=None, communication_id=name(1)))
        unit.holds.add(hold(3, customer_id=None, communication_id=name(3)))
        unit.holds.add(hold(4, customer_id="customer-2"))
        unit.holds.release("hold-4", by="user-1", at=NOW)
        assert unit.holds.covering([name(1), name(2), name(3), name(9)]) == {
            name(1): ("hold-1", "hold-2"),
            name(3): ("hold-3",),
        }
        assert unit.holds.covering([]) == {}
        assert [unit.holds.count_covered(f"hold-{number}") for number in (1, 2, 3)] == [1, 1, 1]
        unit.commit()
    kit.add(database, communication(4))
    with database.read() as unit:
        assert unit.holds.count_covered("hold-1") == 2
        assert unit.holds.covering([name(4)]) == {name(4): ("hold-1",)}


def test_a_hold_may_name_what_is_gone(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.holds.add(hold(1, customer_id=None, communication_id=name(77)))
        assert unit.holds.count_covered("hold-1") == 0


# -- period keys ---------------------------------------------------------------------------------------------------


def period_key(period: str, generation: int = 1) -> PeriodKey:
    return PeriodKey(key_id=f"{period}/{generation}", period=period, generation=generation, created_at=NOW)


def test_the_open_key_is_the_newest_generation(database: SqlDatabase) -> None:
    with database.begin() as unit:
        keys = unit.period_keys
        assert keys.open_for("2026-12-01") is None
        assert keys.last_generation("2026-12-01") == 0
        keys.add(period_key("2026-12-01"))
        keys.add(period_key("2026-12-01", 2))
        assert keys.open_for("2026-12-01") == period_key("2026-12-01", 2)
        keys.mark_closing("2026-12-01/2", NOW)
        assert keys.open_for("2026-12-01") == period_key("2026-12-01")
        keys.mark_destroyed("2026-12-01/1", NOW)
        assert keys.open_for("2026-12-01") is None
        assert keys.last_generation("2026-12-01") == 2
        assert keys.in_closing() == [replace(period_key("2026-12-01", 2), closing_at=NOW)]
        with pytest.raises(Conflict):
            keys.add(replace(period_key("2026-12-01", 2), key_id="another"))


def test_keys_are_locked_marked_once_and_known(database: SqlDatabase) -> None:
    with database.begin() as unit:
        keys = unit.period_keys
        assert keys.share("key-a") == KEY
        assert keys.lock("key-b") == OTHER_KEY
        keys.mark_closing("key-a", NOW)
        keys.mark_closing("key-a", NOW + DAY)
        keys.mark_destroyed("key-a", NOW + DAY)
        keys.mark_destroyed("key-a", NOW + 2 * DAY)
        assert keys.lock("key-a") == replace(KEY, closing_at=NOW, destroyed_at=NOW + DAY)
        assert keys.get("key-b") == OTHER_KEY
        for act in (keys.get, keys.share, keys.lock, lambda key: keys.mark_closing(key, NOW)):
            with pytest.raises(NotFound, match="period key"):
                act("no")


def test_days_and_months_close_apart(database: SqlDatabase) -> None:
    periods = ["2026-11-21", "2026-11-22", "2026-10", "2026-09", "2026-12-31", "2025-12-31"]
    with database.begin() as unit:
        for period in periods:
            unit.period_keys.add(period_key(period))
        unit.period_keys.mark_closing("2026-11-21/1", NOW)
        unit.period_keys.mark_destroyed("2025-12-31/1", NOW)
        found = unit.period_keys.closable(day_before="2026-11-22", month_before="2026-11")
        assert [key.key_id for key in found] == ["2026-09/1", "2026-10/1", "2026-11-21/1"]


# -- destructions --------------------------------------------------------------------------------------------------


def stages(found: list[Destruction]) -> list[str]:
    return [one.communication_id for one in found]


def certificate(number: int, stage: Stage = Stage.INACCESSIBLE, leaves: int = 1) -> BatchCertificate:
    return BatchCertificate(
        id=f"certificate-{number}",
        stage=stage,
        issued_at=NOW,
        leaves=tuple(bytes([index]) * 32 for index in range(leaves)),
        document='{"signed": "ä"}',
    )


def test_a_certificate_of_a_batch_is_kept_with_its_leaves_in_order(database: SqlDatabase) -> None:
    many = certificate(1, leaves=3)
    with database.begin() as unit:
        unit.destructions.add(*(destruction(number) for number in range(3)))
        unit.destructions.certify(many, [name(number) for number in range(3)], at=NOW)
        assert unit.destructions.certificate("certificate-1") == many
        assert {unit.destructions.get(name(number)).inaccessible_in for number in range(3)} == {"certificate-1"}
        with pytest.raises(NotFound, match="certificate"):
            unit.destructions.certificate("certificate-2")
        with pytest.raises(Conflict):
            unit.destructions.certify(many, [], at=NOW)


def test_part_of_a_batch_that_is_at_another_stage_certifies_nothing(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.destructions.add(destruction(1), destruction(2))
        unit.destructions.certify(certificate(1), [name(1)], at=NOW)
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict, match="not everything was at stage shredded"):
        unit.destructions.certify(certificate(2, leaves=2), [name(1), name(2)], at=NOW)
    with database.read() as unit, pytest.raises(NotFound):
        unit.destructions.certificate("certificate-2")


def test_a_tombstone_goes_through_its_stages(database: SqlDatabase) -> None:
    with database.begin() as unit:
        tombs = unit.destructions
        tombs.add(destruction(1))
        assert tombs.get(name(1)) == destruction(1)
        with pytest.raises(Conflict, match="stage shredded"):
            tombs.certify(certificate(1, Stage.COMPLETE), [name(1)], at=NOW)
        tombs.certify(certificate(2), [name(1)], at=NOW + DAY)
        with pytest.raises(Conflict, match="stage inaccessible"):
            tombs.certify(certificate(3), [name(1)], at=NOW)
        tombs.certify(certificate(4, Stage.COMPLETE), [name(1)], at=NOW + 2 * DAY)
        final = replace(
            destruction(1),
            stage=Stage.COMPLETE,
            inaccessible_at=NOW + DAY,
            complete_at=NOW + 2 * DAY,
            inaccessible_in="certificate-2",
            complete_in="certificate-4",
        )
        assert tombs.find([name(1), name(2)]) == {name(1): final}
        assert tombs.by_source_ref("source-1", (1).to_bytes(32)) == final
        assert tombs.by_source_ref("source-2", (1).to_bytes(32)) is None
        with pytest.raises(NotFound, match="destruction"):
            tombs.certify(certificate(5), [name(2)], at=NOW)
        with pytest.raises(NotFound, match="destruction"):
            tombs.get(name(2))
        with pytest.raises(Conflict):
            tombs.add(destruction(1))


def test_a_tombstone_needs_nothing_that_a_restored_database_may_lack(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.destructions.add(destruction(1, source_id="unknown", key_ids=("unknown",), source_ref_hash=None))
        unit.commit()


def test_complete_when_every_key_is_gone(database: SqlDatabase) -> None:
    with database.begin() as unit:
        tombs, keys = unit.destructions, unit.period_keys
        for number in (3, 2, 1):
            tombs.add(destruction(number, key_ids=("key-a", "key-b")))
        tombs.add(destruction(4, key_ids=("key-a",)))
        for number, minutes in ((1, 30), (2, 20), (4, 10)):
            at = NOW + timedelta(minutes=minutes)
            tombs.certify(certificate(number), [name(number)], at=at)
        assert tombs.completable(10) == []
        keys.mark_destroyed("key-a", NOW)
        assert stages(tombs.completable(10)) == [name(4)]
        keys.mark_destroyed("key-b", NOW)
        assert stages(tombs.completable(10)) == [name(4), name(2), name(1)]
        assert stages(tombs.completable(1)) == [name(4)]
        tombs.certify(certificate(9, Stage.COMPLETE), [name(4)], at=NOW)
        assert stages(tombs.completable(10)) == [name(2), name(1)]


def test_absence_is_read_again(database: SqlDatabase) -> None:
    with database.begin() as unit:
        tombs = unit.destructions
        for number in (1, 2, 3, 4):
            tombs.add(destruction(number))
        for number in (1, 2, 3):
            tombs.certify(certificate(number), [name(number)], at=NOW - number * DAY)

        def again(before_days: int) -> list[str]:
            found = tombs.to_recheck(since=NOW - 2 * DAY, before=NOW + before_days * DAY, limit=10)
            return stages(found)

        assert again(0) == [name(2), name(1)]
        tombs.note_rechecked([name(2), name(4)], NOW)
        assert again(0) == [name(1)]
        assert again(1) == [name(1), name(2)]


def test_destructions_newest_first(database: SqlDatabase) -> None:
    with database.begin() as unit:
        for number in range(5):
            unit.destructions.add(destruction(number, shredded_at=NOW + timedelta(minutes=number // 2)))
        first = unit.destructions.recent(2)
        assert stages(first) == [name(4), name(3)]
        after = (first[-1].shredded_at, first[-1].communication_id)
        assert stages(unit.destructions.recent(2, after=after)) == [name(2), name(1)]


# -- audit ---------------------------------------------------------------------------------------------------------


def entry(number: int, minutes: int = 0, target: str | None = "communication-1") -> Entry:
    return Entry(
        id=f"entry-{number}",
        at=NOW + timedelta(minutes=minutes),
        actor="user-1",
        act=Act.OPENED,
        target=target,
        purpose="verification",
        detail={"ranges": [[0, 10]], "ä": None, "n": 1},
        salt=bytes([number]) * 16,
    )


def append(database: SqlDatabase, *entries: Entry) -> None:
    with database.begin() as unit:
        for one in entries:
            unit.audit.append([(one, leaf_data(one))])
        unit.commit()


def sequence(database: SqlDatabase, limit: int) -> list[SequencedEntry]:
    """Numbers what waits, as the sequencer does."""
    with database.begin() as unit:
        head, waiting = unit.audit.head(), unit.audit.waiting(limit)
        growth = grow(head.size, unit.audit.tiles(edge(head.size)), leaf_hashes(one.leaf for one in waiting))
        unit.audit.sequence(head, [one.id for one in waiting], growth)
        unit.commit()
    with database.read() as unit:
        assert unit.audit.head() == TreeHead(size=growth.size, root=growth.root)
        return unit.audit.read(head.size, limit)


def test_entries_get_their_place_in_order_of_time(database: SqlDatabase) -> None:
    append(database, entry(1, 5), entry(3), entry(2), entry(4, 9, target=None))
    with database.read() as unit:
        assert unit.audit.head() == TreeHead(size=0, root=EMPTY_ROOT)
        assert [one.id for one in unit.audit.waiting(3)] == ["entry-2", "entry-3", "entry-1"]
        assert unit.audit.waiting(3)[2].leaf == leaf_data(entry(1, 5))
        assert unit.audit.oldest_waiting() == NOW
    sequenced = sequence(database, 3)
    assert sequenced[2] == SequencedEntry(entry=entry(1, 5), index=2, leaf=leaf_data(entry(1, 5)))
    with database.read() as unit:
        assert unit.audit.read(1, 1) == sequenced[1:2]
        assert [one.id for one in unit.audit.waiting(10)] == ["entry-4"]
        assert unit.audit.place_of("entry-1") == 2
        assert unit.audit.place_of("entry-4") is None
        about = unit.audit.about("communication-1", 2)
        assert [one.id for one in about] == ["entry-1", "entry-3"]


def test_a_sequencer_that_comes_second_is_refused(database: SqlDatabase) -> None:
    append(database, entry(1), entry(2))
    with database.read() as unit:
        start, waiting = unit.audit.head(), unit.audit.waiting(2)
    (first,) = sequence(database, 1)
    late = grow(0, {}, leaf_hashes([waiting[1].leaf]))
    with database.begin() as unit, pytest.raises(Conflict, match="another sequencer"):
        unit.audit.sequence(start, [waiting[1].id], late)
    with database.begin() as unit:
        head = unit.audit.head()
        again = grow(1, unit.audit.tiles(edge(1)), leaf_hashes([first.leaf]))
        with pytest.raises(Conflict, match="number already"):
            unit.audit.sequence(head, [first.entry.id], again)
    with database.read() as unit:
        assert unit.audit.head() == head
        assert unit.audit.tiles([(0, 0), (0, 1)]) == {(0, 0): leaf_hashes([first.leaf])[0]}
        assert len(unit.audit.read(0, 10)) == 1


def test_the_raw_text_of_an_entry_is_what_its_leaf_was_taken_from(database: SqlDatabase) -> None:
    """Whatever a text holds: the two databases write it as Python does."""
    odd = "".join(map(chr, range(1, 32))) + '\x7f"\\/äö€😀\u2028'
    strange = replace(entry(1), actor=odd, target=None, detail={odd: [odd, 1, None, True]})
    append(database, strange, replace(entry(2), at=NOW.replace(microsecond=7)))
    sequenced = sequence(database, 5)
    with database.read() as unit:
        rows = unit.audit.raw(0, 9)
        assert (unit.audit.raw(1, 1), unit.audit.beyond(1), unit.audit.beyond(2)) == ([], 1, None)
    found = {index: hashlib.sha256(b"\0" + said).digest() for index, said in rows}
    assert found == {one.index: one.leaf for one in sequenced}


def test_what_ended_leaves_its_number(database: SqlDatabase) -> None:
    append(database, *(entry(number, number) for number in range(5)))
    sequence(database, 4)
    with database.begin() as unit:
        assert unit.audit.end(["entry-2", "entry-0", "entry-4", "nobody"], said_in="entry-3") == [0, 2]
        unit.commit()
    with database.read() as unit:
        assert [one.index for one in unit.audit.read(0, 9)] == [1, 3]
        assert unit.audit.ended(1, 9) == [Ended(index=2, said_in="entry-3")]
        assert set(unit.audit.find_all(["entry-1", "entry-2"])) == {"entry-1"}
        with pytest.raises(NotFound, match="ended"):
            unit.audit.find("entry-0")


def test_an_entry_is_written_once(database: SqlDatabase) -> None:
    append(database, entry(1))
    with pytest.raises(Conflict):
        append(database, entry(1))
