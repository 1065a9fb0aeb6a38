"""The nightly files of customers and agents: CSV or JSON in, records and row faults out, in the order of
the file.

Invariants: one row is in memory at a time, however long the file; a bad row does not stop the rest, and its
fault tells the line and repeats nothing of it. Only a file that is no register file at all stops:
InvalidInput. What a row means is decided in ``register_values``, what becomes of a record in the services.

CSV: UTF-8 with or without a byte order mark, ``;``, ``,`` or tab between cells, headers in Finnish or
English in the first line (Excel: "CSV UTF-8"). JSON: a list of objects.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import BinaryIO, TypeVar

from recvault.domain.errors import InvalidInput, TooLarge
from recvault.domain.register_records import AgentRecord, CustomerRecord, RowFault
from recvault.intake.register_values import AGENT_FIELDS, CUSTOMER_FIELDS, field_name, parse_agent, parse_customer

LINE_CHARACTERS = 131_072
"""The longest line of a CSV file."""
OBJECT_CHARACTERS = 1_048_576
"""The longest object of a JSON file."""
_CHUNK = 65536
_SPACE = re.compile(r"[ \t\r\n]*")
_Record = TypeVar("_Record")


def read_customers(
    stream: BinaryIO, *, region: str = "FI", zone: str = "Europe/Helsinki"
) -> Iterator[CustomerRecord | RowFault]:
    """The customers of a file. ``region`` and ``zone`` are those of numbers and days without one."""
    parse = partial(parse_customer, region=region, zone=zone)
    return _read(stream, parse, CUSTOMER_FIELDS, ({"name"}, {"number", "business_id"}))


def read_agents(stream: BinaryIO, *, zone: str = "Europe/Helsinki") -> Iterator[AgentRecord | RowFault]:
    """The agents of a file."""
    return _read(stream, partial(parse_agent, zone=zone), AGENT_FIELDS, ({"ref"}, {"name"}))


def _read(
    stream: BinaryIO,
    parse: Callable[[object], _Record],
    names: Mapping[str, str],
    needed: tuple[set[str], ...],
) -> Iterator[_Record | RowFault]:
    for _, record in numbered_rows(stream, parse, names, needed):
        yield record


def numbered_rows(
    stream: BinaryIO,
    parse: Callable[[object], _Record],
    names: Mapping[str, str],
    needed: tuple[set[str], ...],
) -> Iterator[tuple[int, _Record | RowFault]]:
    """Line and record of each row of a file of this form. ``names``: the field of a folded heading; ``needed``: of each
    set one field must have a column; ``parse`` gets the cells by field, or the JSON object as it stands.
    """
    # A byte that is not UTF-8 spoils its row, not the file: it comes through as a surrogate and is found
    # there.
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        start = text.readline(LINE_CHARACTERS + 1)
        line = 1
        while start and not start.strip():
            start, line = text.readline(LINE_CHARACTERS + 1), line + 1
        if start.lstrip()[:1] in {"[", "{"}:
            rows = _json_rows(text, start, line)
        else:
            rows = _csv_rows(text, start, line, names, needed)
        for line, row in rows:
            yield line, row if isinstance(row, RowFault) else _parsed(parse, row, line)
    finally:
        text.detach()


def _parsed(parse: Callable[[object], _Record], row: object, line: int) -> _Record | RowFault:
    try:
        return parse(row)
    except InvalidInput as fault:
        return RowFault(line=line, reason=str(fault))


def _csv_rows(
    text: io.TextIOWrapper, header: str, line: int, names: Mapping[str, str], needed: tuple[set[str], ...]
) -> Iterator[tuple[int, object]]:
    if not header.strip():
        raise InvalidInput("the file is empty; send a line of headers and rows, or a JSON list")
    if len(header) > LINE_CHARACTERS:
        raise TooLarge(f"the first line has more than {LINE_CHARACTERS} characters; is it a line of headers?")
    delimiter = max(";,\t", key=header.count)
    columns = [names.get(field_name(cell)) for cell in next(csv.reader([header], delimiter=delimiter))]
    for any_of in needed:
        if not any_of & set(columns):
            raise InvalidInput(f"no column is headed {' or '.join(sorted(any_of))}; put headers into the first line")
    if len(known := [c for c in columns if c]) != len(set(known)):
        raise InvalidInput("two columns have the same heading; rename one")
    for place, column in enumerate(columns, 1):
        if column is None:
            yield line, RowFault(line=line, reason=f"column {place} has an unknown heading, ignored", skipped=False)
    # Strict: a quotation mark that is never closed would swallow the rows behind it in silence.
    reader, ended = csv.reader(_lines(text), delimiter=delimiter, strict=True), line
    while True:
        first = ended + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            ended = line + reader.line_num
            reason = f"quotation marks do not match in lines {first} to {ended}; double those inside a cell"
            yield ended, RowFault(line=ended, reason=reason)
            continue
        ended = line + reader.line_num
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield ended, _csv_row(cells, columns, ended)


def _csv_row(cells: list[str], columns: list[str | None], line: int) -> object:
    if any(cell.strip() for cell in cells[len(columns) :]):
        return RowFault(
            line=line, reason="the row has more cells than headings; put quotes around a cell with a delimiter in it"
        )
    return {column: cell for column, cell in zip(columns, cells, strict=False) if column is not None}


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LINE_CHARACTERS + 1):
        if len(line) > LINE_CHARACTERS:
            raise TooLarge(f"a line has more than {LINE_CHARACTERS} characters; is a quotation mark missing?")
        yield line


def _json_rows(text: io.TextIOWrapper, start: str, line: int) -> Iterator[tuple[int, object]]:
    buffer = _Buffer(text, start, line)
    if buffer.take() != "[":
        raise InvalidInput("the file is not a JSON list; send [{...}, {...}]")
    if buffer.next_character() == "]":
        return
    while True:
        buffer.next_character()
        here = buffer.line
        value = buffer.value()
        yield here, value
        separator = buffer.take()
        if separator == "]":
            return
        if separator != ",":
            raise InvalidInput(f"the file is cut or broken at line {buffer.line}; send it whole")


class _Buffer:
    """A window on a JSON text that holds little more than one value at a time."""

    def __init__(self, text: io.TextIOWrapper, start: str, line: int) -> None:
        self._text, self._held, self._place, self.line = text, start, 0, line
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

    def advance(self, place: int) -> None:
        self.line += self._held.count("\n", self._place, place)
        self._place = place

    def next_character(self) -> str:
        """The next character that is no space, which stays; empty at the end of the file."""
        while True:
            space = _SPACE.match(self._held, self._place)
            self.advance(space.end() if space else self._place)
            if self._place < len(self._held) or not self._more():
                return self._held[self._place : self._place + 1]

    def take(self) -> str:
        """The next character that is no space, which is gone."""
        character = self.next_character()
        self._place += len(character)
        return character

    def value(self) -> object:
        """The value that begins here. InvalidInput when there is none, TooLarge beyond ``OBJECT_CHARACTERS``."""
        while True:
            value, end = None, -1
            try:
                value, end = self._decoder.raw_decode(self._held, self._place)
            except RecursionError:
                raise InvalidInput(f"what begins at line {self.line} is nested too deep; send it flatter") from None
            except json.JSONDecodeError:
                pass  # broken, or not all of it is here
            # A number at the very end of what is held may go on behind it.
            if 0 <= end < len(self._held):
                self.advance(end)
                return value
            if len(self._held) - self._place > OBJECT_CHARACTERS:
                raise TooLarge(f"what begins at line {self.line} has over {OBJECT_CHARACTERS} characters or is broken")
            if not self._more():
                raise InvalidInput(f"the file is cut or broken after line {self.line}; send it whole")

    def _more(self) -> bool:
        chunk = self._text.read(_CHUNK)
        self._held, self._place = self._held[self._place :] + chunk, 0
        return bool(chunk)
