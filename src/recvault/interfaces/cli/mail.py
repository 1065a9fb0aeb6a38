"""Commands about outgoing mail."""

from __future__ import annotations

from typing import Annotated

import typer

from recvault.interfaces.cli.session import Json, answer, archive_of

mail_commands = typer.Typer(help="Outgoing mail.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(mail_commands, name="mail")


@mail_commands.callback()
def _group() -> None:
    """Outgoing mail."""


@mail_commands.command("test")
def mail_test(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where the test message goes.")],
    json_: Json = False,
) -> None:
    """Send a test message now. Without a mail server it is printed."""
    with archive_of(context, start=True) as archive:
        archive.notices.test(address)
        server = archive.mailing.check()
        printed = archive.mailing.printed
    told = "printed, because no mail server is configured ([mail])" if printed else f"sent: {server}"
    answer({"sent": not printed, "server": server}, [told], as_json=json_)
