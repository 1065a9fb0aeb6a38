"""Commands about the customer register and the agents' directory. The operator imports; rows at fault are told by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, table

if TYPE_CHECKING:
    from recvault.services.customers import ImportReport

customer_commands = typer.Typer(help="The customer register.", no_args_is_help=True, rich_markup_mode=None)
agent_commands = typer.Typer(help="The agents' directory.", no_args_is_help=True, rich_markup_mode=None)

FileToRead = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]

FAULTS_SHOWN = 20
"""Faults told to a person; JSON has them all."""


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(customer_commands, name="customer")
    app.add_typer(agent_commands, name="agent")


@customer_commands.command("import")
def customer_import(context: typer.Context, file: FileToRead, json_: Json = False) -> None:
    """Write a CSV or JSON file of customers into the register; good rows are written whatever the others are."""
    from recvault.intake.register_file import read_customers

    with archive_of(context, start=True) as archive, file.open("rb") as stream:
        config = archive.config
        records = read_customers(stream, region=config.telephony.region, zone=config.retention.time_zone)
        report = archive.customers.import_customers(OPERATOR, records)
    _answer(report, "customers", as_json=json_)


@customer_commands.command("add")
def customer_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The company's name.")],
    number: Annotated[str | None, typer.Option(help="The customer number.")] = None,
    business_id: Annotated[str | None, typer.Option(help="The Y-tunnus.")] = None,
    kind: Annotated[str | None, typer.Option(help="The kind of customer, as retention rules name it.")] = None,
    tel: Annotated[list[str] | None, typer.Option(help="A telephone number; may be given several times.")] = None,
    mailto: Annotated[list[str] | None, typer.Option(help="An e-mail address; may be given several times.")] = None,
    start: Annotated[str | None, typer.Option(metavar="DAY", help="When the relationship began.")] = None,
    end: Annotated[str | None, typer.Option(metavar="DAY", help="When it ended; moves what is kept.")] = None,
    json_: Json = False,
) -> None:
    """Write one customer into the register; the customer of the same number (else Y-tunnus) is updated."""
    from recvault.intake.register_values import parse_customer

    given: dict[str, Any] = {
        "name": name,
        "number": number,
        "business_id": business_id,
        "kind": kind,
        "tel": tel,
        "mailto": mailto,
        "relationship_start": start,
        "relationship_end": end,
    }
    with archive_of(context, start=True) as archive:
        record = parse_customer(
            {field: value for field, value in given.items() if value is not None},
            region=archive.config.telephony.region,
            zone=archive.config.retention.time_zone,
        )
        report = archive.customers.import_customers(OPERATOR, [record])
    _answer(report, "customers", as_json=json_)


@agent_commands.command("import")
def agent_import(context: typer.Context, file: FileToRead, json_: Json = False) -> None:
    """Write a CSV or JSON file of agents into the directory; good rows are written whatever the others are."""
    from recvault.intake.register_file import read_agents

    with archive_of(context, start=True) as archive, file.open("rb") as stream:
        records = read_agents(stream, zone=archive.config.retention.time_zone)
        report = archive.customers.import_agents(OPERATOR, records)
    _answer(report, "agents", as_json=json_)


@agent_commands.command("list")
def agent_list(context: typer.Context, json_: Json = False) -> None:
    """The agents' directory, in name order."""
    from recvault.interfaces.http.forms import agent_json

    with archive_of(context) as archive, archive.database.read() as unit:
        agents = unit.register.agents()
    rows = [
        (agent.ref, agent.name, ", ".join(e.value for e in agent.extensions), ", ".join(t.value for t in agent.teams))
        for agent in agents
    ]
    lines = table(("ref", "name", "extensions", "teams"), rows)
    answer({"rows": [agent_json(agent) for agent in agents]}, lines, as_json=json_)


def _answer(report: ImportReport, what: str, *, as_json: bool) -> None:
    lost = [fault for fault in report.faults if fault.skipped]
    lines = [f"{what} written: {report.written}, rows not written: {len(lost)}"]
    lines += [f"line {fault.line}: {fault.reason}" for fault in report.faults[:FAULTS_SHOWN]]
    if len(report.faults) > FAULTS_SHOWN:
        lines.append(f"and {len(report.faults) - FAULTS_SHOWN} more; --json tells them all")
    faults = [{"line": f.line, "reason": f.reason, "skipped": f.skipped} for f in report.faults]
    answer({"written": report.written, "faults": faults}, lines, as_json=as_json)
    raise typer.Exit(FAULT if lost else DONE)
