"""What an answer of the archive means for an entry. Pure: an answer and a sidecar in, a verdict out.

    200, 201  receipt with the same SHA-256 and length: delivered. Another receipt: refused, for a person.
              No receipt at all (a proxy's page, say): try again.
    410       destroyed (problem ``destroyed``): done. Any other 410: refused; the call may not be in the archive.
    409, 413, 422  refused: sending the same again cannot mend it.
    all else  try again, for ever. 401 and 403 are a matter of the token: the operator is told loudly.

Invariant: an entry is given up only on the archive's own word about this content.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

from recvault.domain.ids import is_uuid7
from recvault.interfaces.hook.client import Answer
from recvault.interfaces.hook.spool import Sidecar


class Fate(Enum):
    """What becomes of the entry."""

    DELIVERED = "delivered"
    DESTROYED = "destroyed"
    REFUSED = "refused"
    RETRY = "retry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """``reason`` is for people and without personal data; ``receipt_id`` the communication's id when stored."""

    fate: Fate
    reason: str = ""
    receipt_id: str | None = None


_CODE = re.compile(r"/problems/([a-z0-9-]{1,64})", re.ASCII)
_REFUSALS = {
    409: "the archive has other content under this source id",
    413: "the archive does not take content or metadata of this size",
    422: "the archive cannot read this envelope or its metadata",
}


def judge(answer: Answer, sidecar: Sidecar | None) -> Verdict:
    """The table above."""
    if answer.status in {200, 201}:
        return _receipt(answer, sidecar)
    if answer.status == 410 and problem_code(answer) == "destroyed":
        return Verdict(fate=Fate.DESTROYED, reason="the archive had it, and has destroyed it")
    if answer.status == 410:
        return Verdict(fate=Fate.REFUSED, reason="the archive can no longer open what was sealed to this key")
    if answer.status in _REFUSALS:
        return Verdict(fate=Fate.REFUSED, reason=_REFUSALS[answer.status])
    if answer.status in {401, 403}:
        return Verdict(fate=Fate.RETRY, reason=refused_entry(answer))
    return Verdict(fate=Fate.RETRY, reason=f"the archive answered {answer.status}")


def refused_entry(answer: Answer) -> str:
    """Why a 401 or 403 came, and the mend."""
    if problem_code(answer) == "certificate-required":
        return "the archive wants this source's client certificate; name a valid one in certificate_file"
    return "the archive does not accept the token; put a valid one into token_file"


def _receipt(answer: Answer, sidecar: Sidecar | None) -> Verdict:
    receipt = read_object(answer.body)
    digest, length = receipt.get("sha256"), receipt.get("length")
    if not isinstance(digest, str) or not isinstance(length, int):
        return Verdict(fate=Fate.RETRY, reason="the answer is no receipt; see that url is the archive's own address")
    if sidecar is None:
        reason = "the archive took it, but the sidecar is lost and the receipt could not be compared"
    elif (digest, length) != (sidecar.sha256, sidecar.length):
        reason = "the receipt is for other content: SHA-256 or length differ from what was sealed"
    else:
        communication = receipt.get("id")
        known = isinstance(communication, str) and is_uuid7(communication)
        return Verdict(fate=Fate.DELIVERED, receipt_id=str(communication) if known else None)
    return Verdict(fate=Fate.REFUSED, reason=reason)


def read_object(body: bytes) -> dict[str, object]:
    """The JSON object of a body, empty when it is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def problem_code(answer: Answer) -> str | None:
    """The code that the ``type`` of a problem document (RFC 9457) names."""
    kind = read_object(answer.body).get("type")
    match = _CODE.search(kind) if isinstance(kind, str) else None
    return match[1] if match and isinstance(kind, str) and kind.endswith(match[0]) else None
