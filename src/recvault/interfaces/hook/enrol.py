"""Fetching the archive's public key. Invariant: only a whole, live key replaces the one that is there.

Keys change monthly: the agent comes here daily. Whether a key may still be used is decided in ``enrolment``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from recvault.domain.errors import Forbidden, InvalidInput, RecvaultError, Unavailable
from recvault.interfaces.hook.answers import read_object, refused_entry
from recvault.interfaces.hook.client import Answer, ArchiveClient, check_url
from recvault.interfaces.hook.enrolment import Enrolment
from recvault.interfaces.hook.spool import Spool, now
from recvault.sealing.wrapping import check_key_id


class NotAnArchive(RecvaultError):
    """Something answered that is no archive."""

    code = "not-an-archive"


def enrol(
    *, url: str, token_file: Path, ca_file: Path | None, certificate_file: Path | None = None, spool: Spool
) -> Enrolment:
    """Fetches the key of the archive at ``url`` and stores it, with where it came from, in ``spool``.

    ConfigurationError, TokenUnreadable, Unreachable, Forbidden, Unavailable, NotAnArchive: then what was there stays.
    """
    client = ArchiveClient(url=url, token_file=token_file, ca_file=ca_file, certificate_file=certificate_file)
    try:
        answer = client.edge_key()
    finally:
        client.close()
    _require_granted(answer)
    enrolment = replace(
        _read(answer, url=check_url(url), token_file=token_file, ca_file=ca_file), certificate_file=certificate_file
    )
    enrolment.require_live(enrolment.fetched_at)
    enrolment.save(spool)
    return enrolment


def _require_granted(answer: Answer) -> None:
    if answer.status in {401, 403}:
        raise Forbidden(refused_entry(answer))
    if answer.status >= 500 or answer.status in {408, 425, 429}:
        raise Unavailable(f"the archive answered {answer.status}; try again later")
    if answer.status != 200:
        raise NotAnArchive(f"the address answered {answer.status}; see that url is the archive's own address")


def _read(answer: Answer, *, url: str, token_file: Path, ca_file: Path | None) -> Enrolment:
    sent = read_object(answer.body)
    try:
        return Enrolment(
            url=url,
            token_file=token_file,
            ca_file=ca_file,
            key_id=check_key_id(str(sent["key_id"])),
            public_key=base64.b64decode(str(sent["public_key"]), validate=True),
            not_after=datetime.fromisoformat(str(sent["not_after"])),
            fetched_at=now(),
        )
    except (KeyError, ValueError, binascii.Error, InvalidInput):
        raise NotAnArchive("the answer holds no edge key; see that url is the archive's own address") from None
