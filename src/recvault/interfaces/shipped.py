"""Finds what is shipped beside the code: the retention policy with defaults that a company can defend."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from recvault.domain.errors import ConfigurationError

POLICY = "retention.toml"


def shipped_policy() -> bytes:
    """The shipped retention policy: from the installed package, or from ``config/`` of a source tree."""
    packaged = files("recvault").joinpath("_config", POLICY)
    if packaged.is_file():
        return packaged.read_bytes()
    in_tree = Path(__file__).parents[3] / "config" / POLICY
    if in_tree.is_file():
        return in_tree.read_bytes()
    raise ConfigurationError("the program came without its retention policy; install it again")
