"""Marks that stand for personal data, where each may stand, and how they are found again in whatever form."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

SEALED = {
    "remote name": "Zqremo Vexinen",
    "local name": "Zqlocal Yxa",
    "number that is none": "zq-nonumber-771",
    "subject": "Zqsubject terminating",
    "file name": "zqfile-0457739120.wav",
    "extra": "zqextra-value",
    "extra key": "zqextra_key_here",
    "unknown field": "zqunknown_field",
    "participant": "Zqparticipant Wuo",
    "source id": "zqsource-0457739121",
    "media parameter": "zqparameter-value",
    "content": "zqcontent said on the line",
    "identity code": "131052-308T",
    "old name": "Zqoldname Xuo",
}
"""Sealed with the recording or masked, or never kept: not in a single byte of any file."""

PASSING = {
    "user agent": "zqbrowser/1.0 yes",
    "referer": "zqreferer-host",
    "cookie": "zqcookie-value",
    "forwarded": "zqforwarded-for",
    "query": "zqquery-string",
    "path": "zqpath-in-address",
    "sign-in name": "zqnobody-at-all",
    "password": "zq-password-of-nobody",
    "token": "zqtoken-of-nobody",
    "search number": "+358457739199",
    "search address": "zqsought@company.example",
    "search handle": "@zqsought-handle",
    "search text": "zqsoughttext-x",
    "search case": "zqsoughtcase-9",
    "reason": "zqreason-unknown",
    "case with a name": "zqcase of Matti Virtanen",
    "boundary": "zqboundary-text",
    "part": "zqpart-of-a-form",
    "raw line": "zqrawline-first",
    "bad metadata": "zqbadmetadata-v",
    "cursor": "zqcursor-forged",
    "mail address": "zqinvited@company.example",
    "bad customer": "zqbadcustomer-f",
}
"""What only requests say: not in a single byte of any file either."""

MAY_STAND = {
    "Zqcustomer Oy": {"customers.name", "customers.name_folded"},
    "Zqstreet 7": {"customers.address"},
    "zqcity-domicile": {"customers.domicile"},
    "zq-1001-number": {"customers.number"},
    "Zqcontact Uvo": {"contact_persons.name"},
    "zqboss-of-them": {"contact_persons.role"},
    "+358457739122": {"contact_points.value"},
    "zqmail@company.example": {"contact_points.value"},
    "+358457739123": {"contact_points.value"},
    "Zqagent Oru": {"agents.name"},
    "zqagentref-1": {"agents.ref"},
    "zqextension-2": {"agent_memberships.value"},
    "zqteam-billing": {"agent_memberships.value", "communications.team"},
    "zqqueue-support": {"communications.queue"},
    "zqtag-ordered": {"communication_tags.tag"},
    "zq-case-4711": {"communications.case_ref"},
    "zqvera.verifier": {"users.name"},
    "Zqvera Shown": {"users.display_name"},
    "zqhold reason": {"holds.reason"},
    "zqauthority-77": {"holds.authority"},
    "zqrelease reason": {"proposals.reason"},
}
"""The register, the directory, classes of the index, holds: where each may stand in the database, and nowhere else.
A case reference names a case and no person (the program refuses others); the log of opening keeps it under its seal."""

NOWHERE = [*SEALED.values(), *PASSING.values()]
EVERYTHING = [*NOWHERE, *MAY_STAND]


def forms(mark: str) -> set[bytes]:
    """How a mark could stand somewhere, in lower case."""
    raw = mark.encode()
    found = {raw, quote(mark).encode(), mark.encode("utf-16-le"), raw.hex().encode()}
    for shift in range(3):  # base64 of something with the mark inside: the middle is the same whatever stands around
        found.add(base64.b64encode(b"\0" * shift + raw)[4 : (shift + len(raw)) // 3 * 4])
    for digest in (hashlib.sha256(raw), hashlib.sha1(raw), hashlib.md5(raw)):
        found |= {digest.digest(), digest.hexdigest().encode()}
    return {form.lower() for form in found}


FORMS = {mark: forms(mark) for mark in EVERYTHING}


def marks_in(data: bytes, marks: list[str] | None = None) -> list[str]:
    """The marks that stand in ``data`` in some form."""
    low = data.lower()
    return [mark for mark in marks or EVERYTHING if any(form in low for form in FORMS[mark])]
