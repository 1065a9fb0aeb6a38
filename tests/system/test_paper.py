"""The certificate on paper: what it names, in both languages, from the program and from the page, and that a browser shows it
as one sheet that loads nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recvault.domain.destruction import Stage
from recvault.interfaces.web.destroyed import paper
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.certificates import verified


def destroyed(*, complete: bool, **changes: str) -> tuple[World, str]:
    parts = memory_parts()
    parts.config = configuration(CONTROLLER__NAME="Esimerkki Oy", CONTROLLER__BUSINESS_ID="1234567-1", **changes)
    world = make_world(parts=parts)
    one, _ = world.store("call-1").id, world.store("call-2")
    world.later(days=181, hours=13)
    world.archive.purge.run("worker-1")
    if complete:
        world.later(days=8)
        world.archive.purge.settle()
        world.later(seconds=61)
        world.archive.purge.settle()
    return world, one


def printed(world: World, one: str, language: str) -> str:
    with world.archive.database.read() as unit:
        item = unit.destructions.get(one)
        files = world.archive.certificates.files(unit, item)
    return paper(world.archive, item, files, language=language)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            ("Certificate of destruction", "one of 2 in its batch", "none that could hold these keys", "22 Jun 2027"),
        ),
        (
            "fi",
            ("Tuhoamistodistus", "yksi erän 2 tuhotusta", "ei yhtään, jossa nämä avaimet voisivat olla", "22.6.2027"),
        ),
    ],
)
def test_the_paper_names_what_when_by_which_rule_and_how_far(
    tmp_path: Path, language: str, said: tuple[str, ...]
) -> None:
    world, one = destroyed(complete=True, BACKUP__DIRECTORY=str(tmp_path))
    text = printed(world, one, language)
    first, last = verified(world.archive, one), verified(world.archive, one, Stage.COMPLETE)
    for word in (
        *said,
        one,
        "Esimerkki Oy",
        "1234567-1",
        "call-sms-chat",
        "defaults-1",
        "privacy_handler",
        "day/2027-05-22/1",
    ):
        assert word in text, word
    assert str(first["certificate"]) in text and str(last["certificate"]) in text
    assert f'<html lang="{language}">' in text and "<script" not in text and "Virtanen" not in text
    assert re.findall(r'(?:src|href)="', text) == [], "one file that needs nothing beside it"


def test_what_is_not_known_yet_is_said() -> None:
    world, one = destroyed(complete=False)
    text = printed(world, one, "en")
    assert "not yet: a key still lives" in text and "is told when the keys are gone" in text
    assert "not known to the archive" in text


def test_a_paper_does_not_cover_up_a_certificate_that_does_not_verify() -> None:
    world, one = destroyed(complete=False)
    with world.archive.database.read() as unit:
        item = unit.destructions.get(one)
        files = world.archive.certificates.files(unit, item)
    other = destroyed(complete=False)[0]
    text = paper(other.archive, item, files, language="en")
    assert "does not verify" in text and "not certified yet" in text
