"""A purge worker in a process of its own: told on standard input where the archive is, it tells on standard output what it
destroyed. Started by :func:`start`; the keys to Ceph travel on standard input too, never in arguments.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from recvault.bootstrap import assemble
from recvault.services.purge import PurgeReport
from tests.servers.ceph import Ceph
from tests.support.archives import Parts, configuration
from tests.support.worlds import SteadyFolder, SteadyS3, ceph_configuration, reopen

ROOT = Path(__file__).parents[2]


def start(
    parts: Parts, directory: Path, worker: str, *, ceph: Ceph | None = None, **settings: str
) -> subprocess.Popen[str]:
    """Starts a worker on the durable state of ``parts``; it waits for a line on standard input before it begins."""
    engine = parts.database._engine.url
    order = {
        "directory": str(directory),
        "url": engine.render_as_string(hide_password=False),
        "moment": parts.clock.now().isoformat(),
        "worker": worker,
        "settings": settings,
        "bucket": parts.config.store.bucket,
        "ceph": None if ceph is None else asdict(ceph) | {"ca_file": str(ceph.ca_file)},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.second_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Lets it begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def reported(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it did; its traceback when it failed."""
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


def main() -> None:
    """The worker's side."""
    order = json.loads(sys.stdin.readline())
    directory = Path(order["directory"])
    store: SteadyFolder | SteadyS3
    if order["ceph"] is None:
        store, config = SteadyFolder(directory / "objects"), configuration(**order["settings"])
    else:
        ceph = Ceph(**(order["ceph"] | {"ca_file": Path(order["ceph"]["ca_file"])}))
        store = SteadyS3(ceph.settings(order["bucket"]))
        config = ceph_configuration(ceph, order["bucket"], **order["settings"])
    moment = datetime.fromisoformat(order["moment"])
    parts = reopen(directory, url=order["url"], store=store, moment=moment, config=config)
    archive = assemble(
        config,
        database=parts.database,
        store=store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
    )
    print("ready", flush=True)
    sys.stdin.readline()
    with archive:
        report: PurgeReport = archive.purge.run(order["worker"])
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
