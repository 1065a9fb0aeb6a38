"""Commands about the archive as a machine: init, serve, worker, config, doctor, demo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.errors import ConfigurationError, InvalidInput
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import Json, Settings, answer, config_faults, load_config, write_new

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.config import Config

config_commands = typer.Typer(help="Read and show the configuration.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.command()(init)
    app.command()(serve)
    app.command()(worker)
    app.command()(doctor)
    app.command()(demo)
    app.add_typer(config_commands, name="config")


def init(
    context: typer.Context,
    recovery_kit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page with the root key goes; best onto a stick.")
    ] = None,
    json_: Json = False,
) -> None:
    """Make a new archive: root key, keyring, database, retention policy. Repeating it changes nothing."""
    from recvault import bootstrap

    config = load_config(context)
    written = _ensure_policy(config)
    with config_faults():
        kit = bootstrap.initialise(config, recovery_kit=recovery_kit)
    there = kit.exists()
    lines = [f"The archive is in {config.data.directory}."]
    if written:
        lines.append(f"The shipped retention policy was written to {config.retention.policy_file}; read it.")
    if there:
        lines += [
            f"The recovery kit is in {kit}: print it, lock the paper away, delete the file.",
            "Without it nobody can open the recordings once this machine is lost.",
        ]
    lines += [
        "Next:",
        "  recvault keys confirm-backup                 when the kit is locked away",
        "  recvault user add NAME --role privacy-handler",
        "  recvault policy sign --as NAME               nothing is destroyed before",
        "  recvault source add NAME --token-file FILE   for each system that sends",
        "  recvault serve --all",
    ]
    told = {
        "directory": str(config.data.directory),
        "recovery_kit": str(kit) if there else None,
        "policy_file": str(config.retention.policy_file),
        "policy_written": written,
    }
    answer(told, lines, as_json=json_)


def _ensure_policy(config: Config) -> bool:
    """Writes the shipped retention policy where the configuration looks for one and there is none."""
    from recvault.interfaces.shipped import shipped_policy

    path = config.retention.policy_file
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigurationError(
            f"{path.parent} cannot be made ({fault.strerror}); set retention.policy_file to a writable place"
        ) from None
    write_new(path, shipped_policy(), mode=0o644)
    return True


def serve(
    context: typer.Context,
    with_worker: Annotated[bool, typer.Option("--all", help="Run the worker in the same process.")] = False,
    host: Annotated[str | None, typer.Option(help="Listen here instead of server.host; loopback only.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Instead of server.port.")] = None,
) -> None:
    """Answer the HTTP API until told to stop (SIGTERM, SIGINT); what is under way is finished first."""
    from recvault.interfaces import server

    address = server.address_of(load_config(context), host=host, port=port)
    with _long_running(context) as archive:
        server.serve(archive, address, with_worker=with_worker)


def worker(context: typer.Context) -> None:
    """Do the scheduled work until told to stop: audit numbering, the nightly purge, day keys, checks of the place."""
    from recvault.interfaces.worker import Worker

    with _long_running(context) as archive:
        Worker(archive).run_until_told()


@contextmanager
def _long_running(context: typer.Context) -> Iterator[Archive]:
    """A started archive for a process that stays: it logs as configured and leaves no core."""
    from recvault import bootstrap
    from recvault.interfaces.logs import configure
    from recvault.interfaces.process import no_core_dumps

    config = load_config(context)
    configure(config.log.format, config.log.level)
    no_core_dumps()
    with config_faults(), bootstrap.build(config) as archive:
        bootstrap.start(archive)
        yield archive


def doctor(context: typer.Context, json_: Json = False) -> None:
    """Look at everything the archive stands on, and say what to mend. Ends with 1 when something must be mended."""
    from recvault.interfaces.cli.doctor import Grade, examine

    settings: Settings = context.obj
    findings = examine(settings.found())
    marks = {Grade.GOOD: "ok  ", Grade.WARNING: "warn", Grade.FAULT: "BAD "}
    width = min(78, shutil.get_terminal_size().columns) - 2
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.grade]}  {finding.part}: {finding.told}")
        if finding.mend:
            lines.append(f"      -> {finding.mend}"[: max(width * 4, 200)])
    bad = any(finding.grade is Grade.FAULT for finding in findings)
    answer(
        {
            "sound": not bad,
            "findings": [{"part": f.part, "grade": f.grade.value, "told": f.told, "mend": f.mend} for f in findings],
        },
        lines,
        as_json=json_,
    )
    raise typer.Exit(FAULT if bad else DONE)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the walk instead of staying up.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on loopback; 0 takes a free one.")] = 0,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the demo's archive goes; an earlier demo's is replaced.")
    ] = Path("demo-data"),
    store_endpoint: Annotated[str, typer.Option(metavar="HOST:PORT", help="Keep the objects in this S3 store.")] = "",
    store_region: Annotated[str, typer.Option(metavar="NAME", help="Its region.")] = "",
    store_bucket: Annotated[str, typer.Option(metavar="NAME", help="An empty bucket in it.")] = "",
    store_keys_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Holds access-key and secret-key, files of mode 0600.")
    ] = None,
) -> None:
    """Start an archive of its own with sample calls and walk from hook to destruction."""
    from recvault.interfaces.demo import run
    from recvault.interfaces.demo.home import Bucket

    bucket = None
    if store_endpoint or store_region or store_bucket or store_keys_dir:
        if not (store_endpoint and store_region and store_bucket and store_keys_dir):
            raise typer.BadParameter("the four --store options go together", param_hint="--store-endpoint")
        bucket = Bucket(endpoint=store_endpoint, region=store_region, name=store_bucket, keys=store_keys_dir)
    with config_faults():
        code = run(directory=data, port=port, once=once, bucket=bucket)
    raise typer.Exit(code)


@config_commands.command("check")
def config_check(context: typer.Context, json_: Json = False) -> None:
    """Read the configuration and the retention policy it names, and tell every fault."""
    from recvault.intake.policy_file import parse_policy

    settings: Settings = context.obj
    config = load_config(context)
    path = config.retention.policy_file
    try:
        policy = parse_policy(path.read_bytes(), origin=str(path))
    except OSError as fault:
        raise InvalidInput(
            f"retention.policy_file {path} cannot be read ({fault.strerror}); 'recvault init' writes the shipped one"
        ) from None
    file = settings.found()
    answer(
        {"file": None if file is None else str(file), "policy_file": str(path), "policy_version": policy.version},
        [
            f"configuration: {'built-in defaults' if file is None else file}: in order",
            f"retention policy: {path}, version {policy.version}: in order",
        ],
        as_json=json_,
    )


@config_commands.command("show")
def config_show(context: typer.Context, json_: Json = False) -> None:
    """Show what holds, file and environment taken together; secrets are files and are not shown."""
    from recvault.config import show

    values = show(load_config(context))
    answer(values, lambda: list(_flat(values, "")), as_json=json_)


def _flat(values: dict[str, object], before: str) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{before}{name}.")
        else:
            lines.append(f"{before}{name} = {value}")
    return lines
