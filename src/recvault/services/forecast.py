"""The forecast guard: nothing is destroyed that a signed forecast, made some hours before, did not count.

Invariants: a forecast is made only while the three clocks agree and only when what is due at that moment was foreseen by the
one before, so that clocks which are all wrong together cannot write the forecast that would excuse them; a person may
confirm instead, and is named in it. What has no valid signature counts as no forecast. What was stored, or moved by an audited
act, since the forecast was made is left out: events, early ends and marks raise no alarm (ADR 0012).

Leaves to others: asking before each batch (``services.brakes``), alarming (whoever reads the reports).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act
from recvault.domain.brakes import Forecast, GuardLimits, Surprise, nothing_foreseen
from recvault.domain.errors import Conflict, Tampered, Unavailable
from recvault.domain.ids import canonical_json
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.sealing.envelope import seal_envelope, unseal_envelope
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.clocks import Clocks
from recvault.services.ledger import SIGNING_KEY

ACTOR = "system:forecast"
PAYLOAD_TYPE = "application/vnd.recvault.forecast+json"
DAYS = 31
"""Midnights ahead to which a forecast counts: thirty whole days and the rest of today."""
SEEN = 31
"""Newest forecasts that are looked at."""
AGE = timedelta(hours=6)
"""How old a forecast must be before a run is compared with it, unless a person confirmed it."""
EVERY = timedelta(hours=20)
"""How old the newest one is when the next is made."""
BEHIND = timedelta(minutes=10)
"""How far a clock may stand before the newest forecast; two workers are never as far apart."""
UNDER_WAY = timedelta(hours=1)
"""What was begun so long before a forecast may have been committed after it was counted: it is left out as well."""
KEPT = 400
"""Forecasts that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What the newest forecast says, and how what is due now compares."""

    forecast: Forecast | None
    surprise: Surprise
    stops: bool


class ForecastGuard:
    """Makes forecasts, compares with them, takes confirmations."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        access: Access,
        audit: AuditLog,
        clocks: Clocks,
        zone: ZoneInfo,
        limits: GuardLimits,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._access = access
        self._audit = audit
        self._clocks = clocks
        self._zone = zone
        self._limits = limits

    def obstacle(self, now: datetime) -> str | None:
        """Why a run at ``now`` must not begin: too much that no forecast counted, or a clock that went back."""
        with self._database.read() as unit:
            newest = self._newest(unit)
            if newest is not None and now < newest.made_at - BEHIND:
                return _behind(newest)
            surprise = self._surprise(unit, self._ripe(unit, now), now)
        return self._told(surprise) if surprise.stops(self._limits) else None

    def outlook(self) -> Outlook:
        """For people: the newest forecast, and the comparison as of now."""
        now = self._clocks.agreed()
        with self._database.read() as unit:
            newest = self._newest(unit)
            surprise = self._surprise(unit, self._ripe(unit, now), now)
        return Outlook(forecast=newest, surprise=surprise, stops=surprise.stops(self._limits))

    def newest(self) -> Forecast | None:
        """The newest forecast whose signature holds."""
        with self._database.read() as unit:
            return self._newest(unit)

    def foresee(self) -> Forecast | None:
        """Makes the next forecast when the newest is old enough (a tick of the worker); None when it is not.

        Unavailable when the clocks disagree, or when what is due now was not foreseen: then a person confirms first."""
        now = self._clocks.agreed()
        try:
            with self._database.begin() as unit:
                newest = self._newest(unit)
                if newest is not None and abs(now - newest.made_at) < EVERY:
                    return None
                if newest is not None:
                    self._require_foreseen(unit, newest, now)
                made = self._make(unit, now, confirmed_by=None)
                self._audit.record(unit, actor=ACTOR, act=Act.FORECAST_MADE, detail={"number": made.number})
                unit.commit()
        except Conflict:
            return None  # another worker makes it just now
        return made

    def _require_foreseen(self, unit: UnitOfWork, newest: Forecast, now: datetime) -> None:
        if now < newest.made_at:
            raise Unavailable(_behind(newest))
        surprise = self._surprise(unit, newest, now)
        if surprise.stops(self._limits):
            raise Unavailable(self._told(surprise))

    def confirm(self, actor: Actor) -> Forecast:
        """A person has looked: what is due now is due indeed, and the clocks are right. Runs go on from here."""
        self._access.require(actor, Action.DESTRUCTION_CONFIRM)
        now = self._clocks.agreed()
        with self._database.begin() as unit:
            surprise = self._surprise(unit, self._ripe(unit, now), now)
            made = self._make(unit, now, confirmed_by=actor.id)
            detail: dict[str, object] = {
                "number": made.number,
                "unforeseen": surprise.unforeseen,
                "foreseen": surprise.foreseen,
            }
            self._audit.record(unit, actor=actor.id, act=Act.RUN_CONFIRMED, detail=detail)
            unit.commit()
        return made

    # --- comparing

    def _surprise(self, unit: UnitOfWork, forecast: Forecast | None, now: datetime) -> Surprise:
        if forecast is None:
            return nothing_foreseen(unit.brakes.count_ends([now]))
        edges = forecast.edges_until(now)
        surprise = forecast.compare(unit.brakes.count_ends(edges))
        if not surprise.stops(self._limits):
            return surprise  # the cheap count is enough
        return forecast.compare(unit.brakes.count_known_ends(edges, since=forecast.made_at - UNDER_WAY))

    def _told(self, surprise: Surprise) -> str:
        return (
            f"{surprise.unforeseen} communications are due that the signed forecast did not count (it counted "
            f"{surprise.foreseen}); check clocks and policy, then confirm with 'recvault purge confirm'"
        )

    def _ripe(self, unit: UnitOfWork, now: datetime) -> Forecast | None:
        """The newest that is old enough to compare with, or was confirmed."""
        for forecast in self._read(unit):
            if forecast.made_at <= now and (forecast.confirmed_by is not None or forecast.made_at <= now - AGE):
                return forecast
        return None

    def _newest(self, unit: UnitOfWork) -> Forecast | None:
        return next(self._read(unit), None)

    def _read(self, unit: UnitOfWork) -> Iterator[Forecast]:
        public = self._keyring.public(SIGNING_KEY)
        for number, envelope in unit.brakes.forecasts(SEEN):
            try:
                forecast = _parse(unseal_envelope(envelope.encode(), PAYLOAD_TYPE, public))
            except Tampered:
                continue  # no forecast of ours
            if forecast.number == number:
                yield forecast

    # --- making

    def _make(self, unit: UnitOfWork, now: datetime, *, confirmed_by: str | None) -> Forecast:
        edges = (now, *self._midnights(now))
        last = unit.brakes.forecasts(1)
        number = last[0][0] + 1 if last else 1
        made = Forecast(
            number=number,
            made_at=now,
            edges=edges,
            counts=tuple(unit.brakes.count_ends(edges)),
            confirmed_by=confirmed_by,
        )
        unit.brakes.add_forecast(number, now, self._sign(made))
        unit.brakes.drop_forecasts(number - KEPT)
        return made

    def _midnights(self, now: datetime) -> list[datetime]:
        today = now.astimezone(self._zone).date()
        days = [today + timedelta(days=number) for number in range(1, DAYS + 1)]
        return [datetime.combine(day, time(0), self._zone) for day in days]

    def _sign(self, forecast: Forecast) -> str:
        payload = canonical_json(
            {
                "type": "recvault/forecast/v1",
                "number": forecast.number,
                "made_at": forecast.made_at.isoformat(timespec="microseconds"),
                "edges": [edge.isoformat(timespec="microseconds") for edge in forecast.edges],
                "counts": list(forecast.counts),
                "confirmed_by": forecast.confirmed_by,
            }
        )
        envelope = seal_envelope(
            payload, PAYLOAD_TYPE, SIGNING_KEY, lambda message: self._keyring.sign(SIGNING_KEY, message)
        )
        return envelope.decode()


def _behind(newest: Forecast) -> str:
    return (
        f"the clocks stand before the newest forecast ({newest.made_at:%Y-%m-%d %H:%M} UTC); set them right, or confirm with "
        "'recvault purge confirm' that they are"
    )


def _parse(payload: bytes) -> Forecast:
    value = json.loads(payload)
    return Forecast(
        number=value["number"],
        made_at=datetime.fromisoformat(value["made_at"]),
        edges=tuple(datetime.fromisoformat(edge) for edge in value["edges"]),
        counts=tuple(value["counts"]),
        confirmed_by=value["confirmed_by"],
    )
