"""A customer service's desk in an archive on real parts: people with passwords, customers, a week of contacts, destructions.

Made for the browser's tests and for the pictures; names and numbers are invented.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Playwright

from recvault.adapters.system import START
from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.communication import Attention, Channel, CustomerKey, Direction, Party, PartyKind
from recvault.domain.customer import Membership
from recvault.domain.register_records import AgentRecord, ContactPointRecord, CustomerRecord
from tests.support.archives import World, make_world
from tests.support.worlds import sqlite_and_folder

SAMPLES = Path(__file__).parents[1] / "samples"
PASSWORD = "pitka ja rauhallinen 7"
HOSTILE = "<script>alert('nimi')</script><img src=x onerror=alert(1)> Oy"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

BILLING = Scope(kind=ScopeKind.QUEUES, values=frozenset({"laskutus"}))
PEOPLE: dict[str, tuple[str, tuple[Grant, ...], str]] = {
    "maija": ("Maija Meriläinen", (Grant(role=Role.VERIFIER), Grant(role=Role.PRIVACY_HANDLER)), "fi"),
    "teemu": ("Teemu Tiainen", (Grant(role=Role.TRAINER),), "fi"),
    "laura": ("Laura Lahti", (Grant(role=Role.TEAM_LEAD, scope=BILLING),), "fi"),
    "aino": ("Aino Auvinen", (Grant(role=Role.AUDITOR),), "fi"),
    "heikki": ("Heikki Hyväksyjä", (Grant(role=Role.APPROVER),), "fi"),
    "emma": ("Emma English", (Grant(role=Role.VERIFIER),), "en"),
    "olli": ("Olli Oikeudeton", (), "fi"),
}


@dataclass
class Desk:
    """The archive and the ids that tests ask for."""

    world: World
    ids: dict[str, str]
    destroyed: dict[str, str]


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, without a window."""
    environment: dict[str, str | float | bool] = {**os.environ, "LANGUAGE": "fi"}  # the language of date fields
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), env=environment)


def chromium_missing() -> str | None:
    """Why no browser can be driven here; None when one can."""
    return None if os.access(CHROMIUM, os.X_OK) else f"{CHROMIUM} is missing; install Debian's chromium"


