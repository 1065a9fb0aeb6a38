"""``make demo S3=1``: the demo with its objects in a real Ceph, started for it and stopped by pid at the end.

Options are handed on to ``recvault demo``. The server, its bucket and its keys last as long as the demo.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import run
from tests.servers.ceph import Ceph, ceph


def main() -> int:
    """The demo's exit code; 1 when Ceph is not installed."""
    run.begin()
    try:
        print("Starting a Ceph S3 store for the demo, about ten seconds ...", flush=True)
        return _demo(ceph())
    except run.MissingServer as missing:
        print(f"{missing}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError:
        print("The Ceph S3 store did not start; what it said stands above.", file=sys.stderr)
        return 1
    finally:
        run.end()


def _demo(server: Ceph) -> int:
    keys = Path(tempfile.mkdtemp(dir=os.environ[run.VARIABLE]))
    for name, secret in (("access-key", server.access_key), ("secret-key", server.secret_key)):
        descriptor = os.open(keys / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
    store = {
        "--store-endpoint": server.endpoint,
        "--store-region": server.region,
        "--store-bucket": server.make_bucket(versioned=True),
        "--store-keys-dir": str(keys),
    }
    options = [word for option in store.items() for word in option]
    demo = subprocess.Popen([sys.executable, "-m", "recvault", "demo", *options, *sys.argv[1:]])
    # Ctrl-C reaches the demo as well, which ends gracefully; then the store is stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: demo.terminate())
    code = demo.wait()
    print("The S3 store is stopped, and its objects are gone with it.", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
