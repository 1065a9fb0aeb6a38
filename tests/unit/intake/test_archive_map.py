"""The map of an old recorder: what its rows mean, and what is refused rather than guessed."""

from __future__ import annotations

import io
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recvault.domain.errors import InvalidInput
from recvault.domain.register_records import RowFault
from recvault.intake.archive_map import MapRow, below, parse_map_row, read_archive_map

HELSINKI = ZoneInfo("Europe/Helsinki")


def row(**cells: str) -> MapRow:
    return parse_map_row({"file": "a.wav", "started_at": "2023-01-10T10:00:00+02:00"} | cells, zone=HELSINKI)


def test_a_finnish_map_from_windows() -> None:
    text = (
        "\ufeffTiedosto;Tunniste;Kanava;Suunta;Alkuaika;Kesto;Numero;Alanumero;Jono;Asiakasnro;Avainsanat;Vastattu\r\n"
        "2023\\01\\puhelu.wav;77;Puhelu;Saapuva;10.1.2023 klo 10.00;1:05;040 1234501;1101;laskutus;1001;order|vip;kyllä\r\n"
    )
    ((line, found),) = read_archive_map(io.BytesIO(text.encode()), zone=HELSINKI)
    assert line == 2
    assert isinstance(found, MapRow)
    assert found.file == "2023/01/puhelu.wav"
    assert found.said == {
        "source_id": "77",
        "channel": "call",
        "direction": "inbound",
        "started_at": "2023-01-10T08:00:00+00:00",
        "ended_at": "2023-01-10T08:01:05+00:00",
        "remote": "040 1234501",
        "agent": "1101",
        "queue": "laskutus",
        "customer": {"number": "1001"},
        "tags": ["order", "vip"],
        "answered": True,
        "filename": "puhelu.wav",
        "media_type": "audio/x-wav",
    }


def test_the_path_is_the_source_id_when_there_is_none() -> None:
    assert row(file="./2023//a.wav").said["source_id"] == "2023/a.wav"


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2023-01-10 10:00:00", "2023-01-10T08:00:00+00:00"),
        ("2023-07-10T10:00", "2023-07-10T07:00:00+00:00"),
        ("20230110100000", "2023-01-10T08:00:00+00:00"),
        ("20230110-100000", "2023-01-10T08:00:00+00:00"),
        ("10.1.2023 10:00:00", "2023-01-10T08:00:00+00:00"),
        ("2023-01-10T10:00:00Z", "2023-01-10T10:00:00+00:00"),
        ("1673337600", "2023-01-10T08:00:00+00:00"),
        ("2023-10-29 03:30:00", "2023-10-29T00:30:00+00:00"),  # the first of the two
    ],
)
def test_times(written: str, utc: str) -> None:
    assert row(started_at=written).said["started_at"] == utc


@pytest.mark.parametrize(
    "cells",
    [
        {"started_at": "2023-01-10"},
        {"started_at": "yesterday"},
        {"started_at": "2023-13-10 10:00:00"},
        {"started_at": "99999999999999"},
        {"started_at": "0001-01-01 00:00:00"},
        {"started_at": ""},
        {"ended_at": "soon"},
        {"duration": "long"},
        {"duration": "999999999"},
        {"answered": "perhaps"},
        {"file": ""},
        {"unheard_of": "x"},
        {"tunniste": "1", "source_id": "2"},
        {"queue": "caf\udce9"},
    ],
)
def test_what_is_refused(cells: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        row(**cells)
    assert not any(value and value in str(refused.value) for value in cells.values())


def test_without_a_zone_a_local_time_is_refused() -> None:
    with pytest.raises(InvalidInput, match="--time-zone"):
        parse_map_row({"file": "a.wav", "started_at": "2023-01-10 10:00:00"})


@pytest.mark.parametrize("sent", [[], "text", {"file": 3, "started_at": "x"}])
def test_json_that_is_no_row(sent: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_map_row(sent)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "..\\x", "C:\\x", "c:x", "\\\\server\\x", "", ".", "a\0b", "x" * 5000, "a/.."],
)
def test_paths_that_lead_out(path: str) -> None:
    with pytest.raises(InvalidInput):
        below(path)


def test_a_bad_row_costs_one_row_and_a_map_without_times_is_none() -> None:
    text = "file,started_at,colour\na.wav,2023-01-10T10:00:00Z,red\nb.wav,never,red\nc.wav,2023-01-10T10:00:00Z,red\n"
    rows = list(read_archive_map(io.BytesIO(text.encode())))
    assert [(line, type(found)) for line, found in rows] == [(1, RowFault), (2, MapRow), (3, RowFault), (4, MapRow)]
    with pytest.raises(InvalidInput, match="started_at"):
        list(read_archive_map(io.BytesIO(b"file,remote\na.wav,1\n")))
