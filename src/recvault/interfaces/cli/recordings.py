"""Commands about communications: ingest and search."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.communication import Channel, Direction
from recvault.domain.errors import Conflict, InvalidInput, NotFound, RecvaultError
from recvault.domain.purpose import Purpose
from recvault.interfaces.cli.problems import DONE, exit_code
from recvault.interfaces.cli.session import (
    As,
    Json,
    actor_named,
    answer,
    archive_of,
    interactive,
    read_file,
    source_named,
    table,
)

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.access import Actor
    from recvault.domain.accounts import Source
    from recvault.domain.communication import Communication, Receipt, SearchQuery

BLOCK = 1024 * 1024
"""Bytes read from a file at a time."""

TOKEN_LIMIT = 4096
"""Bytes of a token file."""


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(ingest)
    app.command()(search)


# --- ingest


def ingest(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, readable=True)],
    source_token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The token of the source.")] = None,
    as_source: Annotated[str | None, typer.Option(metavar="NAME", help="The source, named by the operator.")] = None,
    metadata: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON as for the HTTP API; the options below win over it.")
    ] = None,
    source_id: Annotated[str | None, typer.Option(help="The source's own id; with one FILE only.")] = None,
    channel: Annotated[Channel | None, typer.Option(help="How the contact took place.")] = None,
    direction: Annotated[Direction | None, typer.Option(help="Seen from the company.")] = None,
    started_at: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339 with a zone.")] = None,
    ended_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="RFC 3339 with a zone; else when FILE was last written.")
    ] = None,
    customer_number: Annotated[str | None, typer.Option(help="The customer's number.")] = None,
    remote: Annotated[str | None, typer.Option(help="The customer's telephone number or e-mail address.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's id or extension.")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue the contact came through.")] = None,
    case: Annotated[str | None, typer.Option(help="The case it belongs to.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    json_: Json = False,
) -> None:
    """Store recordings from files on this machine. Repeating it stores nothing twice; FILE itself stays where it is."""
    if source_id is not None and len(files) > 1:
        raise typer.BadParameter("one id cannot name several files", param_hint="--source-id")
    said: dict[str, Any] = {
        "channel": channel and channel.value,
        "direction": direction and direction.value,
        "started_at": started_at,
        "ended_at": ended_at,
        "customer": {"number": customer_number} if customer_number else None,
        "remote": remote,
        "agent": agent,
        "queue": queue,
        "case_ref": case,
        "tags": tag or None,
        "source_id": source_id,
    }
    said = {name: value for name, value in said.items() if value is not None}
    with archive_of(context, start=True) as archive:
        base = _metadata_file(archive, metadata)
        source = _source(archive, source_token_file, as_source)
        results = [(file, _store(archive, source, file, {**base, **said}, quiet=json_)) for file in files]
    _answer_ingest(results, as_json=json_)


def _answer_ingest(results: list[tuple[Path, Receipt | RecvaultError]], *, as_json: bool) -> None:
    """One line a file, and the worst exit code."""
    from recvault.interfaces.http.forms import receipt_json

    code, lines = DONE, list[str]()
    told: list[dict[str, Any]] = []
    for file, result in results:
        if isinstance(result, RecvaultError):
            code = max(code, exit_code(result))
            told.append({"file": str(file), "problem": result.code, "detail": str(result)})
            lines.append(f"{file}: not stored: {result}")
        else:
            told.append({"file": str(file), "already_stored": result.already_stored, **receipt_json(result)})
            again = " (was there before)" if result.already_stored else ""
            marks = f", needs attention: {', '.join(result.needs_attention)}" if result.needs_attention else ""
            lines.append(f"{file}: {result.id}{again}, until {result.destroy_at:%Y-%m-%d}{marks}")
    answer({"files": told}, lines, as_json=as_json)
    raise typer.Exit(code)


def _metadata_file(archive: Archive, path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = json.loads(read_file(path, archive.config.ingest.metadata_max_bytes))
    except ValueError:
        raise InvalidInput(f"{path} is not JSON; see docs/ for what the metadata may hold") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} is not a JSON object; send {{...}}")
    return value


def _source(archive: Archive, token_file: Path | None, name: str | None) -> Source:
    if token_file is not None and name is None:
        return archive.sources.of_token(read_file(token_file, TOKEN_LIMIT).decode("utf-8", "replace").strip())
    if name is None or token_file is not None:
        raise typer.BadParameter("give either --source-token-file or --as-source", param_hint="--as-source")
    return source_named(archive, name)


def _store(
    archive: Archive, source: Source, file: Path, said: Mapping[str, Any], *, quiet: bool
) -> Receipt | RecvaultError:
    from recvault.intake.submission import parse_submission

    limits = archive.config.ingest
    digest, length = _digest(file)
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()
    document = {
        # The name tells empty recordings of several calls apart, the content a name that is used again.
        "source_id": "file-" + hashlib.sha256(f"{file.name}\0{digest}".encode()).hexdigest(),
        "filename": file.name,
        "media_type": mimetypes.guess_type(file.name)[0],
        "direction": Direction.INBOUND.value,
        "ended_at": None if "started_at" in said else written,
        **said,
        "sha256": digest,
        "length": length,
    }
    try:
        draft = parse_submission(
            json.dumps(document).encode(),
            now=archive.clock.now(),
            region=archive.config.telephony.region,
            max_bytes=limits.metadata_max_bytes,
            future_tolerance=timedelta(minutes=limits.future_tolerance_minutes),
        )
        with _progress(file, length, quiet=quiet) as watched:
            return archive.ingest.accept(source, draft, watched(_blocks(file)))
    except RecvaultError as fault:
        return fault


def _digest(file: Path) -> tuple[str, int]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, stream.tell()


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


@contextmanager
def _progress(file: Path, length: int, *, quiet: bool) -> Iterator[Any]:
    """Watches blocks go by; draws a bar when a person looks on."""
    if quiet or not interactive():
        yield lambda blocks: blocks
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=length)

        def watched(blocks: Iterable[bytes]) -> Iterator[bytes]:
            for block in blocks:
                yield block
                bar.advance(task, len(block))

        yield watched


# --- search


def search(
    context: typer.Context,
    as_: As,
    purpose: Annotated[Purpose, typer.Option(help="What for; it decides what is shown.")],
    customer: Annotated[str | None, typer.Option(help="Number, Y-tunnus, or a part of the name.")] = None,
    number: Annotated[str | None, typer.Option(help="A telephone number, as people write it.")] = None,
    address: Annotated[str | None, typer.Option(help="An e-mail address.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's id in the directory.")] = None,
    team: Annotated[str | None, typer.Option()] = None,
    queue: Annotated[str | None, typer.Option()] = None,
    channel: Annotated[Channel | None, typer.Option()] = None,
    direction: Annotated[Direction | None, typer.Option()] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    case: Annotated[str | None, typer.Option()] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="A day, or RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="A day (not included), or RFC 3339.")] = None,
    needs_attention: Annotated[
        bool, typer.Option("--needs-attention", help="Only what a person must look at.")
    ] = False,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only what belongs to no known customer.")] = False,
    reference: Annotated[
        str | None, typer.Option(help="For request and authority: the request, or the id of the approved disclosure.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Rows of one page.")] = 50,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")] = None,
    json_: Json = False,
) -> None:
    """Find communications, newest first. Leaves a trace in the audit log, as every search does."""
    from recvault.domain.communication import SearchQuery
    from recvault.interfaces.http.forms import communication_json, make_cursor, parse_cursor

    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        query = SearchQuery(
            customer_id=None if customer is None else customer_named(archive, actor, customer),
            contact_point_ids=_points(archive, actor, number, address),
            agent_id=None if agent is None else _agent(archive, agent),
            team=team,
            queue=queue,
            channel=channel,
            direction=direction,
            tag=tag,
            case_ref=case,
            started_from=moment_of(archive, from_, "--from"),
            started_until=moment_of(archive, until, "--until"),
            needs_attention=True if needs_attention else None,
            unmatched=True if unmatched else None,
            after=None if after is None else parse_cursor(after),
            limit=limit,
        )
        rows = archive.retrieval.search(actor, query, purpose, reference=reference)
        lines = _rows(archive, actor, query, rows, purpose)
    next_ = make_cursor(rows[-1]) if len(rows) == limit else None
    if next_ is not None:
        lines.append(f"more: --after {next_}")
    answer({"rows": [communication_json(row) for row in rows], "next": next_}, lines, as_json=json_)


def _rows(archive: Archive, actor: Actor, query: SearchQuery, rows: list[Communication], purpose: Purpose) -> list[str]:
    from recvault.domain.access import sees_customer_masked

    hide = archive.config.access.mask_customer_for_trainers and sees_customer_masked(
        actor, purpose, archive.clock.now()
    )
    names = {} if hide else archive.customers.named(row.customer_id for row in rows if row.customer_id)
    zone = archive.config.retention.zone
    return table(
        ("id", "started", "channel", "customer", "queue", "until", "attention"),
        [
            (
                row.id,
                f"{row.started_at.astimezone(zone):%Y-%m-%d %H:%M}",
                row.channel.value,
                names[row.customer_id].name if row.customer_id in names else "-",
                row.queue or "-",
                f"{row.destroy_at.astimezone(zone):%Y-%m-%d}",
                ", ".join(sorted(row.attention)) or "-",
            )
            for row in rows
        ],
    )


def customer_named(archive: Archive, actor: Actor, text: str) -> str:
    """The id of the one customer whose number, Y-tunnus or name it is; NotFound or Conflict otherwise."""
    exact = archive.customers.id_of_number(actor, text)
    if exact is not None:
        return exact
    found = archive.customers.search(actor, text)
    if not found:
        raise NotFound("no customer has this number, Y-tunnus or name; search by --number or --address instead")
    if len(found) > 1:
        numbers = ", ".join(customer.number or customer.id for customer in found)
        raise Conflict(f"{len(found)} customers fit; name one of them by its number: {numbers}")
    return found[0].id


def _points(archive: Archive, actor: Actor, number: str | None, address: str | None) -> tuple[str, ...] | None:
    from recvault.interfaces.http.communications import contact_points

    return contact_points(archive, actor, tel=number, mailto=address, handle=None)


def _agent(archive: Archive, ref: str) -> str:
    with archive.database.read() as unit:
        agent = unit.register.agent_by_ref(ref)
    if agent is None:
        raise NotFound("the directory has no agent of this id; see 'recvault agent list'")
    return agent.id


def moment_of(archive: Archive, text: str | None, option: str) -> datetime | None:
    """The day or moment of an option; InvalidInput when it is none."""
    from recvault.intake.moments import read_day, read_moment, start_of_day

    if text is None:
        return None
    day = read_day(text)
    moment = read_moment(text) if day is None else start_of_day(day, archive.config.retention.zone)
    if moment is None:
        raise InvalidInput(f"{option} is no time; write a day (2026-01-31) or RFC 3339 with a zone")
    return moment
