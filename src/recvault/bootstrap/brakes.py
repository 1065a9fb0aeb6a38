"""Puts together what stops automatic destruction: suspensions and the forecast guard."""

from __future__ import annotations

from dataclasses import dataclass

from recvault.bootstrap.parts import guard_limits
from recvault.bootstrap.services import Foundation, Parts, clocks
from recvault.services.brakes import Brakes
from recvault.services.forecast import ForecastGuard
from recvault.services.suspension import Suspensions


@dataclass(frozen=True, kw_only=True)
class Braking:
    """Both, and the one question that the purge asks."""

    suspensions: Suspensions
    forecast: ForecastGuard
    brakes: Brakes


def braking(parts: Parts, base: Foundation) -> Braking:
    """On the parts given."""
    agreed = clocks(parts)
    suspensions = Suspensions(
        database=parts.database,
        access=base.access,
        audit=base.audit,
        clock=parts.clock,
        clocks=agreed,
        entropy=parts.entropy,
    )
    forecast = ForecastGuard(
        database=parts.database,
        keyring=parts.keyring,
        access=base.access,
        audit=base.audit,
        clocks=agreed,
        zone=parts.config.retention.zone,
        limits=guard_limits(parts.config),
    )
    return Braking(
        suspensions=suspensions, forecast=forecast, brakes=Brakes(suspensions=suspensions, forecast=forecast)
    )
