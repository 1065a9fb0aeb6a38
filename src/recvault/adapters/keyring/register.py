"""What is noted beside the keys: places, offline copies, the recovery key, a change of the root key, anchors.

All of it is sealed and replicated with the keys, so it cannot be edited or rolled back apart from them. Invariants: a
place that was lost stays on the register for good, also when it is found or another takes its name (one entry a stay);
an offline copy stays for good, whatever became of it: certificates name both.

Functions from a table to values and from values to notes; the changes themselves are ``ceremonies``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from recvault.adapters.keyring.records import CONFIRMED, KeyTable
from recvault.domain.errors import KeyringError
from recvault.domain.ports.keyring import Loss, LostPlace, OfflineCopy

ANCHOR = "anchor/"
PLACE = "place/"
COPY = "copy/"
RECOVERY = "kit/recovery"
"""The public half of the recovery key, in base64, where the root key itself cannot be printed."""
CHANGE = "root/change"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stay:
    """A place's time on the register: ``lost_at`` when a person declared it lost, ``ended_at`` when it was taken off (of
    a lost one: found and wiped). It is live while neither is set."""

    place: str
    number: int
    added_at: datetime
    lost_at: datetime | None = None
    loss: Loss | None = None
    ended_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether keys need this place."""
        return self.lost_at is None and self.ended_at is None


@dataclass(frozen=True, kw_only=True, slots=True)
class RootChange:
    """The last change of the root key: the ids before and after, when it was decided, and since when the former one is no
    more."""

    before: str
    after: str
    at: datetime
    ended_at: datetime | None = None


def stays(table: KeyTable) -> tuple[Stay, ...]:
    """Everything on the register, by place and in order of time."""
    found = []
    for name, text in table.noted(PLACE).items():
        place, _, number = name.rpartition("/")
        found.append(Stay(place=place, number=int(number), **_values(text)))
    return tuple(sorted(found, key=lambda stay: (stay.place, stay.number)))


def members(table: KeyTable) -> frozenset[str]:
    """The places that every key needs; empty in a table from before the register."""
    return frozenset(stay.place for stay in stays(table) if stay.live)


def last_stay(table: KeyTable, place: str) -> Stay | None:
    """The newest entry of a place."""
    return next((stay for stay in reversed(stays(table)) if stay.place == place), None)


def with_places(table: KeyTable, places: Iterable[str], at: datetime) -> KeyTable:
    """The table with new stays of these places, from now on."""
    notes = {}
    for place in places:
        last = last_stay(table, place)
        stay = Stay(place=place, number=1 if last is None else last.number + 1, added_at=at)
        notes.update(_place_note(stay))
    return table.with_notes(notes)


def without_place(table: KeyTable, place: str, at: datetime) -> KeyTable:
    """The table in which a place's last stay has ended."""
    return table.with_notes(_place_note(replace(_known(table, place), ended_at=at)))


def with_loss(table: KeyTable, place: str, loss: Loss, at: datetime) -> KeyTable:
    """The table in which a live place is lost; the same one when it is lost already. KeyringError when it is not live."""
    stay = _known(table, place)
    if stay.lost_at is not None and stay.ended_at is None:
        return table
    if not stay.live:
        raise KeyringError(f"the place {place} was taken off the register before; nothing is left there to lose")
    return table.with_notes(_place_note(replace(stay, lost_at=at, loss=loss)))


def lost_places(table: KeyTable) -> tuple[LostPlace, ...]:
    """The places that were declared lost, the found ones included."""
    return tuple(
        LostPlace(place=s.place, added_at=s.added_at, lost_at=s.lost_at, loss=s.loss, found_at=s.ended_at)
        for s in stays(table)
        if s.lost_at is not None and s.loss is not None
    )


def offline_copies(table: KeyTable) -> tuple[OfflineCopy, ...]:
    """All offline copies ever written, the oldest first."""
    copies = [OfflineCopy(id=copy_id, **_values(text)) for copy_id, text in table.noted(COPY).items()]
    return tuple(sorted(copies, key=lambda copy: (copy.made_at, copy.id)))


def with_copy(table: KeyTable, copy: OfflineCopy) -> KeyTable:
    """The table with this copy, or with what became of it."""
    return table.with_notes(
        {COPY + copy.id: _text(made_at=copy.made_at, expires_at=copy.expires_at, ended_at=copy.ended_at)}
    )


def recovery_public(table: KeyTable) -> bytes | None:
    """The public half of the recovery key (X25519, 32 bytes)."""
    held = table.note(RECOVERY)
    return None if held is None else base64.b64decode(held)


def with_recovery(table: KeyTable, public: bytes | None) -> KeyTable:
    """The table with this recovery key; its kit is not confirmed."""
    text = "" if public is None else base64.b64encode(public).decode()
    return table.with_notes({RECOVERY: text, CONFIRMED: ""})


def root_change(table: KeyTable) -> RootChange | None:
    """The last change of the root key."""
    held = table.note(CHANGE)
    return None if held is None else RootChange(**_values(held))


def with_root_change(table: KeyTable, change: RootChange, public: bytes | None) -> KeyTable:
    """The table with a new root key noted, its recovery key, and no confirmation of its kit."""
    return with_recovery(with_root_ended(table, change), public)


def with_root_ended(table: KeyTable, change: RootChange) -> KeyTable:
    """The table with what became of the last change."""
    return table.with_notes({CHANGE: _text(**asdict(change))})


def _known(table: KeyTable, place: str) -> Stay:
    stay = last_stay(table, place)
    if stay is None:
        known = ", ".join(sorted({each.place for each in stays(table)})) or "none"
        raise KeyringError(f"no place {place} is on the keyring's register (there are: {known}); check the name")
    return stay


def _place_note(stay: Stay) -> dict[str, str]:
    values = asdict(stay)
    name = f"{PLACE}{values.pop('place')}/{values.pop('number')}"
    return {name: _text(**values)}


def _text(**values: object) -> str:
    told = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
    return json.dumps({name: value for name, value in told.items() if value is not None}, sort_keys=True)


def _values(text: str) -> dict[str, Any]:
    values = json.loads(text)
    for name in [name for name in values if name == "at" or name.endswith("_at")]:
        values[name] = datetime.fromisoformat(values[name])
    if "loss" in values:
        values["loss"] = Loss(values["loss"])
    return dict(values)