def tone_code(minutes: int, *, rate: int = 8000) -> bytes:
    """A WAV of 16-bit mono PCM whose pitch tells the minute: 500 Hz in the first, 100 Hz more in each that follows."""
    samples = bytearray()
    for minute in range(minutes):
        wave = (int(8000 * math.sin(2 * math.pi * (500 + 100 * minute) * n / rate)) for n in range(rate // 100))
        samples += struct.pack(f"<{rate // 100}h", *wave) * 6000
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16) + b"data"
    return b"RIFF" + struct.pack("<I", len(body) + 4 + len(samples)) + body + struct.pack("<I", len(samples)) + samples


@contextmanager
def desk(directory: Path) -> Iterator[Desk]:
    """The desk on SQLite and a folder."""
    with sqlite_and_folder(directory, CONTROLLER__NAME="Esimerkki Oy", CONTROLLER__BUSINESS_ID="1234567-1") as parts:
        world = make_world(parts=parts)
        with world.archive:
            _people(world)
            _register(world)
            destroyed = _destroyed(world)
            yield Desk(world=world, ids=_contacts(world), destroyed=destroyed)


def _people(world: World) -> None:
    for name, (display_name, grants, language) in PEOPLE.items():
        world.archive.accounts.add_user(
            name, display_name=display_name, password=PASSWORD, grants=grants, by="system:test", language=language
        )


def _register(world: World) -> None:
    administrator = world.actor(Role.ADMINISTRATOR)
    for number, name, business_id, place, tel in (
        ("1002", "Koivumäen Kukka ja Puutarha Oy", "2345678-5", "Kuopio", "+358401234502"),
        ("1003", "Kallion Kahvila Ky", "1572860-0", "Helsinki", "+358401234503"),
        ("1004", "Kallion Konepaja Oy", None, "Lahti", "+358401234504"),
        ("1005", HOSTILE, None, "Turku", "+358401234505"),
    ):
        points: tuple[ContactPointRecord, ...] = (ContactPointRecord(kind=PartyKind.TEL, value=tel),)
        if number == "1002":
            points += (ContactPointRecord(kind=PartyKind.MAILTO, value="tilaukset@koivumaki.example"),)
        world.archive.customers.put_customer(
            administrator,
            CustomerRecord(
                name=name, number=number, business_id=business_id, domicile=place, contact_points=points, told=_TOLD
            ),
        )
    for ref, name, extension, team in (
        ("liisa", "Liisa Korhonen", "1101", "laskutus"),
        ("pekka", "Pekka Laine", "2102", "toimitus"),
    ):
        world.archive.customers.put_agent(
            administrator,
            AgentRecord(
                ref=ref,
                name=name,
                extensions=(Membership(value=extension),),
                teams=(Membership(value=team),),
                told=frozenset({"ref", "name", "extensions", "teams"}),
            ),
        )


_TOLD = frozenset({"name", "number", "business_id", "domicile", "contact_points"})


def _destroyed(world: World) -> dict[str, str]:
    """Two that are destroyed and complete, one that is inaccessible so far; and the clock back at the start."""
    receipts = {}
    for name, before in (("first", timedelta(days=200)), ("second", timedelta(days=196)), ("today", _HALF_YEAR)):
        world.clock.set(START - before)
        receipts[name] = world.store(f"old-{name}", (SAMPLES / "real" / "asterisk-1-mixed.wav").read_bytes()).id
    world.clock.set(START - timedelta(days=2))
    world.archive.purge.run("worker-1")
    world.clock.advance(timedelta(seconds=61))
    world.archive.purge.run("worker-1")
    world.clock.set(START)
    world.archive.purge.run("worker-1")
    return receipts


_HALF_YEAR = START - datetime(2026, 5, 22, 11, 0, tzinfo=START.tzinfo)


def _contacts(world: World) -> dict[str, str]:
    """A week of contacts, oldest first; by short names."""
    real, ids = SAMPLES / "real", {}

    def add(name: str, content: bytes, *, hours_ago: float, minutes: float = 5, **more: Any) -> None:
        begun = START - timedelta(hours=hours_ago)
        values = {"started_at": begun, "ended_at": begun + timedelta(minutes=minutes), "agent": "liisa"} | more
        ids[name] = world.store(name, content, **values).id

    for number in range(30):
        add(
            f"earlier-{number}",
            (real / "asterisk-1-rx.wav").read_bytes(),
            hours_ago=150 - number * 3.1,
            minutes=1 + number * 0.35,
            agent="pekka" if number % 3 else "liisa",
            remote=_tel(1 + number % 4),
            queue="toimitus" if number % 3 else "laskutus",
            team="toimitus" if number % 3 else "laskutus",
            direction=Direction.OUTBOUND if number % 5 == 2 else Direction.INBOUND,
            filename=f"rec-{number}.wav",
        )
    add(
        "hostile",
        b"Hei <script>alert(2)</script>",
        hours_ago=30,
        channel=Channel.SMS,
        remote=_tel(5),
        media_type="text/plain",
        filename=None,
        queue="<b>jono</b>",
        ended_at=None,
        subject="<img src=x onerror=alert(3)>",
    )
    add(
        "gsm",
        (real / "asterisk-3-mixed.gsm").read_bytes(),
        hours_ago=28,
        media_type=None,
        filename="vanha-keskus.gsm",
        queue="toimitus",
        agent="pekka",
        remote=_tel(3),
    )
    add(
        "mail",
        _MAIL.encode(),
        hours_ago=26,
        channel=Channel.EMAIL,
        media_type="message/rfc822",
        filename=None,
        ended_at=None,
        queue="tilaukset",
        subject="Tilauksen 5512 muutos",
        remote=Party(
            kind=PartyKind.MAILTO,
            value="tilaukset@koivumaki.example",
            as_sent="tilaukset@koivumaki.example",
            name="Kerttu Koivumäki",
        ),
    )
    add(
        "long-text",
        ("Rivi tekstiä, jossa on ääkkösiä.\n" * 12_000).encode(),
        hours_ago=25,
        channel=Channel.CHAT,
        media_type="text/plain; charset=utf-8",
        filename=None,
        ended_at=None,
        remote=_tel(3),
    )
    add(
        "sms",
        b"Hei! Tilauksenne on noudettavissa huomenna klo 9 alkaen. T. Esimerkki Oy",
        hours_ago=22,
        channel=Channel.SMS,
        direction=Direction.OUTBOUND,
        media_type="text/plain",
        filename=None,
        ended_at=None,
        queue="tilaukset",
        remote=_tel(2),
    )
    add(
        "alaw",
        (SAMPLES / "audio" / "alaw-8k-mono.wav").read_bytes(),
        hours_ago=6,
        queue="toimitus",
        team="toimitus",
        agent="pekka",
        remote=_tel(4),
        filename="alaw.wav",
    )
    add(
        "stranger",
        (real / "asterisk-1-tx.wav").read_bytes(),
        hours_ago=4,
        minutes=0.6,
        agent="9999",
        queue="laskutus",
        remote=Party(kind=PartyKind.TEL, value="+358409998877", as_sent="0409998877"),
        attention=frozenset({Attention.IDENTITY_CODE_MASKED}),
        filename="tuntematon.wav",
    )
    add(
        "case",
        (real / "asterisk-1-mixed.wav").read_bytes(),
        hours_ago=3,
        minutes=7.4,
        queue="laskutus",
        team="laskutus",
        case_ref="T-2026-118",
        customer=CustomerKey(number="1002"),
        remote=_tel(2),
        tags=frozenset({"order"}),
    )
    add(
        "long",
        tone_code(10),
        hours_ago=2,
        minutes=10,
        queue="laskutus",
        team="laskutus",
        filename="20261122-120000-0401234501.wav",
    )
    add(
        "call",
        (real / "asterisk-1-mixed.wav").read_bytes(),
        hours_ago=1,
        minutes=3.2,
        queue="laskutus",
        team="laskutus",
    )
    return ids


def _tel(number: int) -> Party:
    return Party(kind=PartyKind.TEL, value=f"+35840123450{number}", as_sent=f"040123450{number}")


_MAIL = """From: =?utf-8?q?Kerttu_Koivum=C3=A4ki?= <tilaukset@koivumaki.example>
To: asiakaspalvelu@esimerkki.example
Subject: Tilauksen 5512 muutos
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=raja

--raja
Content-Type: text/html; charset=utf-8

<p onclick="alert(4)">Hei!</p>
--raja
Content-Type: text/plain; charset=utf-8

Hei!

Muuttakaa tilaukseen 5512 kaksi laatikkoa lisää, kiitos.

Terveisin
Kerttu Koivumäki
--raja
Content-Type: application/pdf; name="tilaus.pdf"
Content-Disposition: attachment; filename="tilaus.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--raja--
"""
