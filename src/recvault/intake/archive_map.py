"""The map of an old recorder's files: which file is which communication, and when it took place.

Invariants: one row is in memory at a time; a bad row does not stop the rest, and its fault tells the line and repeats
nothing of it. Unlike a fresh upload, an old recording is not lost when its row is refused, so a row whose time cannot
be read *is* refused: taken in with the time of the import it would be kept too long. A zone is never guessed; times
without one are read in the zone that the operator named, else refused (of the hour that comes twice in autumn, the
first is meant). Which files there are, and what becomes of a row, is decided elsewhere.

The file is a CSV (or JSON) file as in ``register_file``, headings in Finnish or English. Values mean what they mean in
the metadata of an upload (``intake.submission``); further: ``duration`` (seconds, or ``[h:]mm:ss``) stands in for
``ended_at``; several ``tags`` stand between ``|``; channel, direction and ``answered`` may be Finnish.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from recvault.domain.errors import InvalidInput
from recvault.domain.register_records import RowFault
from recvault.intake.moments import read_moment
from recvault.intake.register_file import numbered_rows
from recvault.intake.register_values import field_name

MAP_FIELDS: Mapping[str, str] = {
    "file": "file", "tiedosto": "file", "path": "file", "polku": "file", "recording": "file", "tallenne": "file",
    "source_id": "source_id", "id": "source_id", "tunniste": "source_id", "call_id": "source_id",
    "channel": "channel", "kanava": "channel",
    "direction": "direction", "suunta": "direction",
    "started_at": "started_at", "start": "started_at", "alkoi": "started_at", "alku": "started_at",
    "alkuaika": "started_at",
    "ended_at": "ended_at", "end": "ended_at", "paattyi": "ended_at", "loppu": "ended_at", "loppuaika": "ended_at",
    "duration": "duration", "kesto": "duration",
    "remote": "remote", "asiakkaan_numero": "remote", "numero": "remote", "vastapuoli": "remote",
    "local": "local", "oma_numero": "local",
    "agent": "agent", "agentti": "agent", "kasittelija": "agent", "alanumero": "agent",
    "team": "team", "tiimi": "team", "queue": "queue", "jono": "queue",
    "customer_number": "customer_number", "asiakasnumero": "customer_number", "asiakasnro": "customer_number",
    "business_id": "business_id", "y_tunnus": "business_id", "ytunnus": "business_id",
    "case_ref": "case_ref", "case": "case_ref", "tapaus": "case_ref",
    "tags": "tags", "tunnisteet": "tags", "avainsanat": "tags",
    "answered": "answered", "vastattu": "answered",
    "media_type": "media_type", "mediatyyppi": "media_type", "subject": "subject", "aihe": "subject",
    "notice_ref": "notice_ref", "seloste": "notice_ref", "sha256": "sha256", "length": "length", "pituus": "length",
}  # fmt: skip
"""Names that headings may have, folded by ``field_name``, and the field they mean."""

PATH_LENGTH = 4096
DURATION_LIMIT = timedelta(days=7)
"""No contact lasts longer; a number beyond it is a slip of units."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "channel": {"puhelu": "call", "sähköposti": "email", "tekstiviesti": "sms", "pikaviesti": "chat"},
    "direction": {
        "saapuva": "inbound",
        "in": "inbound",
        "lähtevä": "outbound",
        "out": "outbound",
        "sisäinen": "internal",
    },
}
_ANSWERED = {
    **dict.fromkeys(("true", "yes", "y", "1", "x", "kyllä", "k"), True),
    **dict.fromkeys(("false", "no", "n", "0", "ei", "e"), False),
}
_PLAIN = ("local", "remote", "agent", "team", "queue", "case_ref", "subject", "notice_ref", "sha256", "length")
_FINNISH = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:\s+klo)?\s+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})[ _-]?(\d{2})(\d{2})(\d{2})", re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}(?:[.,]\d{1,6})?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class MapRow:
    """One file of the old recorder: ``parts`` are its path below the folder, ``said`` the metadata of its upload."""

    parts: tuple[str, ...]
    said: Mapping[str, Any]

    @property
    def file(self) -> str:
        """The path as one text, with ``/``."""
        return "/".join(self.parts)


def read_archive_map(stream: BinaryIO, *, zone: ZoneInfo | None = None) -> Iterator[tuple[int, MapRow | RowFault]]:
    """Line and meaning of each row. ``zone`` is that of times which carry none; without it they are refused.

    InvalidInput when it is no such file at all.
    """
    return numbered_rows(stream, partial(parse_map_row, zone=zone), MAP_FIELDS, ({"file"}, {"started_at"}))


