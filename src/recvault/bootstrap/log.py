"""How often the audit log gets a checkpoint, and those outside who are told of it."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import httpx

from recvault import __version__
from recvault.adapters.log_outlets import TIMEOUT_SECONDS, DirectoryOutlet, Webhook, WitnessOutlet
from recvault.config import Config
from recvault.domain.checkpoints import parse_key
from recvault.domain.ports.publication import Outlet
from recvault.services.checkpoints import CheckpointRules


def checkpoint_rules(config: Config) -> CheckpointRules:
    """How often."""
    section = config.log_checkpoints
    return CheckpointRules(interval=timedelta(seconds=section.interval_seconds), leaves=section.leaves)


def outlets(config: Config, resources: ExitStack) -> list[Outlet]:
    """Whoever the configuration names."""
    section = config.log_checkpoints
    found: list[Outlet] = []
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
