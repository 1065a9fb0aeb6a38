"""The page of permissions is the program's own table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_table_says() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "permissions.py"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    written = (ROOT / "docs" / "PERMISSIONS.md").read_text(encoding="utf-8")
    assert written == printed, "run: scripts/permissions.py > docs/PERMISSIONS.md"
