"""How the processes speak: one structlog line an event, for eyes or for machines, on the standard error stream.

Keeps rule 9: a key that may carry personal data or a secret is refused here, whatever a caller passes; its value never
reaches the stream. Libraries' own loggers speak through the same lines, from warnings on: their finer levels quote
addresses and statements.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

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


def _rendering(form: str) -> list[structlog.typing.Processor]:
    if form == "json":
        return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        )
    ]
