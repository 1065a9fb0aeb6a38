"""Prints docs/PERMISSIONS.md from the permission table of the program: ``scripts/permissions.py > docs/PERMISSIONS.md``.

The table is ``recvault.domain.access.TABLE`` and nothing else; ``tests/documents/test_permissions.py`` compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from recvault.domain.access import NEEDS_APPROVAL, TABLE, Action, Role, Rule
from recvault.domain.approvals import DELAYS, ProposalKind
from recvault.domain.grants import BREAK_GLASS_LONGEST
from recvault.domain.purpose import Purpose

INTRODUCTION = """\
# Permissions

Made from `TABLE` in `src/recvault/domain/access.py` by `scripts/permissions.py`; `tests/documents/test_permissions.py` fails
when the two differ, and `tests/unit/test_access.py` compares the table with the roles as they were designed. What stands in no
cell is refused to everybody.

A cell names the purposes that the role may give for the act; `yes` where the act asks for none. *own*: only calls of one's own.
*released*: only what was released to this person.

Further limits, for every role: a grant counts inside its dates; acts on one communication (marked \\*) also need it inside the
grant's scope (all, teams or queues) and not destroyed; `verification` and `training` must still be live for it; content under
restriction is neither opened nor released. A search shows only what the role, its scope and a live purpose let one open.
"""

FOOTER = """\
`ingest` is decided by the source's token, which carries no role. Sweeping after a restore, signing a policy and
giving keys anew are commands on the archive's own machine (`--as`). Every other act has its doors:
`src/recvault/interfaces/doors.py` says which, and `tests/system/test_every_door.py` walks every method and path of
API and desk with every role, on calls of the own and of another team, in every state, and compares with this table. A
door that is not declared fails that test.

## Giving and taking roles

Taking a role away is immediate, and so is giving one that opens and approves nothing ({free}). The others ({guarded})
are proposed by an administrator, approved by another person, and begin {delay} hours later; meanwhile an approver can
refuse and the proposer withdraw, an alarm is mailed, and the person sees it at the desk. A wider scope or a later end
counts as a new role. Nobody approves a role for themselves, and two accounts of one person (`recvault user person`)
count as one person.

The one way past this: on the archive's own machine, while nobody can approve. So make the first accounts with
`recvault user add`, the approver last. Each such grant stands in the audit log with `bootstrap`.

Break-glass gives one role for 1 to {break_glass} hours as soon as another person approves it: with an alarm, in the
review of the week, and it ends by itself. It makes no approver. A disclosure to an authority always takes two people,
whatever `approvals.mode` says, and is authorised for 7 days, for the one who asked. Nothing exports content in bulk,
and no role may.

At the command line (`--as`) these are asked for only where second factors are off: it takes no proof of the person.
Taking a role away, and what the machine's operator gives while nobody can approve, need none.

## Purposes and references

`verification` takes a case reference as `access.case_reference` says (else a reason of the list) and must still be
live; `training` must still be live. `request` and `authority` exist inside their workflow only: searching, viewing and
opening for `request` take the reference of the request (`access.request_pattern`), for `authority` the id of an
approved disclosure. A disclosure names the communications that it covers, or a customer and a time; another one is
refused under it, and a search is narrowed to it. It is asked again at every range of a playback: when it expires, or a
privacy handler ends it, the next range is refused.

## How much

One person opens `access.opens_per_hour` recordings and searches or views `access.searches_per_hour` times in an hour
of the clock (UTC), counted in the database over all processes and all accounts of the person; one more is 429 with
`Retry-After`. Playing a recording that was opened is not counted again.

An alarm is raised for a day (UTC) on which somebody opened at least `access.unusual_opens` recordings and more than
`access.unusual_times` times their usual day (the mean of the days with openings of the four weeks before), or
recordings of `access.unusual_customers` different customers. Who listens steadily too much is usual by this rule: the
weekly review shows it.

Every week (Monday to Sunday, UTC) a team lead is shown who reaches the team, by which role, who opened how much for
which purpose, unusual days, break-glass and accounts unused for 90 days (`/review`, `recvault review`), and confirms
it; the mail that it waits names nobody.
"""

ONE = (Action.VIEW, Action.OPEN, Action.DO_NOT_KEEP, Action.RELEASE)


def document() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_table(), "", _footer()])


def _footer() -> str:
    people = [role for role in Role if role is not Role.SOURCE]
    return FOOTER.format(
        free=", ".join(_word(role) for role in people if role not in NEEDS_APPROVAL),
        guarded=", ".join(_word(role) for role in people if role in NEEDS_APPROVAL),
        delay=DELAYS[ProposalKind.GRANT_ROLES] // timedelta(hours=1),
        break_glass=BREAK_GLASS_LONGEST // timedelta(hours=1),
    )


def _word(role: Role) -> str:
    return role.value.replace("_", " ")


def _table() -> Iterator[str]:
    yield "| act | " + " | ".join(role.value.replace("_", " ") for role in Role) + " |"
    yield "|---|" + "---|" * len(Role)
    for action in Action:
        mark = " \\*" if action in ONE else ""
        cells = [_cell(TABLE.get(action, {}).get(role)) for role in Role]
        yield f"| `{action.value}`{mark} | " + " | ".join(cells) + " |"


def _cell(rule: Rule | None) -> str:
    if rule is None:
        return ""
    words = [purpose.value for purpose in Purpose if purpose in rule.purposes] or ["yes"]
    limits = [name for name, limited in (("own", rule.own), ("released", rule.released)) if limited]
    return ", ".join([" or ".join(words), *limits])


if __name__ == "__main__":
    print(document(), end="")
