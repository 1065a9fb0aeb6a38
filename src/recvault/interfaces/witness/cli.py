"""Commands of the witness. They need no configuration and no archive: only the witness's own directory."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.errors import RecvaultError
from recvault.interfaces.cli.session import Json, answer, table

if TYPE_CHECKING:
    from recvault.interfaces.witness.state import WitnessState
    from recvault.interfaces.witness.watching import Watched

witness_commands = typer.Typer(
    help="A witness of audit logs: runs on somebody else's machine, and signs only what continues what it saw.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The witness's own directory.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Write each signed checkpoint here as well.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(witness_commands, name="witness")


@witness_commands.command("init")
def init(
    directory: Directory,
    name: Annotated[
        str, typer.Option(help="Whose witness it is, such as witness.auditor.example/1; stands in its key.")
    ],
    json_: Json = False,
) -> None:
    """Make a witness with a key of its own."""
    from recvault.interfaces.witness.state import WitnessState

    _tell_key(WitnessState.create(directory, name), json_)


@witness_commands.command("key")
def key(directory: Directory, json_: Json = False) -> None:
    """The witness's public key, for the archive's configuration and for whoever verifies."""
    _tell_key(_state(directory), json_)


@witness_commands.command("follow")
def follow(
    directory: Directory,
    log_key: Annotated[
        str, typer.Argument(metavar="KEY", help="The line that 'recvault audit key' shows, got safely.")
    ],
    json_: Json = False,
) -> None:
    """Sign checkpoints of this log from now on. A log that went on from a restored database has another key: ask first."""
    from recvault.domain.checkpoints import parse_key

    made = parse_key(log_key)
    _state(directory).follow(made)
    answer({"log": made.name}, [f"follows {made.name}"], as_json=json_)


@witness_commands.command("status")
def status(directory: Directory, json_: Json = False) -> None:
    """The logs it follows, and how far it saw each."""
    state = _state(directory)
    seen = [(log.name, last) for log in state.logs() for last in [state.last(log)]]
    rows = [
        (name, "" if last is None else str(last.size), "" if last is None else last.root.hex()) for name, last in seen
    ]
    told = [{"log": name, "size": size or None, "root": root or None} for name, size, root in rows]
    answer({"rows": told}, table(("log", "entries", "root"), rows), as_json=json_)


@witness_commands.command("read")
def read(
    directory: Directory,
    source: Annotated[str, typer.Argument(help="The directory where the archive writes checkpoints, or its address.")],
    out: Out = None,
    every: Annotated[int, typer.Option(min=0, help="Seconds between looks; 0 looks once and ends.")] = 0,
    json_: Json = False,
) -> None:
    """Fetch what is new and sign it. Ends with 1, and says what it saw, when the log contradicts itself."""
    from recvault.interfaces.logs import configure
    from recvault.interfaces.witness.watching import Contradiction

    configure("console", "warning")
    state = _state(directory)
    with state.alone():
        while True:
            try:
                done = _look(state, source, out)
            except Contradiction:
                raise
            except RecvaultError as fault:
                if not every:
                    raise
                typer.echo(f"not now: {fault}", err=True)
            else:
                rows = [{"log": one.checkpoint.origin, "size": one.checkpoint.size} for one in done]
                answer({"rows": rows}, [f"signed {row['size']} entries of {row['log']}" for row in rows], as_json=json_)
            if not every:
                return
            time.sleep(every)


@witness_commands.command("serve")
def serve(
    directory: Directory,
    host: Annotated[str, typer.Option(help="The address it listens on; TLS is a proxy's to end.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8471,
) -> None:
    """Take checkpoints by POST /add-checkpoint (C2SP tlog-witness)."""
    from recvault.interfaces.logs import configure
    from recvault.interfaces.witness.serving import server
    from recvault.interfaces.witness.watching import Witness

    configure("console", "info")
    state = _state(directory)
    with state.alone(), server(Witness(state, now=_now), host, port) as made:
        typer.echo(f"witness {state.key.name} listens on {host}:{made.server_address[1]}")
        made.serve_forever()


def _look(state: WitnessState, source: str, out: Path | None) -> list[Watched]:
    from recvault.interfaces.witness import fetching
    from recvault.interfaces.witness.watching import Witness

    witness = Witness(state, now=_now)
    if source.startswith(("https://", "http://")):
        return fetching.from_archive(witness, state, source, out=out)
    return fetching.from_directory(witness, state, Path(source), out=out)


def _state(directory: Path) -> WitnessState:
    from recvault.interfaces.witness.state import WitnessState

    return WitnessState(directory)


def _tell_key(state: WitnessState, as_json: bool) -> None:
    answer({"name": state.key.name, "key": state.key.text()}, [state.key.text()], as_json=as_json)


def _now() -> datetime:
    return datetime.now(UTC)
