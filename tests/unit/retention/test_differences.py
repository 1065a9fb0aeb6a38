"""What a new policy changes is told completely; a trial's tally grows with days and kinds, not with rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from recvault.domain.durations import parse
from recvault.domain.retention import Match, Policy
from recvault.domain.retention.differences import Kind, differences
from recvault.domain.retention.statutes import Basis, Statute
from recvault.domain.retention.trial import Shift, Trial, shift_of
from tests.unit.retention.samples import CONTACT, HELSINKI, SHIPPED, after, policy, quick, rule, some_policies


def test_nothing_differs_but_the_version() -> None:
    assert differences(SHIPPED, replace(SHIPPED, version="other")) == ()


def test_rules_come_go_and_change() -> None:
    old = policy(rule("any"), rule("calls", match=Match(channels=frozenset({"call"})), priority=1))
    new = policy(rule("any", keep=parse("P7M")), rule("mail", priority=2), ceiling=replace(old.ceiling, why="shorter"))
    new = replace(
        new,
        statutes=(Statute(code="x", name="x", keep=parse("P1Y"), basis=Basis.CONTACT, source="y"),),
    )
    found = [(one.kind, one.where, one.key) for one in differences(old, new)]
    assert found == [
        (Kind.CHANGED, "ceiling", "why"),
        (Kind.CHANGED, "rule.any", "cap"),
        (Kind.CHANGED, "rule.any", "keep"),
        (Kind.REMOVED, "rule.calls", ""),
        (Kind.ADDED, "rule.mail", ""),
        (Kind.ADDED, "statute.x", ""),
    ]
    keep = next(one for one in differences(old, new) if one.key == "keep")
    assert (keep.before, keep.after) == ("P6M", "P7M")


@quick
@given(some_policies(), some_policies())
def test_policies_differ_exactly_when_their_digests_do(first: Policy, second: Policy) -> None:
    same_version = replace(second, version=first.version)
    assert (differences(first, same_version) == ()) == (first.digest == same_version.digest)


def test_how_an_end_moves() -> None:
    now, soon, late = after("P1M"), after("P2M"), after("P3M")
    assert shift_of(late, late, now) is Shift.SAME
    assert shift_of(soon, late, now) is Shift.LATER
    assert shift_of(late, soon, now) is Shift.SOONER
    assert shift_of(late, now, now) is Shift.NOW
    assert shift_of(now, CONTACT, now) is Shift.SOONER  # due it was already


def test_the_tally_stays_small() -> None:
    trial = Trial(version="x")
    for number in range(5000):
        before = CONTACT + timedelta(minutes=number)
        trial.count(Shift.SOONER, ("b2b", None)[number % 2], before, before - timedelta(days=30), HELSINKI)
    assert trial.rows == trial.total(Shift.SOONER) == 5000
    assert len(trial.by_day()) <= 2 * 2 * 5
    assert sum(before for *_, before, _ in trial.by_day()) == sum(row[3] for row in trial.by_day()) == 5000
