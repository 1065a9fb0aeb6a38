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
_NOT_UTF8 = "the row is not UTF-8; save the file as CSV UTF-8"
_Record = TypeVar("_Record", CustomerRecord, AgentRecord)


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
            yield row if isinstance(row, RowFault) else _parsed(parse, row, line)
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
    reader = csv.reader(_lines(text), delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = ["\udc80"] * len(columns)
        here = line + reader.line_num
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield here, _csv_row(cells, columns, here)


def _csv_row(cells: list[str], columns: list[str | None], line: int) -> object:
    if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
        return RowFault(line=line, reason=_NOT_UTF8)
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        return RowFault(
            line=line, reason="the row has more cells than headings; put quotes around cells with a delimiter"
        )
    return {column: cell for column, cell in zip(columns, cells, strict=False) if column is not None}


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LINE_CHARACTERS + 1):
        if len(line) > LINE_CHARACTERS:
            raise TooLarge(f"a line has more than {LINE_CHARACTERS} characters; is a quotation mark missing?")
        yield line


def _json_rows(text: io.TextIOWrapper, start: str, line: int) -> Iterator[tuple[int, object]]:
    buffer = _Buffer(text, start, line)
    if buffer.next_character() != "[":
        raise InvalidInput("the file is not a JSON list; send [{...}, {...}]")
    buffer.take(1)
    if buffer.next_character() == "]":
        return
    while True:
        buffer.next_character()
        here = buffer.line
        value = buffer.value()
        spoiled = any("\udc80" <= character <= "\udcff" for character in json.dumps(value, ensure_ascii=False))
        yield here, RowFault(line=here, reason=_NOT_UTF8) if spoiled else value
        separator = buffer.next_character()
        buffer.take(1)
        if separator == "]":
            return
        if separator != ",":
            raise InvalidInput(f"the file is cut or broken at line {buffer.line}; send it whole")


class _Buffer:
    """A window on a JSON text that holds one value at a time."""

    def __init__(self, text: io.TextIOWrapper, start: str, line: int) -> None:
        self._text, self._held, self.line = text, start, line
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

    def take(self, count: int) -> None:
        self.line += self._held.count("\n", 0, count)
        self._held = self._held[count:]

    def next_character(self) -> str:
        """The next character that is no space, which stays; empty at the end of the file."""
        while True:
            rest = self._held.lstrip(" \t\r\n")
            self.take(len(self._held) - len(rest))
            if rest or not self._more():
                return rest[:1]

    def value(self) -> object:
        """The value that begins here. InvalidInput when there is none, TooLarge beyond
        ``OBJECT_CHARACTERS``."""
        while True:
            ended = False
            try:
                value, end = self._decoder.raw_decode(self._held)
                # A number or word at the very end of what is held may go on behind it.
                if end < len(self._held) or not self._more():
                    self.take(end)
                    return value
                continue
            except RecursionError:
                raise InvalidInput(f"line {self.line} is nested too deep; send it flatter") from None
            except json.JSONDecodeError as fault:
                ended = not self._more()
                reason = fault.msg
            if ended:
                raise InvalidInput(f"the file is cut or broken after line {self.line} ({reason}); send it whole")
            if len(self._held) > OBJECT_CHARACTERS + _CHUNK:
                raise TooLarge(
                    f"an object from line {self.line} is broken or has more than {OBJECT_CHARACTERS} characters"
                )

    def _more(self) -> bool:
        chunk = self._text.read(max(_CHUNK, len(self._held)))
        self._held += chunk
        return bool(chunk)
