"""Commands about the client certificates that sources are bound to. Only certificates are read here, never a key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.errors import InvalidInput
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, read_file, table

if TYPE_CHECKING:
    from recvault.domain.accounts import Source, SourceCertificate

certificate_commands = typer.Typer(
    help="Client certificates that sources have to show.", no_args_is_help=True, rich_markup_mode=None
)

LIMIT = 64 * 1024
"""Bytes of a certificate's file."""

Name = Annotated[str, typer.Argument(help="The source.")]


@certificate_commands.command("add")
def add(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="The certificate, PEM or DER; not its key.")],
    json_: Json = False,
) -> None:
    """Bind a source to a client certificate: from now on its token counts only with this one, or another it is bound to."""
    fingerprint, not_after = read_certificate(read_file(file, LIMIT))
    with archive_of(context, start=True) as archive:
        now = archive.clock.now()
        if not_after < now:
            raise InvalidInput(f"the certificate ended on {not_after:%Y-%m-%d}; make a new one")
        source = archive.sources.bind(name, fingerprint, not_after=not_after, by=OPERATOR)
    lines = [f"{name} has to show this certificate, or another of its {len(source.certificates)}: {fingerprint.hex()}"]
    answer(_json(source), lines, as_json=json_)


@certificate_commands.command("remove")
def remove(
    context: typer.Context,
    name: Name,
    fingerprint: Annotated[str, typer.Argument(help="SHA-256 of the certificate, hexadecimal, as 'list' shows it.")],
    json_: Json = False,
) -> None:
    """Take a certificate back at once. With the last one gone, the source's token alone counts again."""
    with archive_of(context, start=True) as archive:
        source = archive.sources.unbind(name, parse_fingerprint(fingerprint), by=OPERATOR)
    left = f"{len(source.certificates)} are left" if source.certificates else "none is left: its token alone counts"
    answer(_json(source), [f"{name} cannot come in with it any more; {left}"], as_json=json_)


@certificate_commands.command("list")
def list_(context: typer.Context, name: Name, json_: Json = False) -> None:
    """The certificates that a source is bound to, the oldest first."""
    with archive_of(context) as archive:
        source, now = archive.sources.named(name), archive.clock.now()
    rows = [
        (one.fingerprint.hex(), f"{one.added_at:%Y-%m-%d}", _until(one) + (" (over)" if one.ended(now) else ""))
        for one in source.certificates
    ]
    answer(_json(source), table(("SHA-256", "since", "until"), rows), as_json=json_)


def read_certificate(data: bytes) -> tuple[bytes, datetime]:
    """SHA-256 of the DER, and the end (RFC 5280, 4.1.2.5), of a certificate in PEM or DER; InvalidInput."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        pem = b"-----BEGIN" in data
        found: Sequence[x509.Certificate] = (
            x509.load_pem_x509_certificates(data) if pem else [x509.load_der_x509_certificate(data)]
        )
        if len(found) == 1:
            return hashlib.sha256(found[0].public_bytes(Encoding.DER)).digest(), found[0].not_valid_after_utc
    except ValueError:
        raise InvalidInput("the file holds no certificate; give the client certificate in PEM or DER") from None
    raise InvalidInput("the file holds several certificates; give the client certificate alone, without its authority")


def parse_fingerprint(text: str) -> bytes:
    """32 bytes from 64 hexadecimal digits, with or without colons; InvalidInput."""
    try:
        found = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise InvalidInput("a fingerprint has 64 hexadecimal digits; see 'recvault source certificate list'")
    return found


def certificate_json(certificate: SourceCertificate) -> dict[str, Any]:
    """A certificate of a source."""
    return {
        "sha256": certificate.fingerprint.hex(),
        "added_at": certificate.added_at.isoformat(),
        "not_after": None if certificate.not_after is None else certificate.not_after.isoformat(),
    }


def _json(source: Source) -> dict[str, Any]:
    return {"name": source.name, "certificates": [certificate_json(one) for one in source.certificates]}


def _until(certificate: SourceCertificate) -> str:
    return "-" if certificate.not_after is None else f"{certificate.not_after:%Y-%m-%d}"
