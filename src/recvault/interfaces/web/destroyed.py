"""What a tombstone and its certificates tell, read for showing: on the page, and on paper.

Keeps: a certificate is verified anew each time it is shown, with the archive's public key and nothing else. The paper is one
file that needs nothing beside it: a browser prints it, and it opens without the archive. It is a rendering for people; what
proves is the signed file, and the paper says so.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import CertificateInvalid
from recvault.interfaces.web import words
from recvault.interfaces.web.languages import Wording, templates
from recvault.services.certificate_checks import verify_certificate

if TYPE_CHECKING:
    from recvault.bootstrap import Archive

_STYLE = files("recvault.interfaces.web") / "static" / "print.css"


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedPurpose:
    """A purpose that was ended before its time: by an objection (nobody approves it), or by a person, by account ids."""

    purpose: str
    kind: str
    at: datetime
    by: str
    approved_by: str
    alone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The evidence of a tombstone, read for showing; what is not there stays empty."""

    stored_at: datetime | None
    destroy_at: datetime | None
    policy: str
    signed_by: str
    purposes: tuple[tuple[str, str, datetime], ...]
    length: int
    ciphertext_length: int
    place: str
    observed: str
    ended: tuple[EndedPurpose, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A certificate and what verifying it said; ``body`` is None when it does not verify."""

    stage: Stage
    issued_at: datetime
    body: Mapping[str, object] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Horizons:
    """How far the destruction reaches, as the certificates claim it; None where they do not say (yet)."""

    unreachable_since: datetime | None
    from_backups_since: datetime | None
    index_until: datetime | None
    offline_until: datetime | None
    places_lost: tuple[str, ...]


def checked(item: Destruction, stage: Stage, file: str, public_key: bytes) -> Checked:
    """A certificate's file, verified; one about another communication or stage does not verify."""
    at = (item.complete_at if stage is Stage.COMPLETE else item.inaccessible_at) or item.shredded_at
    try:
        body = verify_certificate(file.encode(), public_key)
    except CertificateInvalid:
        return Checked(stage=stage, issued_at=at, body=None)
    if body.get("item") != item.communication_id or body.get("stage") != stage.value:
        return Checked(stage=stage, issued_at=at, body=None)
    return Checked(stage=stage, issued_at=datetime.fromisoformat(str(body["issued_at"])), body=body)


def facts_of(facts: Mapping[str, object]) -> Facts:
    """The evidence of a tombstone."""
    policy, place = _mapping(facts.get("policy")), _mapping(facts.get("place"))
    streams = _mappings(facts.get("streams"))
    return Facts(
        stored_at=_moment(facts.get("stored_at")),
        destroy_at=_moment(facts.get("destroy_at")),
        policy=str(policy.get("version") or ""),
        signed_by=str(policy.get("signed_by") or ""),
        purposes=tuple(
            (str(one.get("purpose")), str(one.get("rule")), until)
            for one in _mappings(facts.get("purposes"))
            if (until := _moment(one.get("needed_until"))) is not None
        ),
        length=_total(streams, "length"),
        ciphertext_length=_total(streams, "ciphertext_length"),
        place=str(place.get("declared") or ""),
        observed=str(place.get("observed") or ""),
        ended=tuple(
            EndedPurpose(
                purpose=str(one.get("purpose")),
                kind=str(one.get("kind")),
                at=at,
                by=str(one.get("by") or ""),
                approved_by=str(one.get("approved_by") or ""),
                alone=one.get("decided_by_one_person") is True,
            )
            for one in _mappings(facts.get("ended"))
            if (at := _moment(one.get("at"))) is not None
        ),
    )


def accounts_in(facts: Facts) -> set[str]:
    """The accounts that the evidence names."""
    return {facts.signed_by} | {account for one in facts.ended for account in (one.by, one.approved_by) if account}


def horizons_of(certificates: Mapping[Stage, Checked]) -> Horizons:
    """What the verified ones claim."""
    first, last = (
        (one.body or {}) if (one := certificates.get(stage)) else {} for stage in (Stage.INACCESSIBLE, Stage.COMPLETE)
    )
    claims, later = _mapping(first.get("claims")), _mapping(last.get("claims"))
    return Horizons(
        unreachable_since=_moment(claims.get("content_unreachable_since")),
        from_backups_since=_moment(later.get("content_unreachable_from_backups_since")),
        index_until=_moment((later or claims).get("index_data_in_backups_until")),
        offline_until=_moment(_mapping(last.get("offline_copies")).get("last_expires_at")),
        places_lost=tuple(str(one.get("place")) for one in _mappings(last.get("keyring_places_lost"))),
    )


def people(archive: Archive, ids: set[str]) -> Mapping[str, str]:
    """Names of persons of the house by account id; an account that is gone has none."""
    return {user.id: user.display_name for user in archive.accounts.users() if user.id in ids}


def paper(archive: Archive, item: Destruction, texts: Mapping[Stage, str], *, language: str) -> str:
    """The certificate of one communication as HTML to print, in ``fi`` or ``en``."""
    public_key = archive.certificates.public_key()
    certificates = {stage: checked(item, stage, text, public_key) for stage, text in texts.items()}
    facts = facts_of(item.facts)
    now = archive.clock.now()
    return (
        templates(language)
        .get_template("paper.html")
        .render(
            f=Wording(code=language, zone=archive.config.retention.zone, now=now),
            words=words,
            style=Markup(_STYLE.read_text("utf-8")),  # noqa: S704 -- a file of the package
            controller=archive.config.controller,
            item=item,
            facts=facts,
            signer=(names := people(archive, accounts_in(facts))).get(facts.signed_by, ""),
            names=names,
            certificates=certificates.values(),
            horizons=horizons_of(certificates),
            keys=item.key_ids,
            public_key=base64.b64encode(public_key).decode(),
            command="recvault certificate verify FILE --key PEM",
            printed_at=now,
        )
    )


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _total(streams: list[Mapping[str, object]], name: str) -> int:
    return sum(length for one in streams if isinstance(length := one.get(name), int))
