"""Those outside who are told of checkpoints: a directory, a receiver of web requests, a witness (C2SP tlog-witness).

A directory gets a file for each, never replaced, so that a witness that reads it follows from its own last one; what lies in
``checkpoint`` is the newest, replaced as a whole. Requests go over TLS, or to this machine; what answers is read to a limit.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import httpx

from recvault.adapters.root_keyfile import sync_directory
from recvault.domain.checkpoints import NOTE_LIMIT, NoteKey, Signature, parse_signatures
from recvault.domain.errors import AuditFailure, Unavailable
from recvault.domain.ports.publication import Addition, KnowsAnother
from recvault.sealing.notes import verify_cosignature

TIMEOUT_SECONDS = 10


def addition_text(addition: Addition) -> str:
    """The body of C2SP add-checkpoint: what is known already, the proof, the note."""
    proof = [base64.b64encode(one).decode() for one in addition.proof]
    return "\n".join([f"old {addition.old}", *proof, "", addition.checkpoint.note()])


class DirectoryOutlet:
    """A directory that somebody else reads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def name(self) -> str:
        """See the port."""
        return "directory"

    def tell(self, addition: Addition) -> tuple[Signature, ...]:
        """See the port."""
        epoch = addition.checkpoint.origin.rpartition("/")[2]
        try:
            self._directory.mkdir(mode=0o755, exist_ok=True)
            self._write(f"{epoch}-{addition.old:012d}-{addition.checkpoint.size:012d}", addition_text(addition))
            self._write("checkpoint", addition.checkpoint.note())
            sync_directory(self._directory)
        except OSError as fault:
            raise Unavailable(
                f"the directory for checkpoints cannot be written: {fault.strerror}; see to its disk, owner and space"
            ) from fault
        return ()

    def _write(self, name: str, text: str) -> None:
        new = self._directory / f".{name}.{os.getpid()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._directory / name)


class Webhook:
    """Gets each checkpoint's note as the body of a POST."""

    def __init__(self, url: str, *, client: httpx.Client) -> None:
        self._url = url
        self._client = client

    @property
    def name(self) -> str:
        """See the port."""
        return "webhook"

    def tell(self, addition: Addition) -> tuple[Signature, ...]:
        """See the port."""
        answer = _post(self._client, self._url, addition.checkpoint.note())
        if not answer.is_success:
            raise Unavailable(f"the receiver of checkpoints answered {answer.status_code}; see to it")
        return ()


class WitnessOutlet:
    """A witness: verifies that the log only grows, and signs that it saw it."""

    def __init__(self, url: str, key: NoteKey, *, client: httpx.Client) -> None:
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._key = key
        self._client = client

    @property
    def name(self) -> str:
        """See the port."""
        return f"witness-{self._key.key_hash.hex()}"

    def tell(self, addition: Addition) -> tuple[Signature, ...]:
        """See the port."""
        answer = _post(self._client, self._url, addition_text(addition))
        if answer.status_code == httpx.codes.CONFLICT:
            size = answer.text.strip()
            if not size.isdecimal() or int(size) == addition.old:
                raise AuditFailure("the witness refuses: another tree of this size was signed for it; the log forked")
            raise KnowsAnother(int(size))
        if answer.status_code in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY):
            raise AuditFailure(
                f"the witness refuses the checkpoint ({answer.status_code}); ask its operator what it saw"
            )
        if not answer.is_success:
            raise Unavailable(f"the witness answered {answer.status_code}; it is asked again")
        signatures = parse_signatures(answer.text)
        signed = addition.checkpoint.with_signatures(*signatures)
        verify_cosignature(signed, self._key)
        return tuple(one for one in signatures if one.key_hash == self._key.key_hash)


def _post(client: httpx.Client, url: str, text: str) -> httpx.Response:
    try:
        with client.stream(
            "POST", url, content=text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"}
        ) as answer:
            body = b""
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > NOTE_LIMIT:
                    raise Unavailable("whoever is told of checkpoints answers too much; see what stands at its address")
            return httpx.Response(answer.status_code, content=body)
    except httpx.HTTPError as fault:
        raise Unavailable(
            f"whoever is told of checkpoints cannot be reached ({type(fault).__name__}); it is tried again"
        ) from None
