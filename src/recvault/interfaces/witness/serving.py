"""A witness on the network: POST ``/add-checkpoint`` of C2SP tlog-witness, and nothing else. TLS is a proxy's to end.

One request at a time is decided; what is sent is read to a limit, and who dawdles is hung up on.
"""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from typing_extensions import override

from recvault.domain.checkpoints import NOTE_LIMIT
from recvault.domain.errors import Forbidden, InvalidInput, NotFound, RecvaultError
from recvault.domain.ports.publication import KnowsAnother
from recvault.interfaces.witness.watching import Contradiction, Witness, parse_addition

log = structlog.get_logger("recvault.witness")

PATIENCE_SECONDS = 10

_STATUS: tuple[tuple[type[RecvaultError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (Contradiction, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """Bound and not yet serving; port 0 takes a free one."""

    class Handler(_Handler):
        watching = witness

    made = ThreadingHTTPServer((host, port), Handler)
    made.daemon_threads = True
    return made


class _Handler(BaseHTTPRequestHandler):
    watching: Witness
    timeout = PATIENCE_SECONDS
    server_version = "recvault-witness"
    sys_version = ""

    def do_POST(self) -> None:
        """Adds a checkpoint."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if self.path != "/add-checkpoint":
            self._say(HTTPStatus.NOT_FOUND, "there is only /add-checkpoint here\n")
        elif not 0 <= length <= NOTE_LIMIT:
            self._say(HTTPStatus.BAD_REQUEST, "send a body of known length, at most 64 KiB\n")
        else:
            self._add(self.rfile.read(length))

    def _add(self, body: bytes) -> None:
        try:
            watched = self.watching.add(parse_addition(body.decode("utf-8", "replace")))
        except KnowsAnother as other:
            self._say(HTTPStatus.CONFLICT, f"{other.size}\n", kind="text/x.tlog.size")
        except RecvaultError as fault:
            status = next(
                (status for kind, status in _STATUS if isinstance(fault, kind)), HTTPStatus.INTERNAL_SERVER_ERROR
            )
            log.warning("checkpoint refused", code=fault.code, status=status.value)
            self._say(status, f"{fault}\n")
        else:
            self._say(HTTPStatus.OK, f"{watched.signature.line()}\n")

    def _say(self, status: HTTPStatus, text: str, *, kind: str = "text/plain; charset=utf-8") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """What matters is logged where it is decided."""
