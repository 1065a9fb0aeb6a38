"""What the processes write: lines for machines or eyes, and nothing personal."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from recvault.domain.errors import NotFound
from recvault.interfaces.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_json_lines_carry_context_and_withhold_what_may_be_personal(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("recvault.test").info("stored", id="i1", tel="+358401234501", filename="x.wav")
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "stored",
        "level": "info",
        "request_id": "r1",
        "id": "i1",
        "tel": "[withheld]",
        "filename": "[withheld]",
    }


def test_the_level_counts(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "error")
    structlog.get_logger().info("not this")
    structlog.get_logger().error("but this")
    said = capsys.readouterr().err
    assert "but this" in said
    assert "not this" not in said


def test_libraries_speak_through_the_same_lines_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "debug")
    logging.getLogger("urllib3.connectionpool").debug("GET /v1/playback/secret")
    logging.getLogger("some.library").warning("odd")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["odd"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_fault_of_the_program_tells_where_and_quotes_nobody(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(form, "info")
    try:
        try:
            raise NotFound("there is no such communication")
        except NotFound as cause:
            raise ValueError("Matti Virtanen") from cause
    except ValueError:
        structlog.get_logger().exception("fault")
        logging.getLogger("some.library").exception("theirs")
    said = capsys.readouterr().err
    assert said.count("ValueError") == said.count("NotFound: there is no such communication") == 2
    assert "test_logs.py" in said
    assert "Virtanen" not in said
