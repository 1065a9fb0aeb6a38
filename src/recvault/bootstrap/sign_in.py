"""Puts together what lets people in: good passwords, second factors, limits of trying, signing in."""

from __future__ import annotations

from dataclasses import dataclass

from recvault.adapters.breach_list import BreachList
from recvault.adapters.common_passwords import CommonPasswords
from recvault.adapters.credentials import Argon2Hasher
from recvault.adapters.one_time_codes import OneTimeCodes
from recvault.bootstrap.services import Foundation, Parts
from recvault.config import Config
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.keyring import KeyKind
from recvault.services import second_factors, throttle
from recvault.services.break_glass import LocalSignIn
from recvault.services.passwords import Passwords
from recvault.services.second_factors import SecondFactors
from recvault.services.sessions import Sessions
from recvault.services.sign_in import SignIn
from recvault.services.throttle import Throttle

KEYS = {second_factors.KEY: KeyKind.WRAP, throttle.KEY: KeyKind.MAC}
"""Keys of the keyring that signing in needs; an archive of before gets them when it starts."""


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """What stands between a name and a session."""

    passwords: Passwords
    factors: SecondFactors
    sign_in: SignIn


def entrance(
    parts: Parts, base: Foundation, sessions: Sessions, *, local: LocalSignIn, hasher: PasswordHasher | None = None
) -> Entrance:
    """On the parts given; all of it shares one hasher, which bounds the memory of all of it."""
    config = parts.config
    hasher = hasher or Argon2Hasher()
    passwords = Passwords(
        hasher=hasher,
        common=CommonPasswords(),
        breached=breached_passwords(config),
        names=(config.controller.name, "recvault"),
    )
    factors = SecondFactors(
        database=parts.database,
        keyring=parts.keyring,
        codes=OneTimeCodes(),
        sessions=sessions,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        issuer=config.controller.name or "recvault",
        required=config.access.second_factor == "required",
    )
    return Entrance(
        passwords=passwords,
        factors=factors,
        sign_in=SignIn(
            database=parts.database,
            hasher=hasher,
            passwords=passwords,
            sessions=sessions,
            factors=factors,
            throttle=Throttle(
                database=parts.database,
                keyring=parts.keyring,
                audit=base.audit,
                clock=parts.clock,
                entropy=parts.entropy,
            ),
            local=local,
            audit=base.audit,
            clock=parts.clock,
            entropy=parts.entropy,
        ),
    )


def breached_passwords(config: Config) -> BreachList | None:
    """The operator's list, if there is one."""
    place = config.access.breach_list
    return None if place is None else BreachList(place)
