"""``recvault hook submit | agent | enrol | status``: options in, exit code out.

argparse, and imports only where they are needed: ``submit`` runs after every call and must be over at once. An error
is one line on standard error, without the file's name (it can hold a telephone number). Exit codes are those of
sysexits.h, in the one table below; everything but 0 from ``submit`` means that the file is still there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recvault.domain import errors

if TYPE_CHECKING:
    from recvault.interfaces.hook.config import HookConfig

ENVIRONMENT = "RECVAULT_HOOK_METADATA_BASE64"
"""Metadata in base64 that must not stand in a process list; as ``--metadata-base64``, which wins."""

USAGE = 64
# The first class that matches counts, so the special stand before the general.
EXIT_CODES: tuple[tuple[type[errors.RecvaultError], int], ...] = (
    (errors.ConfigurationError, 78),
    (errors.InvalidInput, 65),
    (errors.NotFound, 66),
    (errors.Forbidden, 77),
    (errors.Unavailable, 75),
    (errors.RecvaultError, 74),
)

# Option, key of hook.metadata, help.
_FACTS = (
    ("channel", "call, email, sms or chat"),
    ("direction", "inbound, outbound or internal"),
    ("started-at", "RFC 3339 with zone, or seconds since 1970"),
    ("ended-at", "the same"),
    ("remote-tel", "the customer's number"),
    ("remote-mailto", "the customer's e-mail address"),
    ("remote-name", "the customer's name"),
    ("local-tel", "the company's number"),
    ("agent", "id or extension of who served"),
    ("team", "the agent's team"),
    ("queue", "the queue"),
    ("case-ref", "reference of the case"),
    ("linked-id", "joins the legs of one call"),
    ("filename", "instead of FILE's own name"),
    ("media-type", "such as audio/x-wav"),
)


def main(argv: Sequence[str]) -> int:
    """Runs one command of the hook; ``argv`` without ``recvault hook``. Returns the exit code."""
    try:
        options = _parser().parse_args(list(argv))
    except SystemExit as end:
        return USAGE if end.code else 0
    try:
        return int(options.run(options))
    except errors.RecvaultError as fault:
        sys.stderr.write(f"recvault hook: {fault}\n")
        return exit_code(fault)
    except OSError as fault:  # its text would name the file
        sys.stderr.write(f"recvault hook: {fault.strerror}; nothing was removed, try again\n")
        return 74


def exit_code(fault: errors.RecvaultError) -> int:
    """The exit code for an error."""
    return next(code for kind, code in EXIT_CODES if isinstance(fault, kind))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recvault hook", description="The telephony host's side of the archive.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _submit_options(_command(commands, "submit", "seal FILE into the spool, then remove it", _submit))
    agent = _command(commands, "agent", "upload what lies in the spool, for ever", _agent)
    agent.add_argument(
        "--once", action="store_true", help="one pass; 75 when entries remain, 65 when some were refused"
    )
    enrol = _command(commands, "enrol", "fetch the archive's key, and make the spool", _enrol)
    enrol.add_argument("--url", help="https://archive.example.fi")
    enrol.add_argument("--token-file", type=Path, metavar="FILE", help="holds the source's token; stays there")
    enrol.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate of the archive's authority (PEM)")
    enrol.add_argument(
        "--certificate-file", type=Path, metavar="FILE", help="client certificate and its key (PEM); stays there"
    )
    status = _command(commands, "status", "what waits, what was refused, how long the key lasts", _status)
    status.add_argument("--json", action="store_true", help="for a program")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--spool", type=Path, metavar="DIR", help="the spool; then no configuration is read unless named"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: /etc/recvault/hook.toml")
    return parser


def _submit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the finished recording or message")
    parser.add_argument(
        "--source-id", metavar="ID", help="the recording's own id at its source (required, here or in metadata)"
    )
    parser.add_argument("--hash-source-id", action="store_true", help="send a digest of the id: it is not opaque")
    for name, text in _FACTS:
        parser.add_argument(f"--{name}", metavar="TEXT", help=text)
    parser.add_argument("--tag", action="append", metavar="TEXT", help="may be repeated")
    parser.add_argument("--answered", action="store_true", default=None, help="somebody answered")
    parser.add_argument("--unanswered", dest="answered", action="store_false", help="nobody answered")
    parser.add_argument(
        "--metadata-file", type=Path, metavar="FILE", help="JSON object, keys as in POST /v1/communications"
    )
    parser.add_argument(
        "--metadata-base64", metavar="B64", help=f"JSON object or lines key=value, in base64; also from {ENVIRONMENT}"
    )
    parser.add_argument("--keep", action="store_true", help="leave FILE in clear where it is")


def _settings(options: argparse.Namespace) -> HookConfig:
    from recvault.interfaces.hook.config import resolve

    return resolve(
        config=options.config,
        spool=options.spool,
        url=getattr(options, "url", None),
        token_file=getattr(options, "token_file", None),
        ca_file=getattr(options, "ca_file", None),
        certificate_file=getattr(options, "certificate_file", None),
        keep=getattr(options, "keep", False),
    )


def _submit(options: argparse.Namespace) -> int:
    from recvault.interfaces.hook import enrolment
    from recvault.interfaces.hook.spool import Spool
    from recvault.interfaces.hook.submit import submit

    config = _settings(options)
    spool = Spool(config.spool_path())
    submit(
        options.file,
        _metadata(options),
        spool=spool,
        enrolment=enrolment.require(spool, url=config.url),
        keep=config.keep_original,
        hash_source_id=options.hash_source_id,
    )
    return 0


def _metadata(options: argparse.Namespace) -> dict[str, object]:
    """Options win over base64 or environment, and these over the file."""
    from recvault.interfaces.hook.metadata import from_base64, from_bytes, from_flat, merge, readable

    gathered: dict[str, object] = {}
    if options.metadata_file is not None:
        gathered = from_bytes(_read(options.metadata_file))
    encoded = options.metadata_base64 or os.environ.get(ENVIRONMENT)
    if encoded:
        gathered = merge(gathered, from_base64(encoded))
    flat: dict[str, object] = {}
    for name in ("source-id", *(name for name, _ in _FACTS)):
        key = name.replace("-", "_")
        value = getattr(options, key)
        flat[key] = None if value is None else readable(value)
    flat |= {"answered": options.answered, "tags": [readable(tag) for tag in options.tag or []]}
    return merge(gathered, from_flat(flat))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise errors.NotFound(f"the metadata file cannot be read ({fault.strerror}); see --metadata-file") from None


def _agent(options: argparse.Namespace) -> int:
    from recvault.interfaces.hook.agent import Agent, stopping
    from recvault.interfaces.hook.log import json_lines
    from recvault.interfaces.hook.spool import Spool

    config = _settings(options)
    spool = Spool(config.spool_path())
    with spool.agent_lock():
        agent = Agent(spool=spool, config=config, log=json_lines())
        with stopping(agent):
            return agent.once() if options.once else agent.run()


def _enrol(options: argparse.Namespace) -> int:
    from recvault.interfaces.hook.enrol import enrol
    from recvault.interfaces.hook.spool import Spool

    config = _settings(options)
    if config.url is None or config.token_file is None:
        raise errors.ConfigurationError("enrolling needs --url and --token-file, or both in the configuration")
    spool = Spool.create(config.spool_path())
    done = enrol(
        url=config.url,
        token_file=config.token_file,
        ca_file=config.ca_file,
        certificate_file=config.certificate_file,
        spool=spool,
    )
    sys.stdout.write(f"enrolled: sealing to {done.key_id} until {done.not_after:%Y-%m-%d}\n")
    return 0


def _status(options: argparse.Namespace) -> int:
    from recvault.interfaces.hook.spool import Spool
    from recvault.interfaces.hook.status import status, text

    found = status(Spool(_settings(options).spool_path()))
    if options.json:
        import json

        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write(text(found) + "\n")
    return 0
