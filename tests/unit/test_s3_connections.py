"""An answer of the store that breaks off is never taken for a whole one, at whatever byte it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import urllib3

from recvault.adapters.s3.connections import pool_manager

ANSWER = b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: "0"\r\nx-amz-version-id: abc\r\nContent-Length: 4\r\n\r\nbody'


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def answers(listener: socket.socket, texts: list[bytes]) -> None:
    for text in texts:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(text)


def test_only_the_whole_answer_is_an_answer(listener: socket.socket) -> None:
    cuts = [ANSWER[:length] for length in range(len(ANSWER))]
    server = threading.Thread(target=answers, args=(listener, [*cuts, ANSWER]))
    server.start()
    with pool_manager(retries=False, timeout=10) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for cut in cuts:
            with pytest.raises(urllib3.exceptions.ProtocolError):
                pytest.fail(f"{cut!r} was taken for an answer: {pool.request('PUT', url).headers}")
        answer = pool.request("PUT", url)
    server.join(10)
    assert (answer.status, answer.headers["x-amz-version-id"], answer.data) == (200, "abc", b"body")
