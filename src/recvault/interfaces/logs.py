"""How the processes speak: one structlog line an event, for eyes or for machines, on the standard error stream.

Keeps rule 9: a key that may carry personal data or a secret is refused here, whatever a caller passes; its value never
reaches the stream. Of an unexpected exception only its type and where it came from are written: its text, or a variable
beside it, may quote a person. Libraries' own loggers speak through the same lines, from warnings on: their finer levels
quote addresses and statements.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from recvault.domain.errors import RecvaultError

REFUSED = frozenset(
    [
        "address",
        "agent_name",
        "authorization",
        "body",
        "business_id",
        "caller",
        "case_ref",
        "content",
        "cookie",
        "customer",
        "customer_name",
        "customer_number",
        "display_name",
        "email",
        "extra",
        "filename",
        "handle",
        "local",
        "mailto",
        "metadata",
        "name",
        "note",
        "number",
        "participants",
        "password",
        "path_info",
        "phone",
        "query",
        "query_string",
        "reason_text",
        "remote",
        "secret",
        "sql",
        "statement",
        "subject",
        "tel",
        "text",
        "to",
        "token",
        "url",
        "user_name",
        "username",
    ]
)
"""Keys whose value is never written."""

WITHHELD = "[withheld]"

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

Event = MutableMapping[str, Any]


def configure(
    form: Literal["console", "json"] = "console", level: Literal["debug", "info", "warning", "error"] = "info"
) -> None:
    """Sets up the whole process. Repeating it replaces what was set up before."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold,
        where_it_broke,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, LEVELS[level]))
    logging.getLogger("recvault").setLevel(LEVELS[level])
    # A tick that is skipped because the last one still runs is no fault: the next one does its work.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def withhold(logger: object, method: str, event: Event) -> Event:
    """Replaces the values of keys that may carry personal data or secrets."""
    for key in REFUSED & event.keys():
        event[key] = WITHHELD
    return event


def where_it_broke(logger: object, method: str, event: Event) -> Event:
    """Replaces an exception by its type and the lines it passed, its causes likewise; the text only of our own errors."""
    told = event.pop("exc_info", None)
    error = sys.exc_info()[1] if told is True else told[1] if isinstance(told, tuple) else told
    broke: list[str] = []
    while isinstance(error, BaseException):
        text = f": {error}" if isinstance(error, RecvaultError) else ""
        broke.append(type(error).__qualname__ + text)
        for frame in traceback.extract_tb(error.__traceback__):
            broke.append(f"  {frame.filename}:{frame.lineno} {frame.name}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if broke:
        event["broke"] = broke
    return event


def _rendering(form: str) -> list[structlog.typing.Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [_broken_lines, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)]


def _broken_lines(logger: object, method: str, event: Event) -> Event:
    """For eyes: below the line, one a row."""
    if broke := event.pop("broke", None):
        event["exception"] = "\n".join(broke)
    return event
