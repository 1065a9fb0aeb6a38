"""Where the pages are: one table of sections and entries, and which of them a person is shown.

Keeps: an entry is shown to whom its page would open; a section without entries is not shown. Left to others: what may be done
(services), how it looks (``base.html``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recvault.domain.access import Action, visible_sets
from recvault.interfaces.web.words import N_

if TYPE_CHECKING:
    from recvault.interfaces.web.pages import Page

Shown = Callable[["Page"], bool]
Counted = Callable[["Page"], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One page: ``key`` is what its template sets as ``active``; ``waiting`` counts what waits there for the person."""

    key: str
    path: str
    label: str
    shown: Shown
    waiting: Counted | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Pages of one kind of work, under a heading."""

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """An entry as the person sees it."""

    key: str
    path: str
    label: str
    waiting: int


def may(action: Action) -> Shown:
    """Shown to whose roles grant the act."""
    return lambda page: page.may(action)


def _searches(page: Page) -> bool:
    return bool(visible_sets(page.actor, None, page.now))


def _to_decide(page: Page) -> int:
    """How many proposals of others wait for this person's decision."""
    if not page.may(Action.APPROVAL_DECIDE):
        return 0
    return sum(one.proposed_by != page.actor.id for one in page.archive.approvals.open())


SECTIONS: tuple[Section, ...] = (
    Section(
        label=N_("Communications"),
        entries=(Entry(key="search", path="/", label=N_("Search"), shown=_searches),),
    ),
    Section(
        label=N_("Decisions"),
        entries=(
            Entry(
                key="approvals",
                path="/approvals",
                label=N_("Approvals"),
                shown=may(Action.APPROVAL_LIST),
                waiting=_to_decide,
            ),
            Entry(key="holds", path="/holds", label=N_("Holds"), shown=may(Action.HOLD_LIST)),
            Entry(key="disclosures", path="/disclosures", label=N_("Disclosures"), shown=may(Action.DISCLOSE)),
        ),
    ),
    Section(
        label=N_("The promise"),
        entries=(
            Entry(
                key="destructions", path="/destructions", label=N_("Destructions"), shown=may(Action.CERTIFICATE_READ)
            ),
        ),
    ),
    Section(
        label=N_("Oversight"),
        entries=(
            Entry(key="log", path="/log", label=N_("Audit log"), shown=may(Action.AUDIT_READ)),
            Entry(key="review", path="/review", label=N_("Access review"), shown=may(Action.ACCESS_REVIEW)),
        ),
    ),
    Section(
        label=N_("Administration"),
        entries=(
            Entry(key="roles", path="/roles", label=N_("Roles"), shown=may(Action.ROLE_GRANT)),
            Entry(key="break_glass", path="/break-glass", label=N_("Break-glass"), shown=may(Action.BREAK_GLASS)),
        ),
    ),
)


def navigation(page: Page) -> list[tuple[str, list[Link]]]:
    """The sections with the entries that this person is shown."""
    found = ((section.label, list(_links(page, section.entries))) for section in SECTIONS)
    return [(label, links) for label, links in found if links]


def _links(page: Page, entries: Iterable[Entry]) -> Iterable[Link]:
    for one in entries:
        if one.shown(page):
            waiting = 0 if one.waiting is None else one.waiting(page)
            yield Link(key=one.key, path=one.path, label=page.wording.text(one.label), waiting=waiting)
