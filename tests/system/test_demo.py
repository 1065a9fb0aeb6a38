"""The demo, as a stranger runs it: twice in the same directory, and never over anybody else's files."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from recvault.domain.errors import Conflict
from recvault.interfaces.demo.home import MARKER, fresh
from tests.servers.ceph import Ceph
from tests.servers.run import ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
PROOFS = (
    "7 receipts came back",
    "5 found by customer number, 4 of them by '040 123 4501'",
    "206 bytes 16000-31999/96044: the same bytes as recorded",
    "Aatu Auditor: 403",
    "Tuuli Trainee: 403",
    "purpose-not-live",
    "past its end, held, and still there",
    "its objects were looked for, and there are none",
    "opening it: 410",
    "once more: 410",
    "genuine: old-order-inaccessible.json",
    "genuine: old-delivery-complete.json",
    "one letter changed: refused",
    "audit log:",
    "ledger outside the database:",
    "Everything held",
)


def demo(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recvault", "demo", *words],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


@pytest.mark.slow
def test_the_walk_holds_twice_in_the_same_directory(tmp_path: Path) -> None:
    for done in (demo("--once", cwd=tmp_path), demo("--once", cwd=tmp_path)):
        assert done.returncode == 0, done.stdout + done.stderr
        assert [proof for proof in PROOFS if proof not in done.stdout] == []
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
        numbers = re.findall(r"^ {0,1}(\d+)  ", done.stdout, re.MULTILINE)
        assert numbers == [str(number) for number in range(1, 11)]
    assert (tmp_path / "demo-data" / MARKER).is_file()


@pytest.mark.slow
@pytest.mark.s3
def test_the_walk_holds_on_a_store_that_is_started_and_stopped_for_it(tmp_path: Path, ceph: Ceph) -> None:
    """``ceph`` only says whether there is one here: the script starts its own and leaves nothing behind."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo_s3", "--once", "--data", str(tmp_path / "d")],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [proof for proof in PROOFS if proof not in done.stdout] == []
    port = re.search(r"objects in an S3 store at 127\.0\.0\.1:(\d+)", done.stdout)
    assert port is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0


def test_without_ceph_it_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo_s3", "--once"],
        cwd=ROOT,
        env=ENVIRONMENT | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 1
    assert "apt-get install" in done.stderr
    assert "radosgw" in done.stderr


def test_the_store_options_go_together(tmp_path: Path) -> None:
    done = demo("--once", "--store-bucket", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "--store-endpoint" in done.stderr
    assert not any(tmp_path.iterdir())


@contextmanager
def staying(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that stays up, and all it said until then."""
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "recvault", "demo", "--data", "d"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            text=True,
        )
        try:
            deadline = time.monotonic() + 300
            while "doctor" not in said.read_text("utf-8"):
                assert process.poll() is None, said.read_text("utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield process, said.read_text("utf-8")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.mark.slow
def test_it_stays_up_with_accounts_until_told(tmp_path: Path) -> None:
    with staying(tmp_path) as (process, said):
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        password = re.search(r"vera +(\S+)", said.split("Accounts")[1])
        assert address is not None
        assert password is not None
        session = f"{address[0]}/v1/session"
        wrong = urllib3.request("POST", session, json={"name": "vera", "password": "not the right one"})
        right = urllib3.request("POST", session, json={"name": "vera", "password": password[1]})
        assert (wrong.status, right.status) == (401, 201)
        second = demo("--once", "--data", "d", cwd=tmp_path)
        assert second.returncode == 3
        assert "another demo runs" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    checked = subprocess.run(
        [sys.executable, "-m", "recvault", "--config", "d/recvault.toml", "audit", "verify"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        timeout=500,
    )
    assert checked.returncode == 0


def test_what_is_not_a_demos_is_not_touched(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = demo("--once", "--data", "mine", cwd=tmp_path)
    assert done.returncode == 3
    assert "nothing in it was touched" in done.stderr
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]


def test_a_foreign_marker_or_a_link_is_not_believed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / MARKER).write_text("something else")
    (mine / "thesis.txt").write_text("years of work")
    (tmp_path / "link").symlink_to(mine)
    (tmp_path / "file").write_text("a file")
    for name in ("mine", "link", "file"):
        with pytest.raises(Conflict), fresh(tmp_path / name):
            pass
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_an_earlier_demo_is_replaced_but_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    with fresh(tmp_path / "d") as home:
        (home.root / "data").mkdir()
        (home.root / "data" / "old").write_text("old")
        (home.root / "link").symlink_to(outside)
        with pytest.raises(Conflict, match="another demo runs"), fresh(tmp_path / "d"):
            pass
    with fresh(tmp_path / "d") as home:
        assert [entry.name for entry in home.root.iterdir()] == [MARKER]
    assert (outside / "kept").read_text() == "kept"
