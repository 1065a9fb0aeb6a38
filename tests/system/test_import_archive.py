"""``recvault import-archive`` as an operator runs it, on the embedded default."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

REAL = Path(__file__).parents[1] / "samples" / "real"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}


def recvault(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recvault", *words],
        cwd=home,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def set_up(home: Path) -> list[Path]:
    """An archive, and a folder with a map of real recordings: one old, one without its file, one out of the map."""
    for words in (
        "init",
        "keys confirm-backup",
        "source add old-recorder --token-file token --notice n --balancing-test b",
    ):
        done = recvault(home, *words.split())
        assert done.returncode == 0, done.stderr
    folder = home / "old"
    folder.mkdir()
    files = [Path(shutil.copy(file, folder)) for file in sorted(REAL.glob("asterisk-*-mixed.*"))]
    recent = datetime.now(UTC) - timedelta(days=20)
    rows = ["tiedosto;kanava;suunta;alkuaika;kesto;numero"]
    rows += [f"{file.name};puhelu;saapuva;{recent:%d.%m.%Y %H:%M};0:06;040 1234501" for file in files[2:]]
    rows += [f"{files[0].name};puhelu;saapuva;10.1.2019 10:00;0:06;040 1234501"]
    rows += ["gone.wav;puhelu;saapuva;10.1.2019 10:00;0:06;040 1234501"]
    (folder / "map.csv").write_text("\n".join(rows), "utf-8")
    return files


@pytest.mark.slow
def test_a_folder_goes_in_once_and_everything_else_is_told(tmp_path: Path) -> None:
    files = set_up(tmp_path)
    words = ("import-archive", "old", "--map", "old/map.csv", "--as-source", "old-recorder")
    zoned = (*words, "--time-zone", "Europe/Helsinki")

    unzoned = recvault(tmp_path, *words, "--dry-run")
    assert unzoned.returncode == 1
    assert "--time-zone" in unzoned.stdout

    dry = recvault(tmp_path, *zoned, "--dry-run")
    assert dry.returncode == 1  # a row has no file
    assert dry.stderr == ""
    assert f"overdue: line {len(files)}: {files[0].name}: its retention ended on" in dry.stdout
    assert f"row without file: line {len(files) + 1}: gone.wav" in dry.stdout
    assert f"file without row: {files[1].name}" in dry.stdout
    assert "map.csv" not in dry.stdout
    assert "nothing was stored" in dry.stdout
    assert f"would be taken {len(files) - 2}" in dry.stdout

    for outcome in ("stored", "already_stored"):
        said = recvault(tmp_path, *zoned, "--json")
        assert (said.returncode, said.stderr) == (1, "")
        *listed, sums = [json.loads(line) for line in said.stdout.splitlines()]
        assert sums["outcomes"][outcome] == len(files) - 2
        assert sums["needs_attention"] == len(files) - 2  # an unknown customer
        assert [item["outcome"] for item in listed] == ["overdue", "row_without_file", "file_without_row"]
    assert sorted(file.name for file in (tmp_path / "old").iterdir()) == sorted([*(f.name for f in files), "map.csv"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--as-source", "nobody"), 3, "no such source"),
        (("--as-source", "old-recorder", "--time-zone", "Nowhere"), 2, "no such time zone"),
        (("--as-source", "old-recorder", "--map", "token"), 2, "headed"),
    ],
)
@pytest.mark.slow
def test_what_is_refused_says_why(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    set_up(tmp_path)
    done = recvault(tmp_path, "import-archive", "old", "--map", "old/map.csv", *words)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
