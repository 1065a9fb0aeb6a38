"""Languages of the desk: catalogues read once from their .po files, templates per language, dates, sizes and numbers.

English is the language of the sources and needs no catalogue; a further language is one more folder beside ``fi``, with a
file for each part of the desk.
Moments are shown in the archive's own time zone, whatever the browser's.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files

from babel import dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, PackageLoader, StrictUndefined

from recvault.interfaces.web.words import N_

DEFAULT = "fi"
LANGUAGES: Mapping[str, str] = {"fi": "Suomi", "en": "English"}
"""Code and own name, in the order of the switch."""

LOCALES: Mapping[str, str] = {"fi": "fi_FI", "en": "en_GB"}

UNKNOWN = "\u2013"
"""Stands where a value is not known."""

SOON = timedelta(hours=48)
"""An end that is nearer than this is told with its time of day."""

_UNITS = ((N_("%s GB"), 10**9), (N_("%s MB"), 10**6), (N_("%s kB"), 10**3))
_PACKAGE = files("recvault.interfaces.web")


@cache
def translations(code: str) -> NullTranslations:
    """The catalogue of a language; for English, the sources themselves."""
    folder = _PACKAGE / "translations" / code
    if not folder.is_dir():
        return NullTranslations()
    whole = Catalog(locale=code)
    for part in sorted(folder.iterdir(), key=lambda file: file.name):
        if part.name.endswith(".po"):
            for message in read_po(io.BytesIO(part.read_bytes()), locale=code):
                whole[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return Translations(compiled)


@cache
def templates(code: str) -> Environment:
    """The templates in a language; everything put into them is escaped, and an unknown name is an error."""
    environment = Environment(
        loader=PackageLoader("recvault.interfaces.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(translations(code), newstyle=True)  # type: ignore[attr-defined]
    return environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How values are written for one reader. ``now`` decides what counts as past or soon."""

    code: str
    zone: tzinfo
    now: datetime

    @property
    def locale(self) -> str:
        """The locale of dates and numbers."""
        return LOCALES[self.code]

    def text(self, message: str) -> str:
        """The message in this language; itself where the catalogue has none."""
        return translations(self.code).gettext(message) if message else ""

    def word(self, words: Mapping[str, str], code: str) -> str:
        """What a code is called; the code itself where the table has none."""
        return self.text(words[code]) if code in words else code

    def day(self, moment: datetime | date) -> str:
        """The day, as ``22.11.2026`` or ``22 Nov 2026``."""
        local = moment.astimezone(self.zone) if isinstance(moment, datetime) else moment
        return dates.format_date(local, "d.M.y" if self.code == "fi" else "d MMM y", locale=self.locale)

    def clock(self, moment: datetime) -> str:
        """The time of day, as ``14.05`` or ``14:05``."""
        pattern = "H.mm" if self.code == "fi" else "HH:mm"
        return dates.format_time(moment.astimezone(self.zone), pattern, tzinfo=self.zone, locale=self.locale)

    def moment(self, moment: datetime) -> str:
        """Day and time of day."""
        return self.text("%(day)s at %(time)s") % {"day": self.day(moment), "time": self.clock(moment)}

    def end(self, moment: datetime) -> str:
        """The day of an end, with its time of day when it is near."""
        return self.moment(moment) if abs(moment - self.now) < SOON else self.day(moment)

    def past(self, moment: datetime) -> bool:
        """Whether the moment has come."""
        return moment <= self.now

    def iso_day(self, moment: datetime) -> str:
        """The day as HTML's date input wants it."""
        return moment.astimezone(self.zone).date().isoformat()

    def duration(self, seconds: float | None) -> str:
        """Hours, minutes and seconds, as ``5 min 12 s``; a dash when unknown."""
        if seconds is None:
            return UNKNOWN
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"{hours} h {minutes} min"
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"

    def size(self, length: int) -> str:
        """Bytes in decimal units with one decimal."""
        for unit, factor in _UNITS:
            if length >= factor:
                return self.text(unit) % numbers.format_decimal(length / factor, "#,##0.0", locale=self.locale)
        return self.text("%s B") % length

    def capital(self, text: str) -> str:
        """With a capital first and no space around; what is escaped stays so."""
        text = text.strip()
        return text[:1].upper() + text[1:]

    def count(self, number: float) -> str:
        """A number with its groups."""
        return numbers.format_decimal(number, locale=self.locale)