def parse_map_row(sent: object, *, zone: ZoneInfo | None = None) -> MapRow:
    """What one row says; InvalidInput names the field and the mend, and repeats nothing of the row."""
    cells = _cells(sent)
    parts = below(cells.get("file", ""))
    started = _moment(cells, "started_at", zone)
    if started is None:
        raise InvalidInput("started_at is empty; write when the contact began")
    ended = _moment(cells, "ended_at", zone) or _after(started, cells.get("duration"))
    said: dict[str, Any] = {name: cells[name] for name in _PLAIN if name in cells}
    said |= {name: words.get(cells[name].lower(), cells[name]) for name, words in _WORDS.items() if name in cells}
    customer = {"number": cells.get("customer_number"), "business_id": cells.get("business_id")}
    said |= {
        "source_id": cells.get("source_id", "/".join(parts)),
        "started_at": started.isoformat(),
        "ended_at": None if ended is None else ended.isoformat(),
        "filename": parts[-1],
        "media_type": cells.get("media_type") or mimetypes.guess_type(parts[-1])[0],
        "customer": {name: value for name, value in customer.items() if value} or None,
        "tags": [tag.strip() for tag in cells["tags"].split("|") if tag.strip()] if "tags" in cells else None,
        "answered": _answered(cells.get("answered")),
    }
    return MapRow(parts=parts, said={name: value for name, value in said.items() if value is not None})


def below(path: str) -> tuple[str, ...]:
    """The parts of a path below the folder. A ``\\`` counts as ``/`` (maps come from Windows). InvalidInput when it is
    empty, absolute, or leads out of the folder; whether links lie on its way is seen when it is opened."""
    plain = path.replace("\\", "/")
    parts = tuple(part for part in plain.split("/") if part not in ("", "."))
    if not parts:
        raise InvalidInput("file is empty; write its path below the folder")
    if plain.startswith("/") or re.match(r"[A-Za-z]:", plain) or ".." in parts:
        raise InvalidInput("file leads out of the folder; write its path below the folder, without '..'")
    if "\0" in plain or len(plain) > PATH_LENGTH:
        raise InvalidInput("file is no path; write its path below the folder")
    return parts


def _cells(sent: object) -> dict[str, str]:
    """The cells that hold something, by field."""
    if not isinstance(sent, Mapping):
        raise InvalidInput("the row is not an object; send {...}")
    cells: dict[str, str] = {}
    for key, value in sent.items():
        field = MAP_FIELDS.get(field_name(str(key)))
        if field is None or field in cells:
            raise InvalidInput("the row has an unknown field, or one twice; see the headings in the manual")
        if not isinstance(value, str):
            raise InvalidInput(f"{field} is no text; write it as text")
        if _broken(value):
            raise InvalidInput(f"{field} is not UTF-8; save the map as UTF-8")
        if value.strip():
            cells[field] = value if field == "file" else value.strip()
    return cells


def _broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _moment(cells: Mapping[str, str], name: str, zone: ZoneInfo | None) -> datetime | None:
    text = cells.get(name)
    if text is None:
        return None
    moment = read_moment(text)
    if moment is not None:
        return moment
    local = _local(text)
    if local is None:
        raise InvalidInput(f"{name} is no time; write 2023-01-31 14:05:00, 31.1.2023 14:05 or RFC 3339")
    if zone is None:
        raise InvalidInput(f"{name} has no zone; write it behind the time, or name the recorder's with --time-zone")
    try:
        moment = read_moment(local.replace(tzinfo=zone).astimezone(UTC).isoformat())
    except OverflowError:  # in the year 1 or 9999
        moment = None
    if moment is None:
        raise InvalidInput(f"{name} lies before 1970 or far ahead; write when the contact took place")
    return moment


def _local(text: str) -> datetime | None:
    """A time without a zone, as recorders and spreadsheets write it; None when it is none, or only a day."""
    finnish, compact = _FINNISH.fullmatch(text), _COMPACT.fullmatch(text)
    try:
        if finnish is not None:
            day, month, year, hour, minute, second = (int(number or 0) for number in finnish.groups())
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone is put to it afterwards
        if compact is not None:
            return datetime(*(int(number) for number in compact.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is None and len(text) > len("2023-01-31") else None


def _after(started: datetime, duration: str | None) -> datetime | None:
    if duration is None:
        return None
    clock = _CLOCK.fullmatch(duration)
    if clock is not None:
        hours, minutes, seconds = (int(number or 0) for number in clock.groups())
        span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    elif _SECONDS.fullmatch(duration):
        span = timedelta(seconds=float(duration.replace(",", ".")))
    else:
        raise InvalidInput("duration is none; write seconds, or 5:23, or 1:05:23")
    if span > DURATION_LIMIT:
        raise InvalidInput(f"duration is over {DURATION_LIMIT.days} days; write seconds, or 5:23, or 1:05:23")
    return started + span


def _answered(text: str | None) -> bool | None:
    if text is None:
        return None
    if text.lower() not in _ANSWERED:
        raise InvalidInput("answered is neither yes nor no; write yes, no, kyllä or ei, or leave it empty")
    return _ANSWERED[text.lower()]
