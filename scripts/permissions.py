"""Prints docs/PERMISSIONS.md from the permission table of the program: ``scripts/permissions.py > docs/PERMISSIONS.md``.

The table is ``recvault.domain.access.TABLE`` and nothing else; ``tests/documents/test_permissions.py`` compares.
"""

from __future__ import annotations

from collections.abc import Iterator

from recvault.domain.access import TABLE, Action, Role, Rule
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
`ingest` is decided by the source's token, which carries no role. Managing accounts and reading the audit log have no address
of the API yet: they are commands on the archive's own machine.
"""

ONE = (Action.VIEW, Action.OPEN, Action.DO_NOT_KEEP, Action.RELEASE)


def document() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_table(), "", FOOTER])


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
