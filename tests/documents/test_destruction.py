"""The auditor's page is run, command by command, and says what it quotes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "DESTRUCTION.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BREAK = "--- end of block ---"


@pytest.mark.timeout(1200)
def test_the_page_is_what_happens(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    script = ["set -e", "exec 2>&1"]
    for kind, text in blocks:
        if kind == "sh":
            script += [text, f"echo; echo '{BREAK}'"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment | {"PATH": path, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = done.stdout.split(BREAK)
    assert done.returncode == 0, done.stdout[-3000:]
    number = -1
    for kind, text in blocks:
        if kind == "sh":
            number += 1
        else:
            for line in text.splitlines():
                pattern = ".*".join(re.escape(part) for part in line.split("…"))
                assert re.search(f"^{pattern}$", said[number], re.MULTILINE), (line, said[number])
    assert number > 5
