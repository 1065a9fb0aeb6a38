"""The audit log's newest checkpoint, for witnesses and whoever else keeps one. Open to everybody: it proves, it does not tell.

Only sizes and hashes leave here. What stands in the log is read elsewhere, by whose role allows it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from recvault.adapters.log_outlets import addition_text
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.errors import NotFound
from recvault.interfaces.http.identity import ArchiveDep
from recvault.services.log_proofs import LogProofs

router = APIRouter(prefix="/v1/log", default_response_class=PlainTextResponse)


@router.get("/checkpoint")
def checkpoint(archive: ArchiveDep) -> str:
    """The newest checkpoint with the signatures of witnesses, as a signed note (C2SP tlog-checkpoint)."""
    return _latest(archive).note()


@router.get("/addition")
def addition(archive: ArchiveDep, old: Annotated[int, Query(ge=0, lt=2**62)] = 0) -> str:
    """The newest checkpoint with the proof that it continues the log's first ``old`` entries, as C2SP add-checkpoint
    takes it. 409 when the log has fewer."""
    return addition_text(LogProofs(database=archive.database).addition(old, _latest(archive)))


def _latest(archive: ArchiveDep) -> Checkpoint:
    latest = archive.checkpoints.latest()
    if latest is None:
        raise NotFound("there is no checkpoint of the audit log yet; ask again in a minute")
    return latest
