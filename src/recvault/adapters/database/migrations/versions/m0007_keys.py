"""Generations of period keys that wait for a newer backup."""

from __future__ import annotations

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Generations of period keys that wait for a newer backup."""
