"""The tree of commands, the options all share, and the one place where an error becomes an exit code.

A group of commands has a module of its own; those import the archive inside the commands, so that help stays quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from recvault import __version__
from recvault.domain.errors import RecvaultError
from recvault.interfaces.cli import (
    accounts,
    approvals,
    audit,
    backup,
    evidence,
    federation,
    grants,
    import_archive,
    keys,
    ledger,
    machine,
    mail,
    period_keys,
    reconcile,
    recordings,
    register,
    retention,
    sessions,
)
from recvault.interfaces.cli.problems import report
from recvault.interfaces.cli.session import Settings
from recvault.interfaces.witness import cli as witness

CODES = "Exit codes: 0 done, 1 fault, 2 not understood, 3 not found or refused by a rule, 75 try again later."

app = typer.Typer(
    name="recvault",
    help="An archive for recorded customer-service calls and messages that keeps its promises and can prove it.",
    epilog=CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    machine,
    recordings,
    import_archive,
    retention,
    register,
    accounts,
    federation,
    grants,
    sessions,
    audit,
    evidence,
    keys,
    period_keys,
    backup,
    ledger,
    reconcile,
    mail,
    approvals,
    witness,
):
    module.add_to(app)


class MachineFault(RecvaultError):
    """The operating system refused something that no part expected."""

    code = "machine"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"recvault {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="RECVAULT_CONFIG",
            help="The configuration file. Without it: ./recvault.toml, then /etc/recvault/recvault.toml, then defaults.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Options before the command."""
    context.obj = Settings(config_file=config)


@app.command(
    "hook",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def hook(context: typer.Context) -> None:
    """Seal a recording on the telephony host and upload it; 'recvault hook --help' tells more."""
    from recvault.interfaces.hook.cli import main

    raise typer.Exit(main(list(context.args)))


def invoke(argv: Sequence[str]) -> int:
    """Runs ``argv``; errors of recvault become one line or a problem document on the standard error stream."""
    try:
        app(args=list(argv), prog_name="recvault")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except RecvaultError as fault:
        return report(fault, as_json="--json" in argv, to=sys.stderr)
    except OSError as fault:
        told = MachineFault(f"{fault.filename or 'the machine'}: {fault.strerror}; see to its owner, rights and space")
        return report(told, as_json="--json" in argv, to=sys.stderr)
    return 0
