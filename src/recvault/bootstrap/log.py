"""How often the audit log gets a checkpoint, those outside who are told of it, and the system's own acts in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from recvault import __version__
from recvault.config import Config
from recvault.domain.checkpoints import parse_key
from recvault.domain.ports.publication import Outlet
from recvault.services.audit_log import AuditLog
from recvault.services.checkpoints import CheckpointRules
from recvault.services.system_acts import SystemActs

if TYPE_CHECKING:
    from recvault.bootstrap.services import Parts


def checkpoint_rules(config: Config) -> CheckpointRules:
    """How often."""
    section = config.log_checkpoints
    return CheckpointRules(interval=timedelta(seconds=section.interval_seconds), leaves=section.leaves)


def system_acts(parts: Parts, audit: AuditLog) -> SystemActs:
    """What notes the system's own acts."""
    return SystemActs(
        database=parts.database,
        keyring=parts.keyring,
        audit=audit,
        clock=parts.clock,
        limit=timedelta(seconds=parts.config.purge.clock_skew_seconds),
    )


def flat(config: Config) -> dict[str, object]:
    """Every key as ``section.key`` with its value in JSON; a list is one value."""
    found: dict[str, object] = {}

    def walk(before: str, value: object) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                walk(f"{before}.{name}" if before else str(name), inner)
        else:
            found[before] = value

    walk("", config.model_dump(mode="json"))
    return found


def outlets(config: Config, resources: ExitStack) -> list[Outlet]:
    """Whoever the configuration names."""
    section = config.log_checkpoints
    found: list[Outlet] = []
    if section.directory is None and not section.webhook and not section.witnesses:
        return found
    import httpx  # not above: only here is it needed, and it makes every command start later

    from recvault.adapters.log_outlets import TIMEOUT_SECONDS, DirectoryOutlet, Webhook, WitnessOutlet

    if section.directory is not None:
        found.append(DirectoryOutlet(section.directory))
    if section.webhook or section.witnesses:
        client = resources.enter_context(
            httpx.Client(timeout=TIMEOUT_SECONDS, headers={"User-Agent": f"recvault/{__version__}"}, trust_env=False)
        )
        if section.webhook:
            found.append(Webhook(section.webhook, client=client))
        for line in section.witnesses:
            url, _, key = line.partition(" ")
            found.append(WitnessOutlet(url, parse_key(key), client=client))
    return found
