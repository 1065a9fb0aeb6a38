"""``recvault demo``: an archive of its own, walked through from the hook to the destruction.

The parts are the real ones: the HTTP server, the worker, the hook as its own program, SQLite, a folder (or an S3 bucket),
a key file. Only the times differ from the defaults for which a key may stay in memory, and between two looks for days that
are over, so that the last certificate can be shown. What is printed was looked at first; what does not hold ends the demo
with a fault.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recvault import bootstrap
from recvault.bootstrap import Archive
from recvault.config import load
from recvault.domain.errors import Unavailable
from recvault.interfaces.demo.home import Bucket, Home, fresh, write_config
from recvault.interfaces.demo.telling import Teller
from recvault.interfaces.demo.walk import Walk
from recvault.interfaces.logs import configure
from recvault.interfaces.process import no_core_dumps
from recvault.interfaces.server import Address, http_server, listening
from recvault.interfaces.worker import Rhythm, Worker

START_SECONDS = 20.0
"""How long the server may take until it answers."""

RHYTHM = Rhythm(closing=1)
"""How often the worker looks for keys whose day is over: often, for whoever looks on."""


def run(*, directory: Path, port: int, once: bool, bucket: Bucket | None = None) -> int:
    """The demo, on a folder or in ``bucket``; RecvaultError when something does not hold. Returns the exit code 0."""
    tell = Teller()
    began = time.monotonic()
    with fresh(directory) as home, listening(Address(host="127.0.0.1", port=port)) as bound:
        chosen = int(bound.getsockname()[1])
        address = f"http://127.0.0.1:{chosen}"
        write_config(home, port=chosen, bucket=bucket)
        config = load(home.config, {}, base=home.root)
        configure("console", "error")
        no_core_dumps()
        tell.title(f"recvault demo: an archive in {home.root}, served at {address}")
        bootstrap.initialise(config)
        with bootstrap.build(config) as archive:
            archive.keyring.confirm_backup()  # of an archive that is thrown away; so every other command works on it
            bootstrap.start(archive, demo=True)
            with _served(archive, bound) as worker:
                walk = Walk(archive=archive, worker=worker, home=home, address=address, tell=tell)
                walk.run()
                tell.space()
                tell.title(f"Everything held, in {time.monotonic() - began:.0f} seconds.")
                if not once:
                    _stay(walk, home, address, tell)
    return os.EX_OK


@contextmanager
def _served(archive: Archive, bound: socket.socket) -> Iterator[Worker]:
    """Server and worker beside us, as 'recvault serve --all' runs them; both end gracefully."""
    server = http_server(archive)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="http")
    worker = Worker(archive, rhythm=RHYTHM)
    thread.start()
    worker.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise Unavailable("the demo's server did not start; the log above says why")
            time.sleep(0.02)
        yield worker
    finally:
        server.should_exit = True
        thread.join()
        worker.stop()


def _stay(walk: Walk, home: Home, address: str, tell: Teller) -> None:
    """Tells how to go on, and waits for SIGINT or SIGTERM."""
    tell.say(f"The archive stays up at {address} (this machine only) until you press Ctrl-C.")
    tell.say("Accounts, made for this run:")
    tell.rows([(person.name, person.password, person.may) for person in walk.people.values()])
    tell.say("Try, in another terminal:")
    command = f"recvault --config {home.config}"
    tell.rows([(f"{command} search --as vera --purpose verification",), (f"{command} doctor",)])
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        told.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    tell.say("The archive is shut down; its data stays until the demo is run again.")
