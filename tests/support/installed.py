"""Programs of the machine that some tests need: a missing one skips the test, and fails it where ``CI`` is set."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """Where it is; the Debian package it comes in is told when it is missing."""
    found = shutil.which(name)
    if found is None:
        told = f"{name} is missing: apt-get install -y --no-install-recommends {package}"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    return found
