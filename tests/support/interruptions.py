"""Journeys that a test interrupts, what must hold right after, and the way on to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from recvault.domain.access import Role
from recvault.domain.communication import Party, PartyKind, Receipt
from recvault.domain.errors import Unavailable
from tests.support.aftermath import End, end_of, look
from tests.support.archives import Parts, World, make_world, memory_parts
from tests.support.faults import Plan, PowerCut
from tests.support.worlds import another_process

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 100
STRANGER = Party(kind=PartyKind.TEL, value="+358401234999", as_sent="040 1234999")

Step = Callable[[World], None]


def hold(world: World, receipt: Receipt, days: int = 400) -> str:
    """A hold on one communication; its id."""
    answer = world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER),
        reason="claim",
        review_on=(world.clock.now() + timedelta(days=days)).date(),
        communication_id=receipt.id,
    )
    return answer.hold.id


# --- journeys: what is there before, what is interrupted, and the way on from there


def nothing(world: World) -> None:
    """A fresh archive."""


def upload(world: World) -> None:
    """Calls of a customer, of a stranger, and an old one; each sent until it is acknowledged."""
    for number in (1, 2):
        world.store(f"call-{number}", CALL + bytes([number]))
    world.store("stranger", CALL + b"s", remote=STRANGER)
    long_ago = world.clock.now() - timedelta(days=900)
    world.store("old", CALL + b"o", started_at=long_ago, ended_at=long_ago + timedelta(minutes=1))


def one_due(world: World) -> None:
    world.store("call-1", CALL)
    world.later(days=190)


def several_due(world: World) -> None:
    """Due: a customer's, a stranger's, one held. Not due: one of a case."""
    world.store("call-1", CALL + b"1")
    world.store("call-2", CALL + b"2")
    world.store("stranger", CALL + b"s", remote=STRANGER)
    hold(world, world.store("held", CALL + b"h", remote=STRANGER))
    world.store("case", CALL + b"c", case_ref="T-9")
    world.later(days=190)


def purge(world: World) -> None:
    """The night, and the ticks of the minutes after it; the lease of whoever stopped is over by the next."""
    for _ in range(3):
        world.archive.purge.run("worker-1")
        world.later(minutes=6)


def purge_until_the_month_is_over(world: World) -> None:
    purge(world)
    world.later(days=32)
    purge(world)


JOURNEYS: dict[str, tuple[Step, Step]] = {
    "upload": (nothing, upload),
    "purge of one": (one_due, purge),
    "purge of several": (several_due, purge),
}


def come_to_rest(world: World, parts: Parts, act: Step) -> End:
    """A process without faults follows the ledger and, leases being over, does the same again; sweeps a day later."""
    world.later(minutes=6)
    with another_process(world, parts) as after:
        after.archive.ledger.replay()
        act(after)
        world.later(hours=25)
        after.archive.sweeper.run()
        return end_of(parts, after.archive)


@contextmanager
def named(plan: Plan) -> Iterator[None]:
    """A failure inside says where the fault struck."""
    try:
        yield
    except Exception as failure:
        failure.add_note(f"the fault struck {plan.when} call {plan.at}: {plan.struck}")
        raise


def interrupted(world: World, parts: Parts, act: Step, plan: Plan) -> None:
    """The journey in a process that the fault strikes as planned; then what must hold at every moment."""
    with another_process(world, parts, plan) as victim:
        try:
            act(victim)
        except (PowerCut, Unavailable):
            assert plan.struck
    with another_process(world, parts) as witness:
        look(parts, witness.archive)


def reference(prepare: Step, act: Step, plan: Plan | None = None) -> tuple[End, int]:
    """The end without a fault, and how many calls there are to strike at."""
    parts = memory_parts()
    plan = plan or Plan()
    with (world := make_world(parts=parts)).archive:
        prepare(world)
        interrupted(world, parts, act, plan)
        return come_to_rest(world, parts, act), len(plan.calls)
