"""Commands about certificates of destruction.

``certificate verify`` needs the file and the public key and nothing else: no configuration, no archive.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import Conflict, InvalidInput
from recvault.interfaces.cli.session import Json, answer, archive_of, read_file, table, write_new

if TYPE_CHECKING:
    from recvault.bootstrap import Archive

certificate_commands = typer.Typer(help="Certificates of destruction.", no_args_is_help=True, rich_markup_mode=None)

CERTIFICATE_LIMIT = 1024 * 1024
"""Bytes of a certificate file."""


class CertificateStage(StrEnum):
    """The two certificates of one destruction."""

    INACCESSIBLE = "inaccessible"
    COMPLETE = "complete"


class PaperLanguage(StrEnum):
    """Languages of the printed certificate."""

    FI = "fi"
    EN = "en"


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(certificate_commands, name="certificate")


# --- certificates


@certificate_commands.command("list")
def certificate_list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows at most.")] = 50,
    json_: Json = False,
) -> None:
    """What was destroyed, newest first, and how far each destruction has come."""
    with archive_of(context) as archive, archive.database.read() as unit:
        items = unit.destructions.recent(limit)
    rows = [(i.communication_id, f"{i.shredded_at:%Y-%m-%d %H:%M}", i.trigger.value, i.stage.value) for i in items]
    keys = ("id", "shredded_at", "trigger", "stage")
    told = {"rows": [dict(zip(keys, row, strict=True)) for row in rows]}
    answer(told, table(("id", "destroyed (UTC)", "because of", "stage"), rows), as_json=json_)


@certificate_commands.command("show")
def certificate_show(context: typer.Context, communication: str, json_: Json = False) -> None:
    """What the certificates of one destroyed communication say."""
    from recvault.services.certificate_checks import verify_certificate

    with archive_of(context) as archive:
        item, files = _destruction(archive, communication)
        public = archive.certificates.public_key()
    said = {stage.value: verify_certificate(text.encode(), public) for stage, text in files.items()}
    lines = [f"{communication}: {item.stage.value}"]
    for stage, body in said.items():
        lines += [f"certificate {stage}:", *_lines(body)]
    answer({"communication_id": communication, "stage": item.stage.value, "certificates": said}, lines, as_json=json_)


@certificate_commands.command("export")
def certificate_export(
    context: typer.Context,
    communication: str,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file.")],
    stage: Annotated[CertificateStage | None, typer.Option(help="Without it, the last that was issued.")] = None,
    json_: Json = False,
) -> None:
    """Write a certificate to a file that 'certificate verify' reads anywhere."""
    with archive_of(context) as archive:
        item, files = _destruction(archive, communication)
    wanted = Stage(stage or (Stage.COMPLETE if Stage.COMPLETE in files else Stage.INACCESSIBLE))
    text = files.get(wanted)
    if text is None:
        raise Conflict(f"the certificate '{wanted}' is not issued yet; the destruction stands at '{item.stage}'")
    write_new(out, text.encode(), mode=0o644)
    told = {"communication_id": communication, "stage": wanted.value, "file": str(out)}
    answer(told, [f"certificate '{wanted}' is in {out}"], as_json=json_)


@certificate_commands.command("print")
def certificate_print(
    context: typer.Context,
    communication: str,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new HTML file, for a browser to print.")],
    language: Annotated[PaperLanguage, typer.Option(help="Language of the paper.")] = PaperLanguage.FI,
    json_: Json = False,
) -> None:
    """Write the certificate of one destroyed communication as a page to print and hand out."""
    with archive_of(context) as archive:
        from recvault.interfaces.web.destroyed import paper

        item, files = _destruction(archive, communication)
        text = paper(archive, item, files, language=language.value)
    write_new(out, text.encode(), mode=0o644)
    told = {"communication_id": communication, "language": language.value, "file": str(out)}
    answer(told, [f"the certificate is in {out}; open it in a browser and print it"], as_json=json_)


@certificate_commands.command("public-key")
def certificate_public_key(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file, instead of showing it.")] = None,
    json_: Json = False,
) -> None:
    """The key that verifies certificates, as PEM (SubjectPublicKeyInfo, RFC 8410); give it to whoever verifies."""
    with archive_of(context) as archive:
        pem = public_pem(archive.certificates.public_key())
    if out is not None:
        write_new(out, pem, mode=0o644)
    lines = [f"the public key is in {out}"] if out is not None else [pem.decode().rstrip()]
    answer({"pem": pem.decode(), "file": None if out is None else str(out)}, lines, as_json=json_)


@certificate_commands.command("verify")
def certificate_verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate.")],
    key: Annotated[Path, typer.Option(metavar="PEM", help="The archive's public key, got from a place you trust.")],
    json_: Json = False,
) -> None:
    """Verify a certificate from the file and the public key alone; needs no archive. Ends with 1 when it is not genuine."""
    from recvault.services.certificate_checks import verify_certificate

    body = verify_certificate(read_file(file, CERTIFICATE_LIMIT), raw_public_key(read_file(key, CERTIFICATE_LIMIT)))
    answer({"genuine": True, "certificate": body}, [f"genuine: {file}", *_lines(body)], as_json=json_)


def public_pem(raw: bytes) -> bytes:
    """A raw Ed25519 public key as PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return Ed25519PublicKey.from_public_bytes(raw).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw_public_key(pem: bytes) -> bytes:
    """The raw key of a PEM file; InvalidInput when it is no Ed25519 public key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("--key is no Ed25519 public key in PEM; 'recvault certificate public-key' writes one")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _destruction(archive: Archive, communication: str) -> tuple[Destruction, dict[Stage, str]]:
    """The tombstone and its certificates' files by stage."""
    with archive.database.read() as unit:
        item = unit.destructions.get(communication)
        return item, archive.certificates.files(unit, item)


def _lines(value: object, before: str = "  ") -> list[str]:
    """A certificate for people: one line a value."""
    if isinstance(value, dict):
        return [
            line
            for name, inner in value.items()
            for line in (
                [f"{before}{name}:", *_lines(inner, before + "  ")]
                if isinstance(inner, dict | list) and inner
                else [f"{before}{name}: {inner}"]
            )
        ]
    if isinstance(value, list):
        return [line for inner in value for line in _lines(inner, before)]
    return [f"{before}{value}"]
