"""Who and what appears in the demo: people with one role each, and the bundled recordings and messages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from io import BytesIO

from recvault.bootstrap import Archive
from recvault.domain.access import Grant, Role
from recvault.intake.register_file import read_agents, read_customers
from recvault.interfaces.cli.session import OPERATOR
from recvault.interfaces.demo.exchange import Sample
from recvault.interfaces.demo.telling import expect

CALLER = "+358401234501"
OTHER_CALLER = "+358401234502"
SIX_SECONDS = timedelta(seconds=6)

BILLING = Sample(
    file="billing-question.wav",
    what="a call of yesterday, WAV",
    age=timedelta(days=1),
    length=SIX_SECONDS,
    facts=(
        *("--channel", "call", "--direction", "inbound", "--remote-tel", CALLER, "--agent", "1101"),
        *("--queue", "laskutus", "--answered"),
    ),
)
TERMINATION = Sample(
    file="notice-of-termination.alaw",
    what="a call of four months ago, A-law",
    age=timedelta(days=125),
    length=SIX_SECONDS,
    facts=(
        *("--channel", "call", "--direction", "inbound", "--remote-tel", CALLER, "--agent", "4104"),
        *("--queue", "sopimukset", "--answered"),
    ),
)
HELD = Sample(
    file="old-order.ogg",
    what="a call of 25 months ago, Ogg",
    age=timedelta(days=770),
    length=SIX_SECONDS,
    facts=(
        *("--channel", "call", "--direction", "inbound", "--remote-tel", OTHER_CALLER, "--agent", "0101"),
        *("--queue", "tilaukset", "--answered"),
    ),
)
FORGOTTEN = Sample(
    file="old-delivery.WAV",
    what="a call of 26 months ago, GSM",
    age=timedelta(days=800),
    length=SIX_SECONDS,
    facts=(
        *("--channel", "call", "--direction", "inbound", "--remote-tel", OTHER_CALLER, "--agent", "2102"),
        *("--queue", "toimitus", "--answered"),
    ),
)
SAMPLES = (
    BILLING,
    TERMINATION,
    Sample(
        file="delivery-time.txt",
        what="a text message",
        age=timedelta(days=2),
        length=timedelta(),
        facts=("--channel", "sms", "--direction", "outbound", "--remote-tel", CALLER, "--media-type", "text/plain"),
    ),
    Sample(
        file="password-help.json",
        what="a chat",
        age=timedelta(days=3),
        length=timedelta(minutes=4),
        facts=(
            *("--channel", "chat", "--direction", "inbound", "--remote-tel", CALLER, "--agent", "liisa"),
            *("--media-type", "application/json"),
        ),
    ),
    Sample(
        file="invoice-correction.eml",
        what="an e-mail",
        age=timedelta(days=2),
        length=timedelta(),
        facts=(
            *("--channel", "email", "--direction", "inbound", "--remote-mailto", "laskut@asiakas.example"),
            *("--media-type", "message/rfc822"),
        ),
    ),
    HELD,
    FORGOTTEN,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """An account of the demo."""

    name: str
    display_name: str
    role: Role
    may: str
    password: str


_PEOPLE = (
    ("vera", "Vera Verifier", Role.VERIFIER, "finds and plays calls to verify what was agreed"),
    ("timo", "Timo Trainer", Role.TRAINER, "finds and plays what is kept for training, customers masked"),
    ("tuuli", "Tuuli Trainee", Role.TRAINEE, "plays what a trainer released to her, which is nothing yet"),
    ("paula", "Paula Privacy", Role.PRIVACY_HANDLER, "signs the policy, places and releases holds"),
    ("arvo", "Arvo Approver", Role.APPROVER, "decides what takes a second person, such as releasing a hold"),
    ("aatu", "Aatu Auditor", Role.AUDITOR, "reads logs and certificates, no content"),
    ("anna", "Anna Admin", Role.ADMINISTRATOR, "keeps accounts and the register, no content"),
)


def add_people(archive: Archive) -> Mapping[str, Person]:
    """The accounts, by name, each with a random password."""
    people = {}
    for name, display_name, role, may in _PEOPLE:
        password = base64.b32encode(archive.entropy.bytes(10)).decode().lower()
        archive.accounts.add_user(
            name, display_name=display_name, password=password, grants=(Grant(role=role),), by=OPERATOR, language="en"
        )
        people[name] = Person(name=name, display_name=display_name, role=role, may=may, password=password)
    return people


def import_register(archive: Archive) -> tuple[int, int]:
    """Customers and agents from the bundled files; how many of each."""
    samples = files("recvault.interfaces.demo").joinpath("samples")
    zone = archive.config.retention.time_zone
    customer_file, agent_file = (
        BytesIO(samples.joinpath(name).read_bytes()) for name in ("customers.csv", "agents.csv")
    )
    customers = archive.customers.import_customers(OPERATOR, read_customers(customer_file, zone=zone))
    agents = archive.customers.import_agents(OPERATOR, read_agents(agent_file, zone=zone))
    expect(not customers.faults and not agents.faults, "every row of the bundled files to be good")
    return customers.written, agents.written
