"""The doctor looks at each thing the archive stands on, and says what was found and what to do; it changes nothing.

A part that cannot be looked at does not stop the others. What is right or wrong with a place, a ledger or a keyring is
decided by the services and adapters; here are only the questions.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recvault import __version__, bootstrap
from recvault.bootstrap import Archive
from recvault.config import Config, ConfigFault, load
from recvault.domain.errors import DatabaseBehind, RecvaultError
from recvault.interfaces.cli.doctor_findings import Finding, Grade
from recvault.interfaces.cli.doctor_findings import bad as _bad
from recvault.interfaces.cli.doctor_findings import good as _good
from recvault.interfaces.cli.doctor_findings import warning as _warning
from recvault.interfaces.cli.doctor_sign_in import sign_in_state
from recvault.interfaces.cli.doctor_sources import source_state
from recvault.interfaces.cli.keys import keyring_of
from recvault.interfaces.process import core_dumps_off, no_core_dumps

__all__ = ["Finding", "Grade", "examine", "look_at"]

SWAPS = Path("/proc/swaps")
NEEDED = ("cryptography", "sqlalchemy", "fastapi", "uvicorn", "minio", "psycopg", "apscheduler")
FREE_SPACE = 1024**3
"""Bytes below which a folder store is nearly full."""


def examine(config_file: Path | None) -> list[Finding]:
    """Looks at everything, the machine first."""
    findings = [_versions(), _core_dumps(), _swap()]
    try:
        config = load(config_file, os.environ)
    except ConfigFault as fault:
        return [
            *findings,
            _bad("configuration", str(fault), "mend the keys it names; 'recvault config check' looks again"),
        ]
    findings.append(_good("configuration", str(config_file or "built-in defaults")))
    findings += _permissions(config)
    try:
        # One that serves nothing is looked at all the same.
        with bootstrap.build(config) as archive, archive.database.unjudged():
            return findings + list(look_at(archive))
    except (RecvaultError, ConfigFault) as fault:
        return [*findings, _bad("archive", str(fault), "a new archive is made by 'recvault init'")]


# --- the machine


def _versions() -> Finding:
    parts = [f"recvault {__version__}", f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in NEEDED:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return _bad("versions", f"{name} is missing", "install recvault again with its requirements")
    return _good("versions", ", ".join(parts))


def _core_dumps() -> Finding:
    no_core_dumps()
    if core_dumps_off():
        return _good("core dumps", "recvault switches them off for its processes")
    return _bad("core dumps", "cannot be switched off", "set LimitCORE=0 in the unit, or ulimit -c 0")


def _swap() -> Finding:
    """Plain swap would write keys to a disk; swap in memory (zram) or on an encrypted device would not."""
    try:
        lines = SWAPS.read_text("utf-8").splitlines()[1:]
    except OSError:
        return _warning("swap", "cannot be seen here", "make sure that it is off or encrypted")
    plain = [device for device in (line.split()[0] for line in lines if line) if not _is_safe_swap(Path(device))]
    if plain:
        return _bad("swap", f"{', '.join(plain)} is not encrypted", "switch it off (swapoff -a) or encrypt it")
    return _good("swap", "none, or encrypted")


def _is_safe_swap(device: Path) -> bool:
    name = device.resolve().name
    if name.startswith("zram"):
        return True
    try:
        return (Path("/sys/block") / name / "dm" / "uuid").read_text("ascii").startswith("CRYPT-")
    except OSError:
        return False


def _permissions(config: Config) -> list[Finding]:
    """Secrets and keys are for this user alone."""
    private = [config.data.directory, config.keyring.directory, config.keyring.root_key_file]
    private += [replica.directory for replica in config.keyring.replicas]
    private += [
        path
        for path in (
            config.database.password_file,
            config.store.access_key_file,
            config.store.secret_key_file,
            config.keyring.token_pin_file,
            config.mail.password_file,
        )
        if path is not None
    ]
    wrong = []
    for path in private:
        if path.exists() and path.stat().st_mode & (stat.S_IRWXO | stat.S_IRWXG):
            wrong.append(str(path))
    if wrong:
        return [_bad("permissions", f"others may open {', '.join(wrong)}", f"chmod go= {' '.join(wrong)}")]
    findings = [_good("permissions", "keys and data are closed to others")]
    kit = config.keyring.root_key_file.with_name("recvault-recovery-kit.txt")
    if kit.exists():
        findings.append(_warning("recovery kit", f"lies in {kit}", "print it, lock the paper away, delete the file"))
    return findings


# --- the archive


def look_at(archive: Archive) -> Iterator[Finding]:
    looks: tuple[Callable[[Archive], Finding], ...] = (
        _database,
        _store,
        _place,
        _clocks,
        _keyring,
        _root_key,
        _offline_copies,
        _backup,
        _ledger,
        _log,
        _policy,
        _overdue,
        _brakes,
        _sign_in,
        _sources,
        _approvals,
        _mail,
        *((_issuers,) if archive.config.oidc else ()),
    )
    for look in looks:
        try:
            yield look(archive)
        except RecvaultError as fault:
            yield _bad(look.__name__.strip("_"), str(fault), "mend this first, then look again")


def _issuers(archive: Archive) -> Finding:
    faults = archive.federation.check()
    if faults:
        told = "; ".join(f"{name}: {fault}" for name, fault in sorted(faults.items()))
        return _bad("sign-in services", told, "'recvault oidc check' looks again")
    if archive.local_sign_in.only_break_glass and not archive.local_sign_in.accounts():
        return _warning(
            "sign-in services",
            "nobody can sign in when they are away",
            "keep an account for that day: recvault oidc break-glass ACCOUNT",
        )
    return _good("sign-in services", ", ".join(one.name for one in archive.federation.offers))


def _database(archive: Archive) -> Finding:
    archive.database.check()
    kind = "SQLite" if archive.config.database.is_sqlite else "PostgreSQL"
    return _good("database", f"{kind} answers, its schema is this program's")


def _store(archive: Archive) -> Finding:
    archive.store.check()
    observed = archive.store.observe()
    if observed.free_bytes is not None and observed.free_bytes < FREE_SPACE:
        return _warning("store", f"answers; {observed.free_bytes // 1024**2} MiB are free", "give it more space")
    return _good("store", f"{observed.kind} answers")


def _place(archive: Archive) -> Finding:
    faults = archive.places.check()
    name = archive.config.store.place
    if faults:
        return _bad("place", f"{name}: {'; '.join(faults)}", "nothing is written there until this is in order")
    return _good("place", f"{name}: {archive.config.places[name].country}, allowed")


def _clocks(archive: Archive) -> Finding:
    now = archive.clock.now()
    skew = max(abs(now - archive.database.now()), abs(now - archive.store.now()))
    limit = timedelta(seconds=archive.config.purge.clock_skew_seconds)
    told = f"this machine, database and store differ by {skew.total_seconds():.1f} s"
    if skew > limit:
        return _bad("clocks", told, "set them by NTP; nothing is destroyed until they agree")
    return _good("clocks", told)


def _keyring(archive: Archive) -> Finding:
    replicas = archive.keyring.replicas()
    faults = [f"{replica.place}: {replica.fault}" for replica in replicas if replica.fault]
    if faults:
        return _bad(
            "keyring", "; ".join(faults), "bring the place back; new keys wait for it. If it is lost: docs/KEYS.md"
        )
    if len(replicas) == 1:
        return _warning(
            "keyring",
            "stands in one place only",
            "add keyring.replicas on another disk, then 'recvault keys replica add': if it is lost, all is lost",
        )
    return _good("keyring", f"in step in {len(replicas)} places")


def _root_key(archive: Archive) -> Finding:
    """It opened the keyring a moment ago; what is left to ask is what became of the one before."""
    keyring = keyring_of(archive)
    told = f"{keyring.root_id}, {keyring.root_place}"
    if archive.config.keyring.root == "pkcs11" and keyring.recovery_public is None:
        return _bad("root key", f"{told}; it has no recovery kit", "change the root key: docs/KEYS.md")
    change = keyring.last_root_change
    if change is not None and change.ended_at is None:
        return _warning(
            "root key",
            f"{told}; the one before ({change.before}) is not destroyed",
            "lock the new kit away, then run 'recvault keys root finish'",
        )
    return _good("root key", told)


def _offline_copies(archive: Archive) -> Finding:
    now = archive.clock.now()
    out = [copy for copy in archive.keyring.offline_copies() if copy.ended_at is None]
    over = [copy.id for copy in out if copy.expires_at <= now]
    if over:
        return _bad(
            "offline copies",
            f"past their days: {', '.join(over)}; what was destroyed since is not beyond their reach",
            "destroy them, then run 'recvault keys copies --destroyed ID'",
        )
    lost = sorted({place.place for place in archive.keyring.lost_places() if place.found_at is None})
    if lost:
        return _warning(
            "offline copies",
            f"{len(out)} within their days; places lost with what they held: {', '.join(lost)}",
            "change the root key if they may be in other hands: docs/KEYS.md",
        )
    return _good("offline copies", f"{len(out)}, within their days")


def _backup(archive: Archive) -> Finding:
    if archive.keyring.backup_confirmed():
        return _good("recovery kit", "a person has confirmed to have locked it away")
    return _bad("recovery kit", "not confirmed", "lock it away, then run 'recvault keys confirm-backup'")


def _ledger(archive: Archive) -> Finding:
    head = archive.ledger.verify()
    behind = archive.ledger.behind()
    try:
        archive.ledger.require_servable()
    except DatabaseBehind as fault:
        return _bad("ledger", str(fault), "run 'recvault ledger replay' and read what it tells")
    if behind:
        return _bad("ledger", f"the database is {behind} entries behind", "run 'recvault ledger replay'")
    if not archive.database.witness().may_be_swept:
        return _warning("ledger", "holds; the sweeper is off since a restore", "look at 'recvault restore orphans'")
    return _good("ledger", f"holds, {head.sequence} entries")


def _log(archive: Archive) -> Finding:
    head, latest = archive.checkpoints.check(), archive.checkpoints.latest()
    told = f"{head.size} entries continue what was published"
    if latest is None:
        return _warning("audit log", "has no checkpoint yet", "start the worker; it publishes one every minute")
    if not archive.config.log_checkpoints.witnesses and archive.config.log_checkpoints.directory is None:
        return _warning(
            "audit log",
            f"{told}; nobody else keeps a checkpoint",
            "name a witness in [log_checkpoints]: docs/AUDIT-LOG.md",
        )
    return _good("audit log", f"{told}; checkpoint of {latest.published_at:%Y-%m-%d %H:%M} UTC, {latest.size} entries")


def _policy(archive: Archive) -> Finding:
    signed = archive.retention.signed()
    if signed is None:
        return _bad("policy", "none is in force", "run 'recvault init'")
    if signed.signed_at is None:
        return _warning(
            "policy",
            f"version {signed.version} is not signed; nothing is destroyed",
            "a privacy handler signs it: recvault policy sign --as USER",
        )
    try:
        waiting = archive.retention.waiting(archive.config.retention.policy_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecvaultError):
        return _bad("policy", "the configured policy file cannot be used", "see: recvault policy check FILE")
    if waiting is not None:
        return _warning(
            "policy",
            f"version {signed.version} is in force, the configured file says {waiting}",
            "try it, then put it in force: recvault policy simulate FILE, recvault policy activate FILE --as USER",
        )
    return _good("policy", f"version {signed.version}, signed")


def _brakes(archive: Archive) -> Finding:
    suspension = archive.suspensions.standing()
    if suspension is not None:
        return _warning(
            "destruction",
            f"suspended until {suspension.until:%Y-%m-%d %H:%M} UTC",
            "when it is not needed any more: recvault purge unsuspend --as USER",
        )
    outlook = archive.forecast.outlook()
    if outlook.stops:
        return _bad(
            "destruction",
            f"{outlook.surprise.unforeseen} are due that no forecast of at least some hours ago counted",
            "check clocks and policy; a new archive waits a day; else 'recvault purge confirm --as USER'",
        )
    if outlook.forecast is None:
        return _warning("destruction", "there is no forecast yet", "start the worker; it makes one every night")
    return _good("destruction", f"as foreseen by the forecast of {outlook.forecast.made_at:%Y-%m-%d %H:%M} UTC")


def _approvals(archive: Archive) -> Finding:
    if archive.config.approvals.proof == "account":
        mend = 'where the desk is used, set approvals.proof = "passkey"'
        return _warning("approvals", "an account alone approves, without a passkey", mend)
    if not archive.config.server.web_enabled:
        mend = 'set server.web_enabled = true, or approvals.proof = "account"'
        return _warning("approvals", "approving takes a passkey, and the desk is off", mend)
    if not archive.passkeys.of_approvers():
        return _warning(
            "approvals", "no approver has a passkey", "each adds one at the desk, on their own account's page"
        )
    return _good("approvals", f"take a passkey of {archive.passkeys.party.id}")


def _sign_in(archive: Archive) -> Finding:
    told, mend = sign_in_state(archive.config)
    return _warning("sign-in", told, mend) if mend else _good("sign-in", told)


def _sources(archive: Archive) -> Finding:
    told, mend, out = source_state(archive.sources.all(), archive.config, archive.clock.now())
    if not mend:
        return _good("sources", told)
    return _bad("sources", told, mend) if out else _warning("sources", told, mend)


def _overdue(archive: Archive) -> Finding:
    before = archive.clock.now() - timedelta(hours=archive.config.purge.overdue_alarm_hours)
    with archive.database.read() as unit:
        overdue = unit.communications.count_overdue(before)
        attention = unit.communications.count_attention()
    if overdue:
        return _bad(
            "overdue",
            f"{overdue} communications are there longer than they may",
            "see that the worker runs and the policy is signed: recvault purge --dry-run",
        )
    return _good("overdue", f"nothing; {attention} communications wait for a person's look")


def _mail(archive: Archive) -> Finding:
    """As far as a mail server can be looked at without sending: its certificate, its name, and our sign-in."""
    mend = "mend it, then send one: recvault mail test ADDRESS"
    try:
        told = archive.mailing.check()
    except RecvaultError as fault:
        return _bad("mail", str(fault), mend)
    late, code = archive.mailing.late()
    if late:
        return _warning("mail", f"{told}; {late} mails wait ({code or 'no worker has tried'})", mend)
    return _good("mail", told)
