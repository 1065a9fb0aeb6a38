"""A small archive for the hook's tests: a real HTTP server that opens envelopes, and answers by script.

An answer of the script is used for one upload each; without script it stores and gives a true receipt.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typing_extensions import override

from recvault.interfaces.hook.spool import now
from recvault.sealing.edge import EdgeOpener, edge_unwrap

TOKEN = "rv1-a-token-of-this-source"
KEY_ID = "edge/2026-11"
COMMUNICATION = "019aa000-0000-7000-8000-000000000001"


@dataclass
class Arrived:
    """What one upload carried."""

    metadata: dict[str, Any]
    content: bytes


@dataclass
class Reply:
    """What to answer: ``close_after`` closes the connection after so many bytes of the body, ``silent`` never
    answers."""

    status: int = 201
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    close_after: int | None = None
    silent: bool = False


def problem(status: int, code: str, **headers: str) -> Reply:
    """A problem document as the archive writes it."""
    body = json.dumps({"type": f"/problems/{code}", "status": status, "detail": "as scripted"}).encode()
    return Reply(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Archive:
    """The server's state, seen by the tests."""

    def __init__(self) -> None:
        self.private = X25519PrivateKey.generate()
        self.key_id = KEY_ID
        self.not_after = "2099-12-31T00:00:00+00:00"
        self.edge_key: Reply | None = None
        self.script: list[Reply] = []
        self.arrived: list[Arrived] = []
        self.uploads = 0
        self.port = 0
        self.scheme = "http"
        self.released = threading.Event()
        self.during: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def open(self, envelope: bytes) -> Arrived:
        """Opens an envelope, all of it; Tampered."""
        opener = EdgeOpener(open_key=lambda key_id, enc: edge_unwrap(self.private.private_bytes_raw(), key_id, enc))
        content = opener.feed(envelope) + opener.close()
        assert opener.metadata is not None
        return Arrived(json.loads(opener.metadata), content)

    def open_file(self, path: Path) -> Arrived:
        return self.open(path.read_bytes())


def receipt(content: bytes, **other: object) -> bytes:
    """A receipt for ``content``."""
    value = {
        "id": COMMUNICATION,
        "sha256": hashlib.sha256(content).hexdigest(),
        "length": len(content),
        "stored_at": now().isoformat(),
        "destroy_at": "2030-01-01T00:00:00+00:00",
        "place": "fi-1",
        "needs_attention": [],
    }
    return json.dumps({**value, **other}).encode()


def _handler(archive: Archive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

        def reply(self, answer: Reply, body: bytes) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self.reply(problem(401, "not-authenticated"), b"{}")
                return
            key = {
                "key_id": archive.key_id,
                "public_key": base64.b64encode(archive.private.public_key().public_bytes_raw()).decode(),
                "not_after": archive.not_after,
            }
            answer = archive.edge_key or Reply(status=200, body=json.dumps(key).encode())
            self.reply(answer, answer.body or b"")

        def do_POST(self) -> None:
            archive.uploads += 1
            answer = archive.script.pop(0) if archive.script else Reply()
            archive.during()
            length = int(self.headers["Content-Length"])
            if answer.close_after is not None:
                self.rfile.read(min(answer.close_after, length))
                self.close_connection = True
                self.connection.close()
                return
            body = self.rfile.read(length)
            if answer.silent:
                archive.released.wait(30)
                self.close_connection = True
                return
            if len(body) < length:  # the sender broke off
                self.close_connection = True
                return
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                answer = problem(401, "not-authenticated")
            assert self.headers["Content-Type"] == "application/vnd.recvault.sealed"
            if answer.body is not None:
                self.reply(answer, answer.body)
                return
            found = archive.open(body)
            archive.arrived.append(found)
            self.reply(answer, receipt(found.content))

    return Handler


def certificate(folder: Path) -> Path:
    """Makes a self-signed certificate for 127.0.0.1 in ``folder``: ``ca.pem`` to trust, and ``server.pem`` with its
    key to serve (returned)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an archive in a test")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + pem)
    return folder / "server.pem"


@contextmanager
def running(pem: Path | None = None) -> Iterator[Archive]:
    """An archive on loopback; with TLS when ``pem`` holds its key and certificate."""
    archive = Archive()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(archive))
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        archive.scheme = "https"
    server.daemon_threads = True
    server.timeout = 5
    archive.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        archive.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
