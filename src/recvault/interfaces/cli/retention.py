"""Commands about keeping and destroying, from their modules: policy, what moves an end, purge, holds."""

from __future__ import annotations

import typer

from recvault.interfaces.cli import holds, policies, purge, retention_events


def add_to(app: typer.Typer) -> None:
    """Adds them, in the order of the help page."""
    policies.add_to(app)
    purge.add_to(app)
    retention_events.add_to(app)
    holds.add_to(app)
