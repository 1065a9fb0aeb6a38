"""The worker: a clock that starts journeys, and nothing else.

APScheduler only ticks. Its jobs live in memory, have no state and are repeated harmlessly; which work there is, and who
does it, the database hands out. A tick that comes late still runs (``misfire_grace_time`` None), ticks that were missed
run once (``coalesce``), a job never overlaps itself (``max_instances`` 1), and those that destroy never overlap each
other in one process. A tick that fails on purpose is logged and comes again; everything else ends in the log as a fault
of the program, and comes again too.
"""

from __future__ import annotations

import base64
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from recvault.bootstrap import Archive
from recvault.domain.errors import RecvaultError
from recvault.domain.reconciliation import Reconciliation
from recvault.interfaces.tasks import ALARMING, Tasks
from recvault.services.purge import PurgeReport

log = structlog.get_logger("recvault.worker")

Outcome = Mapping[str, object]

SOON = timedelta(minutes=5)
"""After the start, for ticks that come more rarely than this."""

BACKUP_BEFORE_MINUTES = 30
"""So long before the nightly destruction the backup is made."""

WATCHING = frozenset({"notices", "digest"})
"""What a process does that only serves: it tells when no worker is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """Seconds between ticks. ``beating``: signs of life for the gauges. ``overdue``: what a failed night left.
    ``closing``: keys whose day is over, certificates that are complete, and what must not be kept."""

    sequencing: float = 2
    beating: float = 30
    closing: float = 60
    noticing: float = 60
    digesting: float = 300
    overdue: float = 3600
    places: float = 900
    keys_ahead: float = 3600
    daily: float = 86_400
    arrivals: float = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """One job: ``destroys`` keeps it apart from the others that do; ``at_once`` begins it with the worker."""

    name: str
    trigger: BaseTrigger
    act: Callable[[], Outcome]
    destroys: bool = False
    quiet: bool = False
    at_once: bool = False


class Worker:
    """The ticks of one archive, or ``only`` those of these names. ``nightly_at`` is a time of day in the zone of the
    retention policy."""

    def __init__(
        self,
        archive: Archive,
        *,
        rhythm: Rhythm | None = None,
        nightly_at: time | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._archive = archive
        self._rhythm = rhythm or Rhythm(places=archive.config.residency.check_interval_minutes * 60)
        self._nightly_at = nightly_at or archive.config.purge.nightly_at
        self._destroying = threading.Lock()
        self._tasks = Tasks(but=WATCHING)
        self._only = only
        self.id = "worker-" + base64.b32encode(archive.entropy.bytes(10)).decode().lower()
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone="UTC",
        )
        self._scheduler.add_listener(self._failed, EVENT_JOB_ERROR)
        for tick in self.ticks():
            if only is None or tick.name in only:
                self._scheduler.add_job(
                    self.run, tick.trigger, args=[tick], id=tick.name, name=tick.name, **_first(tick)
                )

    def ticks(self) -> tuple[Tick, ...]:
        """What is done, and when."""
        archive, rhythm = self._archive, self._rhythm
        night = CronTrigger(
            hour=self._nightly_at.hour, minute=self._nightly_at.minute, timezone=archive.config.retention.zone
        )
        earlier = (self._nightly_at.hour * 60 + self._nightly_at.minute - BACKUP_BEFORE_MINUTES) % (24 * 60)
        before_night = CronTrigger(hour=earlier // 60, minute=earlier % 60, timezone=archive.config.retention.zone)
        return (
            Tick(name="audit", trigger=_every(rhythm.sequencing), act=self._sequence, quiet=True),
            Tick(name="checkpoints", trigger=_every(rhythm.sequencing), act=self._checkpoint, quiet=True),
            Tick(name="heartbeat", trigger=_every(rhythm.beating), act=self._beat, quiet=True, at_once=True),
            Tick(name="purge", trigger=night, act=self._purge, destroys=True),
            Tick(name="overdue", trigger=_every(rhythm.overdue), act=self._overdue, destroys=True, quiet=True),
            Tick(name="keys-ahead", trigger=_every(rhythm.keys_ahead), act=self._keys_ahead, quiet=True, at_once=True),
            Tick(name="closing", trigger=_every(rhythm.closing), act=self._close, destroys=True, quiet=True),
            Tick(name="backup", trigger=before_night, act=self._backup, destroys=True),
            Tick(name="policy", trigger=_every(rhythm.closing), act=self._apply_policy, quiet=True),
            Tick(name="approvals", trigger=_every(rhythm.closing), act=self._approvals, quiet=True),
            Tick(name="forecast", trigger=_every(rhythm.overdue), act=self._forecast, quiet=True),
            Tick(name="places", trigger=_every(rhythm.places), act=self._places, quiet=True),
            Tick(name="sweep", trigger=_every(rhythm.daily), act=self._sweep, destroys=True),
            Tick(name="arrivals", trigger=_every(rhythm.arrivals), act=self._arrivals, quiet=True),
            Tick(name="reconcile", trigger=_every(rhythm.daily), act=self._reconcile),
            Tick(name="recheck", trigger=_every(rhythm.daily), act=self._recheck, destroys=True),
            Tick(name="log-life", trigger=_every(rhythm.daily), act=self._log_life, destroys=True, quiet=True),
            Tick(name="listening", trigger=_every(rhythm.daily), act=self._listening, quiet=True),
            Tick(name="edge-keys", trigger=_every(rhythm.daily), act=self._edge_keys),
            Tick(name="notices", trigger=_every(rhythm.noticing), act=self._notices, quiet=True),
            Tick(name="digest", trigger=_every(rhythm.digesting), act=self._digest, quiet=True),
            # The first hook of a new month must not wait for its key.
            Tick(name="edge-key", trigger=CronTrigger(day=1, hour=0, minute=0, timezone="UTC"), act=self._edge_key),
        )

    def jobs(self) -> list[Job]:
        """What APScheduler was told, for whoever wants to look."""
        return list(self._scheduler.get_jobs())

    def start(self) -> None:
        """Begins to tick, in threads of its own."""
        self._scheduler.start()
        log.info("worker started" if self._only is None else "watch started", worker=self.id)

    def stop(self) -> None:
        """Ends after the ticks that are under way."""
        self._scheduler.shutdown(wait=True)
        log.info("worker stopped" if self._only is None else "watch stopped", worker=self.id)

    def run_until_told(self) -> None:
        """Ticks until SIGTERM or SIGINT; only from the main thread."""
        told = threading.Event()
        before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
        self.start()
        try:
            told.wait()
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self, tick: Tick) -> None:
        """One tick now: logs its outcome; an error raised on purpose is logged and the next tick tries again."""
        with structlog.contextvars.bound_contextvars(tick=tick.name, worker=self.id):
            try:
                with self._destroying if tick.destroys else nullcontext():
                    outcome = tick.act()
            except RecvaultError as fault:
                self._tasks.failed(tick.name, self._archive.clock.now())
                log.error("tick failed", code=fault.code, error=str(fault))
                return
            self._tasks.ended(tick.name, self._archive.clock.now(), outcome)
            if any(outcome.get(name) for name in ALARMING):
                log.warning("tick", **outcome)
            elif any(outcome.values()) or not tick.quiet:
                log.info("tick", **outcome)

    def now(self, name: str) -> None:
        """The tick of this name at once, in the caller's thread; its errors come to the caller."""
        tick = next(tick for tick in self.ticks() if tick.name == name)
        with self._destroying if tick.destroys else nullcontext():
            tick.act()

    def _failed(self, event: JobExecutionEvent) -> None:
        self._tasks.failed(event.job_id, self._archive.clock.now())
        log.error("tick broke", tick=event.job_id, kind=type(event.exception).__name__, exc_info=event.exception)

    # --- what the ticks do

    def _sequence(self) -> Outcome:
        return {"numbered": self._archive.audit.sequence()}

    def _checkpoint(self) -> Outcome:
        """A minute's or a thousand entries; a database that contradicts what was published publishes nothing."""
        made = self._archive.checkpoints.publish()
        return {"published": None if made is None else made.size}

    def _beat(self) -> Outcome:
        self._archive.restore.keep_up()
        self._archive.gauges.beat()
        return {"clock_jumped": self._archive.system_acts.beat()}

    def _purge(self) -> Outcome:
        return counts(self._archive.purge.run(self.id))

    def _overdue(self) -> Outcome:
        """What the last night should have destroyed and did not."""
        with self._archive.database.read() as unit:
            left = unit.communications.count_overdue(self.last_night(self._archive.clock.now()))
        return self._purge() if left else {"overdue": 0}

    def last_night(self, now: datetime) -> datetime:
        """The moment of the nightly run before ``now``."""
        zone = self._archive.config.retention.zone
        today = now.astimezone(zone).date()
        tonight = datetime.combine(today, self._nightly_at, zone)
        return tonight if tonight <= now else datetime.combine(today - timedelta(days=1), self._nightly_at, zone)

    def _close(self) -> Outcome:
        report = self._archive.purge.settle()
        return {"keys_destroyed": len(report.keys_destroyed), "completed": len(report.completed)}

    def _backup(self) -> Outcome:
        """Before the purge, so that what this night re-keys finds a newer backup verified."""
        done = self._archive.backups.nightly()
        if done is None:
            return {"backup": None}
        made, report = done
        return {"backup": made.header.id, "bytes": made.length, "opened": len(report.opened), "faults": report.faults}

    def _apply_policy(self) -> Outcome:
        """Takes a policy that was put in force, and what a replay brought back, to what is stored."""
        self._archive.fact_backfill.settle()
        self._archive.overrides.settle_replayed()
        self._archive.purpose_endings.settle_replayed()
        applied = self._archive.retention_desk.apply()
        return {"computed_again": applied.looked_at, "moved": applied.moved}

    def _keys_ahead(self) -> Outcome:
        self._archive.keys_ahead.prepare()
        self._archive.log_keys.prepare()
        return {"entries_sealed": self._archive.log_keys.seal_old()}

    def _approvals(self) -> Outcome:
        """Decisions whose delay is over, proposals that expired, releases that the ledger was not told of, a suspension
        whose time is over."""
        archive = self._archive
        return {
            "carried_out": len(archive.approvals.carry_out_due()),
            "expired": len(archive.approvals.expire_due()),
            "releases_noted": archive.holds.note_releases(),
            "suspension_over": archive.suspensions.settle(),
        }

    def _forecast(self) -> Outcome:
        made = self._archive.forecast.foresee()
        return {"forecast": None if made is None else made.number}

    def _places(self) -> Outcome:
        return {"violations": list(self._archive.places.check())}

    def _sweep(self) -> Outcome:
        return {"swept": len(self._archive.sweeper.run())}

    def _arrivals(self) -> Outcome:
        return {"differences": _told(self._archive.reconcile.arrivals())}

    def _reconcile(self) -> Outcome:
        report = self._archive.reconcile.run()
        return {"rows": report.rows, "objects": report.objects, "differences": _told(report)}

    def _recheck(self) -> Outcome:
        return {"came_back": len(self._archive.purge.recheck())}

    def _listening(self) -> Outcome:
        return {"counts_forgotten": self._archive.listening.forget()}

    def _log_life(self) -> Outcome:
        ended = self._archive.log_life.run()
        return {"entries_ended": ended, "keys_destroyed": len(self._archive.log_keys.end())}

    def _edge_keys(self) -> Outcome:
        return {"retired": self._archive.edge_keys.retire()}

    def _notices(self) -> Outcome:
        look = self._archive.notices.watch(self.id, self._tasks.states())
        return {
            "began": list(look.began),
            "stand": list(look.stand),
            "ended": list(look.ended),
            "sent": look.sending.sent,
            "put_off": look.sending.put_off,
            "given_up": look.sending.given_up,
            "faults": list(look.sending.faults),
        }

    def _digest(self) -> Outcome:
        return {"day": self._archive.notices.digest()}

    def _edge_key(self) -> Outcome:
        return {"current": self._archive.edge_keys.current().id}


def counts(report: PurgeReport) -> dict[str, object]:
    """A report with numbers in place of ids, for the log."""
    return {name: len(value) if isinstance(value, list) else value for name, value in asdict(report).items()}


def _told(report: Reconciliation) -> dict[str, int]:
    return {kind.value: count for kind, count in report.counts.items()}


def _first(tick: Tick) -> dict[str, datetime]:
    """What comes rarely comes soon after the start as well: a process that is started anew every day must not miss it."""
    if tick.at_once:
        return {"next_run_time": datetime.now(UTC)}
    if not isinstance(tick.trigger, IntervalTrigger) or tick.trigger.interval <= SOON:
        return {}
    return {"next_run_time": datetime.now(UTC) + SOON}


def _every(seconds: float) -> IntervalTrigger:
    # Jitter keeps several workers from asking for the same thing in the same moment.
    return IntervalTrigger(seconds=seconds, timezone="UTC", jitter=seconds / 10 if seconds >= 60 else None)
