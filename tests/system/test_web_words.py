"""Every word of the page is translated: nothing missing, nothing left over, no text outside the catalogue's reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import recvault.interfaces.web
from recvault.config import Config
from recvault.domain.access import Role
from recvault.domain.audit import Act, Entry
from recvault.domain.communication import Attention, Channel, Direction
from recvault.domain.destruction import Stage, Trigger
from recvault.domain.purpose import Purpose
from recvault.interfaces.web import log_words, words
from recvault.interfaces.web.languages import LANGUAGES, LOCALES, Wording, translations

WEB = Path(recvault.interfaces.web.__file__).parent
CATALOGUES = sorted(path for path in (WEB / "translations").iterdir() if path.is_dir())
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
PLACEHOLDER = re.compile(r"%\(\w+\)s|%s")


def used() -> set[str]:
    found = extract_from_dir(str(WEB), METHODS, keywords={"_": None, "N_": None, "text": None})
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


def parts(folder: Path) -> dict[str, Catalog]:
    found = {}
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            found[path.name] = read_po(file, locale=folder.name)
    return found


def test_every_language_of_the_switch_has_its_words() -> None:
    assert {folder.name for folder in CATALOGUES} | {"en"} == set(LANGUAGES) == set(LOCALES)


@pytest.mark.parametrize("folder", CATALOGUES, ids=lambda folder: folder.name)
def test_a_message_stands_in_one_part_of_the_catalogue(folder: Path) -> None:
    places: dict[str, list[str]] = {}
    for name, part in parts(folder).items():
        for message in part:
            if message.id:
                places.setdefault(str(message.id), []).append(name)
    assert {message: names for message, names in places.items() if len(names) > 1} == {}


@pytest.mark.parametrize("folder", CATALOGUES, ids=lambda folder: folder.name)
def test_a_catalogue_is_complete_and_has_nothing_left_over(folder: Path) -> None:
    messages = {str(message.id): message for part in parts(folder).values() for message in part if message.id}
    assert used() - set(messages) == set(), "not translated"
    assert set(messages) - used() == set(), "no longer used"
    for identifier, message in messages.items():
        translated = str(message.string)
        assert translated and not message.fuzzy, identifier
        assert sorted(PLACEHOLDER.findall(identifier)) == sorted(PLACEHOLDER.findall(translated)), identifier
        assert identifier == "no." or (identifier[-1] in ".:?") == (translated[-1] in ".:?"), identifier


def test_the_catalogue_is_read() -> None:
    assert translations("fi").gettext("Certificate of destruction") == "Tuhoamistodistus"
    assert translations("en").gettext("Certificate of destruction") == "Certificate of destruction"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_words_of_their_own(path: Path) -> None:
    assert list(loose(path.read_text(encoding="utf-8"))) == []


def loose(template: str) -> Iterator[str]:
    """Text between tags, and values of attributes that people read or hear."""
    plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template, flags=re.DOTALL)
    for value in re.findall(r'\b(?:title|alt|placeholder|aria-label|content)="([^"]*)"', plain):
        if re.search(r"[^\W\d_]", value) and value not in MACHINE_READ:
            yield value
    for text in re.sub(r"<[^>]*>", "\n", plain).splitlines():
        if re.search(r"[^\W\d_]", text):
            yield text.strip()


MACHINE_READ = {"width=device-width, initial-scale=1", "light dark", "noindex", "0;url="}


def test_loose_words_are_found() -> None:
    assert list(loose('<p title="Vihje">{{ _("a") }} Hei</p>{# ohi #}')) == ["Vihje", "Hei"]


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (Channel, words.CHANNELS),
        (Direction, words.DIRECTIONS),
        (Purpose, words.PURPOSES),
        (Attention, words.ATTENTION),
        (Stage, words.STAGES),
        (Trigger, words.TRIGGERS),
        (Config().access.reasons, words.REASONS),
        ([role for role in Role if role is not Role.SOURCE], words.ROLES),
        (Act, log_words.ACTS),
    ],
)
def test_every_code_has_its_word(codes: Any, table: dict[str, str]) -> None:
    assert {str(code) for code in codes} == {str(code) for code in table}


def test_details_of_the_log_are_told_as_people_write_them() -> None:
    entry = Entry(
        id="01a20320-a200-7000-8000-00a997aa0c4d",
        at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        actor="system:keys",
        act=Act.STORED,
        target=None,
        purpose=None,
        detail={
            "channel": "email",
            "attention": ["unknown_customer", "unknown_agent"],
            "destroy_at": "2027-05-22T10:03:12+00:00",
            "until": "the end",
            "empty": [],
            "odd": 7,
        },
        salt=bytes(16),
    )
    finnish = Wording(code="fi", zone=ZoneInfo("Europe/Helsinki"), now=entry.at)
    told = dict(log_words.details(entry, finnish))
    assert told["tuhotaan"] == "22.5.2027 klo 13.03" and told["asti"] == "the end" and told["odd"] == "7"
    assert told["kanava"] == "sähköposti" and ", " in told["huomioitavaa"] and len(told) == 5


def test_every_refusal_has_its_word() -> None:
    from recvault.domain import access
    from recvault.services.grounds import NOT_AUTHORISED

    assert set(access._NEARNESS) - {"no-communication"} | {"no-role", NOT_AUTHORISED} == set(words.REFUSALS)


def test_sentences_of_services_are_those_that_services_say() -> None:
    """A sentence that a service words differently by now would be shown untranslated, or not at all."""
    package = Path(recvault.interfaces.web.__file__).parents[2]
    parts = [package / "services", package / "interfaces" / "http", package / "domain", package / "adapters"]
    source = " ".join(path.read_text(encoding="utf-8") for part in parts for path in part.glob("*.py"))
    said = re.sub(r"\{[A-Z_]+\}|\d+", "#", re.sub(r'"\s+f?"', "", source))
    for sentence in words.SENTENCES:
        assert re.sub(r"\d+", "#", sentence) in said, sentence
