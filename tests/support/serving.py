"""A real HTTP server on loopback around an archive, and raw ways to talk to it (cut connections included)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from recvault.bootstrap import Archive
from recvault.interfaces.http.app import create_app

BOUNDARY = "recvault-test-boundary"


@dataclass
class Served:
    """A running server: its port, and a client."""

    port: int
    client: httpx.Client

    def upload(self, token: str, metadata: object, content: bytes, **parts: bytes) -> httpx.Response:
        """A whole upload in the form the API asks for."""
        body = multipart(("metadata", metadata), ("content", content), *parts.items())
        return self.send(token, body)

    def send(self, token: str, body: bytes, content_type: str | None = None) -> httpx.Response:
        """A body as it is."""
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": content_type or f"multipart/form-data; boundary={BOUNDARY}",
        }
        return self.client.post("/v1/communications", content=body, headers=headers)

    def send_raw(self, token: str, body: bytes, *, announced: int) -> bytes:
        """Announces a length, sends ``body``, closes its side, and returns whatever was answered."""
        head = (
            f"POST /v1/communications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {announced}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


def multipart(*parts: tuple[str, object]) -> bytes:
    """A multipart/form-data body; values that are not bytes become JSON."""
    lines: list[bytes] = []
    for name, value in parts:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        lines.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serve(archive: Archive, port: int = 0) -> Iterator[Served]:
    """The archive's API on a loopback port, a free one unless one is given, for as long as the block runs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(archive), log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        while not server.started:
            thread.join(0.01)
        yield Served(port=port, client=client)
    server.should_exit = True
    thread.join(10)
    listener.close()


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an answer."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code and document["detail"] and document["request_id"]
    return document
