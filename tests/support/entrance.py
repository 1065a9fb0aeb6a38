"""An archive that asks for second factors, and people who sign in to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pyotp

from recvault.domain.access import Grant, Role
from recvault.domain.audit import Act, Entry
from recvault.services.sign_in import Step
from recvault.services.throttle import Client
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.hashing import CountingHasher

PASSWORD = "pitka ja rauhallinen 7"
HERE = Client(address="192.0.2.10", label="Firefox, Linux")


@dataclass
class Door:
    """An archive that asks for second factors, and a hasher that counts."""

    world: World
    hasher: CountingHasher

    def person(self, name: str, role: Role = Role.VERIFIER) -> str:
        user = self.world.archive.accounts.add_user(
            name, display_name=name.title(), password=PASSWORD, grants=(Grant(role=role),), by="system:test"
        )
        return user.id

    def password(self, name: str, password: str = PASSWORD, client: Client = HERE) -> Step:
        return self.world.archive.sign_in.password(name, password, client=client)

    def factor(self, step: Step, code: str, client: Client = HERE) -> Step:
        return self.world.archive.sign_in.factor(step.secret, code, client=client)

    def enrol(self, step: Step) -> tuple[str, tuple[str, ...], Step]:
        """An app for who has none: its secret, the recovery codes, and the complete session."""
        factors, sessions = self.world.archive.factors, self.world.archive.sessions
        who = sessions.half_open(step.secret)
        secret = factors.begin_totp(who).letters
        codes, complete = self.world.archive.sign_in.enrol(step.secret, self.code(secret))
        return secret, codes, complete

    def code(self, secret: str, *, off_seconds: int = 0) -> str:
        """What an app shows whose clock is ahead by so much."""
        return pyotp.TOTP(secret).at(self.world.clock.now() + timedelta(seconds=off_seconds))

    def ready(self, name: str) -> tuple[str, tuple[str, ...], Step]:
        self.person(name)
        found = self.enrol(self.password(name))
        self.world.later(minutes=2)
        return found

    def log(self, user_id: str, act: Act) -> list[Entry]:
        with self.world.archive.database.read() as unit:
            return [entry for entry in unit.audit.about(user_id, 200) if entry.act is act]


def open_door() -> Door:
    """A fresh one."""
    parts = memory_parts()
    parts.config = configuration(ACCESS__SECOND_FACTOR="required", CONTROLLER__NAME="Esimerkki Oy")
    hasher = CountingHasher()
    return Door(make_world(parts=parts, hasher=hasher), hasher)
