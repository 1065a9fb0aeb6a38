"""What the commands share: the configuration, an open archive, who acts, and how an answer is written.

An act for which somebody answers is done ``--as`` a person, by the roles of that person. What the operator of the
machine does without roles (sources, accounts, imports, keys) stands in the audit log as ``system:operator``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.errors import ConfigurationError, Forbidden, InvalidInput, NotFound, StepUpRequired

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.config import Config
    from recvault.domain.access import Actor
    from recvault.domain.accounts import Source

OPERATOR = "system:operator"
PLACES = (Path("recvault.toml"), Path("/etc/recvault/recvault.toml"))
"""Where the configuration is looked for when no file is named."""

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
As = Annotated[str, typer.Option("--as", metavar="USER", help="The sign-in name of the person who acts.")]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the token to a new file of mode 0600 instead of showing it.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The options before the command."""

    config_file: Path | None = None

    def found(self) -> Path | None:
        """The configuration file that counts; None for the built-in defaults."""
        if self.config_file is not None:
            return self.config_file
        return next((place for place in PLACES if place.is_file()), None)


def load_config(context: typer.Context) -> Config:
    """The configuration; ConfigurationError with every fault of it."""
    from recvault.config import load

    settings: Settings = context.obj
    with config_faults():
        return load(settings.found(), os.environ)


@contextmanager
def config_faults() -> Iterator[None]:
    """Faults of configuration and secret files as errors of recvault."""
    from recvault.config import ConfigFault

    try:
        yield
    except ConfigFault as fault:
        raise ConfigurationError(str(fault)) from None


@contextmanager
def archive_of(context: typer.Context, *, start: bool = False) -> Iterator[Archive]:
    """The archive of the configuration. ``start`` makes sure of everything that must hold before it is written to."""
    from recvault import bootstrap
    from recvault.interfaces.logs import configure
    from recvault.interfaces.process import no_core_dumps

    config = load_config(context)
    configure(config.log.format, "warning")
    no_core_dumps()
    with config_faults(), bootstrap.build(config) as archive:
        if start:
            bootstrap.start(archive)
        yield archive


def actor_named(archive: Archive, name: str) -> Actor:
    """The person ``--as`` names, with the roles of this moment."""
    from recvault.domain.accounts import actor_of

    return actor_of(archive.accounts.user_named(name))


def proved_actor_named(archive: Archive, name: str) -> Actor:
    """The same for acts that ask for a recent proof, which nothing at the command line is: Forbidden unless second factors
    are off."""
    actor = actor_named(archive, name)
    try:
        archive.sessions.require_proof(actor)
    except StepUpRequired:
        raise Forbidden(
            "this act needs a proof of the person, which the command line cannot take; do it at the desk or over the API "
            '(access.second_factor = "off" is for archives without a desk that others reach)'
        ) from None
    return actor


def source_named(archive: Archive, name: str) -> Source:
    """The source the operator names; NotFound when there is none or its token was revoked."""
    for source in archive.sources.all():
        if source.name == name and source.revoked_at is None:
            return source
    raise NotFound("there is no such source, or it was revoked; see 'recvault source list'")


def answer(value: Mapping[str, Any], lines: Sequence[str] | Callable[[], Sequence[str]], *, as_json: bool) -> None:
    """Writes the answer: JSON for programs, else lines for people."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
        return
    for line in lines() if callable(lines) else lines:
        typer.echo(line)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of plain columns, as wide as they need to be; one line when there are no rows."""
    if not rows:
        return ["none"]
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    lines = [headings, *rows]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def give_token(token: str, file: Path | None) -> str | None:
    """Writes the token to a new private file and returns None, or returns it to be shown."""
    if file is None:
        return token
    write_new(file, f"{token}\n".encode(), mode=0o600)
    return None


def write_new(path: Path, data: bytes, *, mode: int) -> None:
    """A new file of ``mode``; InvalidInput when it exists or cannot be written."""
    write_pieces(path, (data,), mode=mode)


def write_pieces(path: Path, pieces: Iterable[bytes], *, mode: int) -> None:
    """The same, of a length that memory need not hold."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise InvalidInput(f"{path} exists and is not overwritten; name another file, or remove it first") from None
    except OSError as fault:
        raise InvalidInput(f"{path} cannot be written: {fault.strerror}; name a file in a writable directory") from None
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def read_file(path: Path, limit: int) -> bytes:
    """A small file given on the command line; InvalidInput when it cannot be read or is longer than ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as fault:
        raise InvalidInput(f"{path} cannot be read: {fault.strerror}; name a file that this user can read") from None
    if len(data) > limit:
        raise InvalidInput(f"{path} is longer than {limit} bytes; is it the right file?")
    return data


def interactive() -> bool:
    """Whether a person sits at the terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()
