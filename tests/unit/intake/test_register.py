"""Register files and objects: what they mean, and that one bad row costs one row."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from recvault.domain.communication import PartyKind
from recvault.domain.customer import Membership
from recvault.domain.errors import InvalidInput, TooLarge
from recvault.domain.register_records import (
    AgentRecord,
    ContactPersonRecord,
    ContactPointRecord,
    CustomerRecord,
    RowFault,
)
from recvault.intake.register_file import LINE_CHARACTERS, read_agents, read_customers
from recvault.intake.register_values import parse_agent, parse_customer

FINNISH = (
    "Asiakasnumero;Nimi;Y-tunnus;Osoite;Kotipaikka;Asiakkuus alkoi;Asiakkuus päättyi;Markkinointikielto;Puhelin;"
    "Sähköposti;Yhteyshenkilö\r\n"
    '10;"Oy Esimerkki; Ab";2077474-0;Tie 1, Oulu;Oulu;1.2.2020;;kyllä;040 1234501|+358401234502 '
    "[1.1.2024..31.12.2025];Info@Esimerkki.fi;Matti Virtanen\r\n"
)


def read(raw: bytes | str) -> list[CustomerRecord | RowFault]:
    return list(read_customers(io.BytesIO(raw.encode() if isinstance(raw, str) else raw)))


def faults(rows: list[CustomerRecord | RowFault]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in rows if isinstance(row, RowFault)]


@pytest.mark.parametrize("mark", ["", "\ufeff", "\r\n"])
def test_a_finnish_spreadsheet(mark: str) -> None:
    (row,) = read(mark + FINNISH)
    assert row == CustomerRecord(
        number="10",
        name="Oy Esimerkki; Ab",
        business_id="2077474-0",
        address="Tie 1, Oulu",
        domicile="Oulu",
        relationship_start=date(2020, 2, 1),
        marketing_ban=True,
        contact_points=(
            ContactPointRecord(kind=PartyKind.TEL, value="+358401234501"),
            ContactPointRecord(
                kind=PartyKind.TEL,
                value="+358401234502",
                valid_from=datetime(2023, 12, 31, 22, tzinfo=UTC),
                valid_until=datetime(2025, 12, 31, 22, tzinfo=UTC),
            ),
            ContactPointRecord(kind=PartyKind.MAILTO, value="info@esimerkki.fi"),
        ),
        contact_persons=(ContactPersonRecord(name="Matti Virtanen"),),
        told=frozenset(
            {"number", "name", "business_id", "address", "domicile", "relationship_start", "relationship_end"}
            | {"marketing_ban", "contact_points", "contact_persons"}
        ),
    )


def test_the_same_in_json() -> None:
    (from_csv,) = read(FINNISH)
    document = [
        {
            "number": 10,
            "name": "Oy Esimerkki; Ab",
            "business_id": "FI20774740",
            "address": "Tie 1, Oulu",
            "domicile": "Oulu",
            "relationship_start": "2020-02-01",
            "relationship_end": None,
            "marketing_ban": True,
            "tel": ["0401234501"],
            "contact_points": [],
            "mailto": "info@esimerkki.fi",
            "contact_persons": [{"name": "Matti Virtanen"}],
        }
    ]
    document[0]["tel"] = ["0401234501", {"value": "0401234502", "from": "2024-01-01", "until": "2025-12-31"}]
    (from_json,) = read(json.dumps(document, indent=1))
    assert from_json == from_csv


def test_english_headers_commas_and_columns_nobody_spoke_of() -> None:
    rows = read('number,name,colour\n1,"A ""B"" Oy",red\n\n2,C,\n')
    assert faults(rows) == [(1, "column 3 has an unknown heading, ignored")]
    assert [r.name for r in rows if isinstance(r, CustomerRecord)] == ['A "B" Oy', "C"]
    assert isinstance(rows[1], CustomerRecord) and rows[1].told == {"number", "name"}


def test_a_bad_row_costs_one_row() -> None:
    raw = (
        b"number;name;business_id;tel;relationship_start;marketing_ban\n"
        b"1;A;;;;\n"
        b";B;;;;\n"
        b"3;;;;;\n"
        b"4;D;2077474-1;;;\n"
        b"5;E;;puhelin;;\n"
        b"6;F;;;31.2.2020;\n"
        b"7;G;;;;ehk\xc3\xa4\n"
        b"8;H\xe4;;;;\n"
        b"9;I;;;;;extra\n"
        b"10;131052-308T;;;;\n"
        b"11\n"
        b'12;"L" M;;;;\n'
        b"13;N;;0401234501;2020-01-31;ei\n"
    )
    rows = read(raw)
    told = faults(rows)
    assert [line for line, _ in told] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    words = ["number and", "name", "business_id", "tel", "relationship_start", "marketing_ban"]
    words += ["UTF-8", "more cells", "personal identity code", "name", "quotation"]
    for (_, reason), word in zip(told, words, strict=True):
        assert word in reason
    assert [r.number for r in rows if isinstance(r, CustomerRecord)] == ["1", "13"]
    assert not any("131052" in reason or "puhelin" in reason for _, reason in told)


def test_a_quotation_mark_that_is_never_closed_hides_no_row() -> None:
    rows = read('number;name\n1;A\n2;"B\n3;C\n4;D\n')
    assert faults(rows) == [(5, "quotation marks do not match in lines 3 to 5; double those inside a cell")]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("1;A\n2;B\n", "no column is headed name"),
        ("name\nA\n", "business_id or number"),
        ("number;name;nimi\n", "same heading"),
        ('{"number": 1}', "not a JSON list"),
        ("[", "cut or broken"),
        ('[{"number":1,"name":"A"}', "cut or broken"),
        ('[{"number":1,"name":"A"} {"number":2}]', "cut or broken"),
        ('[{"number":1,"name":', "cut or broken"),
        ("[" * 100000, "nested too deep"),
    ],
)
def test_what_is_no_register_file(raw: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(raw)


def test_lines_and_objects_without_end() -> None:
    with pytest.raises(TooLarge, match=str(LINE_CHARACTERS)):
        read("number;name\n1;" + "x" * (LINE_CHARACTERS + 1))
    with pytest.raises(TooLarge, match="first line"):
        read("number;name;" + "x" * (LINE_CHARACTERS + 1))
    with pytest.raises(TooLarge, match="1048576"):
        read('[{"name":"' + "x" * 3_000_000)


def test_json_rows_of_any_kind() -> None:
    rows = read('[\n{"number":"1","name":"A"},\n5, "x", null, [],\n{"name":"B"},\n{"number":2,"name":"C"}\n]\n')
    assert [line for line, _ in faults(rows)] == [3, 3, 3, 3, 4]
    assert [r.number for r in rows if isinstance(r, CustomerRecord)] == ["1", "2"]


def test_json_is_read_the_same_over_every_edge_of_a_chunk() -> None:
    for padding in range(65536 - 60, 65536 + 4):
        rows = read("[" + " " * padding + '{"number":12,"name":"Ä"}, 345 ,{"number":6,"name":"B"}]')
        assert [r.number for r in rows if isinstance(r, CustomerRecord)] == ["12", "6"]
        assert len(faults(rows)) == 1


class Endless(io.RawIOBase):
    """A file of many rows that is never whole in memory."""

    def __init__(self, first: bytes, row: bytes, rows: int, last: bytes) -> None:
        self._parts: Iterator[bytes] = iter([first, *([row * 500] * (rows // 500)), last])
        self._rest = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._parts, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


@pytest.mark.parametrize("form", ["csv", "json"])
def test_memory_stays_flat(form: str) -> None:
    csv = Endless(b"number;name\n", b"1;" + b"x" * 200 + b"\n", 6000, b"")
    objects = Endless(b"[", b'{"number":1,"name":"' + b"x" * 200 + b'"},', 6000, b'{"number":1,"name":"A"}]')
    stream = io.BufferedReader({"csv": csv, "json": objects}[form])
    tracemalloc.start()
    count = sum(isinstance(row, CustomerRecord) for row in read_customers(stream))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count >= 6000
    assert peak < 900_000


def test_an_object_for_the_upsert() -> None:
    record = parse_customer(
        {
            "number": "1",
            "name": "A",
            "kind": "company",
            "contact_points": [{"handle": "Chat-1", "from": "2024-01-01T00:00:00+02:00", "until": None}],
            "contact_persons": [{"name": "M", "role": "CEO", "tel": "0401234501|0401234501", "mailto": ["m@x.fi"]}],
        }
    )
    assert record.contact_points == (
        ContactPointRecord(kind=PartyKind.HANDLE, value="chat-1", valid_from=datetime(2023, 12, 31, 22, tzinfo=UTC)),
    )
    assert [p.value for p in record.contact_persons[0].contact_points] == ["+358401234501", "m@x.fi"]
    assert record.told == {"number", "name", "kind", "contact_points", "contact_persons"}
    assert "marketing_ban" not in record.told and record.marketing_ban is False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "red"}, "unknown name"),
        ({"nimi": "B"}, "name is given twice"),
        ({"name": None}, "name is missing"),
        ({"name": True}, "name is no text"),
        ({"name": "x" * 401}, "shorten it to 400"),
        ({"name": "x\ud800"}, "not UTF-8"),
        ({"address": "Tie 1, 131052-308T"}, "address holds a personal identity code"),
        ({"number": "131052-308T"}, "number holds a personal identity code"),
        ({"number": None}, "number and business_id"),
        ({"tel": "call me"}, "tel has a value"),
        ({"tel": [["x"]]}, "tel is no text"),
        ({"tel": [{"value": "0401234501", "to": 1}]}, "tel has an entry"),
        ({"tel": "0401234501 [eilen..]"}, "tel has a time"),
        ({"tel": "0401234501 [2024-01-01..2023-01-01]"}, "does not lie after"),
        ({"tel": [{"value": "0401234501", "from": "2024-01-01T00:00:00"}]}, "tel has a time"),
        ({"mailto": "x"}, "mailto has a value"),
        ({"contact_points": {}}, "contact_points is no list"),
        ({"contact_points": ["0401234501"]}, "no object"),
        ({"contact_points": [{"tel": "1", "mailto": "a@b.fi"}]}, "exactly one"),
        ({"contact_points": [{"tel": "0401234501"}] * 501}, "at most 500"),
        ({"contact_persons": [{"surname": "x"}]}, "contact_persons has an entry"),
        ({"contact_persons": [{"tel": "0401234501"}]}, "contact_persons.name is missing"),
        ({"relationship_start": "2020-02-01", "relationship_end": "1.1.2020"}, "lies before"),
        ({"marketing_ban": "maybe"}, "marketing_ban is neither"),
        ({"marketing_ban": []}, "marketing_ban is no text"),
    ],
)
def test_an_object_that_is_refused_names_the_field(change: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        parse_customer({"number": "1", "name": "A"} | change)
    assert "131052" not in str(caught.value)


@pytest.mark.parametrize("sent", [None, [], "x", 5])
def test_what_is_no_object(sent: object) -> None:
    with pytest.raises(InvalidInput, match="not an object"):
        parse_customer(sent)


def test_agents() -> None:
    raw = "Tunnus;Nimi;Alanumerot;Tiimi\n17;Liisa Korhonen;1101|1102 [2026-01-01..];tuki\n;X;;\n"
    rows = list(read_agents(io.BytesIO(raw.encode())))
    assert rows == [
        AgentRecord(
            ref="17",
            name="Liisa Korhonen",
            extensions=(
                Membership(value="1101"),
                Membership(value="1102", valid_from=datetime(2025, 12, 31, 22, tzinfo=UTC)),
            ),
            teams=(Membership(value="tuki"),),
            told=frozenset({"ref", "name", "extensions", "teams"}),
        ),
        RowFault(line=3, reason="ref is missing; give it"),
    ]
    assert parse_agent({"ref": 17, "name": "L", "teams": [{"value": "t", "until": "2026-06-30"}]}).teams == (
        Membership(value="t", valid_until=datetime(2026, 6, 30, 21, tzinfo=UTC)),
    )


cells = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=15), st.just("131052-308T"))
any_json = st.recursive(
    cells, lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=6), i, max_size=3), max_leaves=6
)
some_field = st.sampled_from(
    ["tel", "mailto", "handle", "contact_points", "contact_persons", "marketing_ban", "address"]
)


@settings(deadline=None)
@given(st.dictionaries(some_field, any_json, max_size=4))
def test_any_object_is_read_or_refused(sent: dict[str, object]) -> None:
    try:
        record = parse_customer({"number": "1", "name": "A"} | sent)
    except InvalidInput:
        return
    assert "131052-308" not in repr(record)


@settings(deadline=None)
@given(st.binary(max_size=120), st.booleans())
def test_any_file_is_read_or_refused(raw: bytes, headed: bool) -> None:
    try:
        rows = read(b"number;name\n" + raw if headed else raw)
    except InvalidInput:
        return
    assert all(isinstance(row, CustomerRecord | RowFault) for row in rows)
